"""The models that come with the package: whole, as good as their cards say, and sensible."""

from pathlib import Path

import pytest
import torch

from gatlib.checkpoint import read_description
from gatlib.chem import feature_dims
from gatlib.experiments.experiment import RECIPE, load_experiment
from gatlib.experiments.molecule_runs import recipe_of, run_of
from gatlib.experiments.results import read_results
from gatlib.metrics import METRICS
from gatlib.model_folder import bundled_models, model_folder, pretrained_folder, pretrained_networks
from gatlib.models import Architecture, GraphAttentionNetwork
from gatlib.predictor import DEFAULT_MODEL, Predictor
from gatlib.training.pretrained import settings_of, start_from

ETHINYLESTRADIOL = "C[C@]12CC[C@H]3[C@@H](CCc4cc(O)ccc34)[C@@H]1CC[C@@]2(O)C#C"
BENZO_A_PYRENE = "c1ccc2c(c1)cc1ccc3cccc4ccc2c1c34"


def test_the_default_model_is_bundled():
    assert DEFAULT_MODEL in bundled_models()


@pytest.mark.parametrize("name", bundled_models())
def test_every_bundled_model_loads_has_a_card_and_is_small(name):
    folder = model_folder(name)
    Predictor.load(name)
    card = (folder / "README.md").read_text(encoding="utf-8")
    description = read_description(folder)
    assert all(task in card for task in description.tasks)
    assert "licence" in card
    assert sum(path.stat().st_size for path in folder.iterdir()) < 5e6
    assert {path.name for path in folder.iterdir()} == {"model.safetensors", "model.json", "README.md"}


@pytest.mark.parametrize("name", pretrained_networks())
def test_a_pretrained_network_can_be_started_from_and_has_a_card(name):
    folder = pretrained_folder(name)
    network = GraphAttentionNetwork(Architecture(**settings_of(name)), *feature_dims(), 1)
    before = network.atom_embedding.embedding.weight.clone()
    start_from(network, name)
    assert not torch.equal(network.atom_embedding.embedding.weight, before)
    assert "licence" in (folder / "README.md").read_text(encoding="utf-8")
    assert sum(path.stat().st_size for path in folder.iterdir()) < 5e6


def test_tox21_knows_an_oestrogen_and_a_dioxin_like_compound_from_alcohol():
    table = Predictor.load("tox21").predict(["CCO", ETHINYLESTRADIOL, BENZO_A_PYRENE]).set_index("smiles")
    assert table.loc[ETHINYLESTRADIOL, "NR-ER_pred"] > 0.5 > table.loc["CCO", "NR-ER_pred"]
    assert table.loc[BENZO_A_PYRENE, "NR-AhR_pred"] > 0.5 > table.loc["CCO", "NR-AhR_pred"]


@pytest.mark.parametrize("name", bundled_models())
def test_a_model_that_has_learned_from_all_states_the_mean_of_its_recipes_seeds(name):
    description = read_description(model_folder(name))
    assert description.training.molecules["test"] == 0
    metric = METRICS[description.task_type][0]
    experiment = load_experiment(Path(__file__).parents[1] / "experiments", name)
    side = description.architecture.side_features
    recipe = recipe_of(experiment, RECIPE if side == "none" else side, None, 0)
    assert description.architecture == recipe.architecture()
    run, results = run_of(RECIPE, recipe), read_results(experiment.results)
    of_recipe = ["model", "recipe", "split", "featurization"]
    rows = results[(results[of_recipe] == [getattr(run, name) for name in of_recipe]).all(axis=1)]
    values = rows.loc[(rows["part"] == "test") & (rows["metric"] == metric), "value"]
    assert len(values) == (3 if name == "hiv" else 5)
    assert description.metrics["test"]["mean"][metric] == pytest.approx(values.mean(), abs=1e-6)


def test_bbbp_knows_a_drug_of_the_brain_from_a_sugar():
    table = Predictor.load("bbbp").predict(["CN1C(=O)CN=C(c2ccccc2)c2cc(Cl)ccc21", "OCC1OC(O)C(O)C(O)C1O"])
    diazepam, glucose = table["p_np_pred"]
    assert diazepam > 0.5 > glucose


def test_esol_knows_that_sugar_dissolves_and_wax_does_not():
    predictor = Predictor.load("esol")
    glucose, wax = predictor.predict(["OCC1OC(O)C(O)C(O)C1O", "C" * 30])[predictor.columns[0]]
    assert glucose > -1 > -6 > wax


def test_hiv_knows_zidovudine_from_ethanol():
    zidovudine, ethanol = Predictor.load("hiv").predict(["Cc1cn(C2CC(N=[N+]=[N-])C(CO)O2)c(=O)[nH]c1=O", "CCO"])[
        "HIV_active_pred"
    ]
    assert zidovudine > 0.5 > ethanol
