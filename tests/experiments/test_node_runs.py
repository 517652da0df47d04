"""Experiments on the nodes of made-up networks: the same runner, and models that all leave the same files."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from gatlib.data import cards as cards_module
from gatlib.errors import InputError
from gatlib.experiments.bundle import bundle
from gatlib.experiments.experiment import Experiment, load_experiment
from gatlib.experiments.node_runs import NodeRuns
from gatlib.experiments.results import read_results
from gatlib.experiments.run import run_experiment
from gatlib.experiments.tables import write_tables
from gatlib.metrics import node_metrics
from gatlib.network import NodePredictor
from gatlib.network.node_model import read_node_description
from tests.network.card_files import write_friends

TINY = {"hidden_channels": 8, "heads": 2, "max_epochs": 3, "metric": "roc_auc"}


@pytest.fixture
def towns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of two data sets, `bonn` and `ulm`, of the same kind of people."""
    monkeypatch.setattr(cards_module, "cards_dir", lambda: tmp_path / "cards")
    for seed, name in enumerate(("bonn", "ulm")):
        write_friends(tmp_path / "cards", tmp_path / "data", name, seed)
    return tmp_path / "data"


def experiment_of(root: Path, name: str = "little", **settings: object) -> Experiment:
    (root / name).mkdir(parents=True)
    (root / name / "recipe.yaml").write_text(yaml.safe_dump(TINY | {"dataset": "bonn"} | settings))
    return load_experiment(root, name)


def run(
    experiment: Experiment, models: list[str], seeds: int, towns: Path, split: str | None = None
) -> tuple[pd.DataFrame, list[str]]:
    said: list[str] = []
    run_experiment(experiment, models, range(seeds), split, towns.parent / "runs", towns, said.append)
    return read_results(experiment.results), said


def test_every_model_leaves_the_same_files_once(towns: Path, tmp_path: Path) -> None:
    experiment = experiment_of(tmp_path / "experiments")
    models = ["recipe", "mlp", "gcn", "gat", "lr", "gb", "lp"]
    results, said = run(experiment, models, 1, towns)
    names = ["gatv2", "MLP", "PyG GCN", "PyG GAT", "logistic regression", "gradient boosting", "label propagation"]
    assert list(dict.fromkeys(results["model"])) == names
    assert set(results["metric"]) == {"accuracy", "macro_f1", "roc_auc", "log_loss"}
    again, said = run(experiment, models, 1, towns)
    assert again.equals(results)
    assert all("done before" in line for line in said)

    folders = sorted((towns.parent / "runs" / "little").glob("*/seed0"))
    assert len(folders) == len(models)
    first = folders[0]
    for folder in folders:
        assert (folder / "split.csv").read_text() == (first / "split.csv").read_text()
        assert (folder / "test.png").stat().st_size > 10_000
        assert not (folder / ".training").exists()
        for part in ("valid", "test"):
            table = pd.read_csv(folder / f"{part}_predictions.csv")
            assert list(table) == ["node", "circle", "circle_pred", "p_chess players", "p_dancers"]
            assert table["node"].equals(pd.read_csv(first / f"{part}_predictions.csv")["node"])
            assert np.allclose(table[["p_chess players", "p_dancers"]].sum(axis=1), 1, atol=1e-5)
    split = pd.read_csv(first / "split.csv")
    assert split["split"].value_counts().to_dict() == {"train": 30, "valid": 10, "test": 10}
    predictor = NodePredictor.load(next(folder for folder in folders if folder.parent.name.startswith("gatv2")))
    assert predictor.description.training.network == "bonn"
    card = next((towns.parent / "runs" / "little").glob("gatv2-*/seed0/README.md")).read_text()
    assert "- **Data:** bonn of friends. Made up. Licence: MIT. Cite: none" in card


def test_figures_are_those_of_the_predictions(towns: Path, tmp_path: Path) -> None:
    results, _ = run(experiment_of(tmp_path / "experiments"), ["lr"], 1, towns)
    (file,) = (towns.parent / "runs").rglob("test_predictions.csv")
    table = pd.read_csv(file)
    y = (table["circle"] == "dancers").to_numpy().astype(np.int64)
    expected = node_metrics(y, table[["p_chess players", "p_dancers"]].to_numpy())
    found = results[results["part"] == "test"].set_index("metric")["value"]
    assert found.to_dict() == pytest.approx(expected, abs=1e-5)


def test_seeds_on_one_split_have_a_mean(towns: Path, tmp_path: Path) -> None:
    experiment = experiment_of(tmp_path / "experiments")
    other, _ = run(experiment, ["gcn", "lr"], 2, towns)
    assert not other["model"].str.contains("mean").any()  # each seed has its own split
    (split, _) = (towns.parent / "runs").glob("little/PyG-GCN-*/seed?/split.csv")
    results, _ = run(experiment, ["gcn", "lr"], 2, towns, split=str(split))
    assert set(results["model"][results["model"].str.contains("mean")]) == {"PyG GCN, mean of 2 seeds"}
    (mean,) = (towns.parent / "runs").rglob("mean2/test_predictions.csv")
    members = [pd.read_csv(mean.parents[1] / f"seed{seed}" / mean.name) for seed in (0, 1)]
    found = pd.read_csv(mean)
    assert np.allclose(found["p_dancers"], (members[0]["p_dancers"] + members[1]["p_dancers"]) / 2, atol=1e-6)
    assert (found["circle_pred"] == np.where(found["p_dancers"] > 0.5, "dancers", "chess players")).all()


def test_another_network_is_predicted_whole(towns: Path, tmp_path: Path) -> None:
    experiment = experiment_of(tmp_path / "experiments", transfer=["ulm"])
    results, _ = run(experiment, ["recipe", "lr", "gat"], 2, towns)
    assert set(results["split"]) == {"bonn (random) to ulm"}
    folder = next((towns.parent / "runs" / "little").glob("gatv2-*-to-ulm/seed1"))
    predicted = pd.read_csv(folder / "test_predictions.csv")
    labels = pd.read_csv(towns / "ulm" / "labels.csv")
    assert set(predicted["node"]) == set(labels["id"][labels["circle"].notna()])
    trained = next((towns.parent / "runs" / "little").glob("gatv2-*-random/seed1"))
    assert (folder / "valid_predictions.csv").read_text() == (trained / "valid_predictions.csv").read_text()
    # One and the same test, but other valid nodes for each seed.
    mean = results[results["model"] == "gatv2, mean of 2 seeds"]
    assert set(mean["part"]) == {"test"}
    with pytest.raises(InputError, match="lp knows the labels of one network and predicts no other one"):
        run(experiment, ["lp"], 1, towns)


def test_the_page_has_the_metrics_of_nodes(towns: Path, tmp_path: Path) -> None:
    experiment = experiment_of(tmp_path / "experiments")
    run(experiment, ["lr"], 2, towns)
    published = "model,split,metric,value,std,source\nGAT,random,roc_auc,0.9,0.01,a paper\n"
    (experiment.folder / "published.csv").write_text(published)
    text = write_tables(tmp_path / "experiments").read_text()
    assert "## little\n\nbonn of friends.\n" in text
    assert "| test ROC-AUC | valid ROC-AUC | test accuracy | test macro F1 |" in text
    assert "| GAT | published: a paper | random |  | 0.9 ± 0.01 |" in text
    assert (experiment.folder / "seeds.png").exists()


def test_only_the_recipe_is_given_labels_and_consistency(
    towns: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = experiment_of(tmp_path / "experiments", label_reuse=0.5, consistency=1.0)
    steps = []
    monkeypatch.setattr(
        "gatlib.training.node_module.disagreement", lambda logits: steps.append(len(logits)) or logits.sum() * 0
    )
    run(experiment, ["recipe", "mlp", "gcn", "lr"], 1, towns)
    rules = {path.parent.parent.name: read_node_description(path.parent).rule for path in tmp_path.rglob("model.json")}
    seen = {name.partition("-")[0]: rule.known_labels for name, rule in rules.items()}
    assert set(seen) == {"gatv2", "MLP"}
    assert (seen["gatv2"] is None, seen["MLP"] is None) == (False, True)
    assert steps == [2] * 3  # of the recipe's epochs alone


def test_what_there_is_not_is_named(towns: Path, tmp_path: Path) -> None:
    experiment = experiment_of(tmp_path / "experiments")
    with pytest.raises(InputError, match="no model 'rf'; there are: recipe, mlp, gcn, gat, lr, gb, lp"):
        run(experiment, ["rf"], 1, towns)
    with pytest.raises(InputError, match="there is no split 'public'"):
        run(experiment, ["lr"], 1, towns, split="public")
    with pytest.raises(InputError, match="bonn is a network, not a set of molecules"):
        bundle(experiment, "recipe", [0], tmp_path, None, tmp_path / "model")
    with pytest.raises(InputError, match="unknown key 'pooling'"):
        experiment_of(tmp_path / "experiments", "wrong", pooling="mean")
    assert not experiment.results.exists()


def test_where_no_model_is_named_the_recipe_and_a_peer_run(towns: Path, tmp_path: Path) -> None:
    results, _ = run(experiment_of(tmp_path / "experiments"), [], 1, towns)
    assert list(dict.fromkeys(results["model"])) == ["gatv2", "logistic regression"]
    assert NodeRuns.default == ("recipe", "lr")
