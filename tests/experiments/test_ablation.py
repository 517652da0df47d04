"""The ablation: what its folds may hold, its own modules, and the report's arithmetic."""

import importlib
import sys
from dataclasses import replace
from pathlib import Path

import lightning
import numpy as np
import pandas as pd
import pytest
import torch
import typer
from torch_geometric.data import Data

from gatlib.experiments.results import COLUMNS
from gatlib.models import GraphAttentionNetwork
from gatlib.training.molecules import split_molecules

FOLDER = Path(__file__).parents[2] / "experiments" / "ablation"
# The scripts of every folder are imported by their bare names: `run` and `report` are this folder's alone.
sys.path.append(str(FOLDER))

changes = importlib.import_module("changes")
report = importlib.import_module("report")
run = importlib.import_module("run")

RINGS = ["C1CCCCC1", "c1ccccc1", "c1ccncc1", "C1CCNCC1", "C1CCOCC1", "c1ccoc1", "c1ccsc1", "C1CCC1", "C1CC1", "c1cnoc1"]
CYCLIC = [prefix + ring for ring in RINGS for prefix in ("C", "CC", "O", "N")]
NUM_CYCLIC = len(CYCLIC)
SMILES = [*CYCLIC, *("C" * length for length in range(2, 17)), "not a molecule"]


@pytest.fixture
def molecules(lengths):
    return lengths(list(SMILES))


def test_no_fold_holds_a_molecule_or_a_label_of_test(molecules):
    test = split_molecules(molecules, "scaffold", 0).test
    blinded, splits = run.without_test(molecules, 3)
    assert len(test) > 0
    assert np.isnan(blinded.targets[test]).all()
    assert not np.isnan(molecules.targets).any()  # the caller's are as they were
    for split in splits:
        assert not np.isin(test, np.concatenate([split.train, split.valid])).any()
        assert not np.isin(split.valid, split.train).any()
    # Every other molecule is scored once; the row that is none, never.
    scored = np.sort(np.concatenate([split.valid for split in splits]))
    np.testing.assert_array_equal(scored, np.setdiff1d(np.arange(len(SMILES) - 1), test))


def test_a_scaffold_is_on_one_side_and_chains_are_on_any(molecules):
    _, splits = run.without_test(molecules, 3)
    for split in splits:
        rings = [{row // 4 for row in rows if row < NUM_CYCLIC} for rows in (split.train, split.valid)]
        assert rings[0]
        assert rings[1]
        assert not rings[0] & rings[1]
    chains = [sum(row >= NUM_CYCLIC for row in split.valid) for split in splits]
    assert min(chains) > 0


@pytest.mark.parametrize("name", changes.CHANGES)
def test_every_change_makes_a_recipe_that_differs_from_the_base(name):
    base = run.load_recipe(FOLDER / "base.yaml")
    change = changes.CHANGES[name]
    recipe = run.changed(base, change, seed=3)
    assert recipe.seed == 3
    differs = recipe.model_dump(exclude={"seed"}) != base.model_dump(exclude={"seed"})
    assert (differs or bool(change.callbacks())) == (name != changes.BASE)


@pytest.mark.parametrize(
    "name", ["virtual node", "a tenth of the bonds left out", "moving average of the weights, 0.99"]
)
def test_a_change_by_callback_trains(molecules, name):
    base = run.load_recipe(FOLDER / "base.yaml").model_copy(
        update={
            "hidden_channels": 12,
            "heads": 2,
            "num_layers": 1,
            "batch_size": 8,
            "max_epochs": 2,
            "warmup_epochs": 1,
        }
    )
    blinded, splits = run.without_test(molecules, 3)
    change = changes.CHANGES[name]
    scores = [
        run.train_fold(blinded, splits[0], run.changed(base, of, seed=0), of.callbacks())
        for of in (change, change, changes.CHANGES[changes.BASE])
    ]
    assert np.isfinite(scores[0]["rmse"])
    assert scores[0] == scores[1]
    assert scores[0] != scores[2]  # the callback did something
    assert scores[0]["rmse"] <= scores[0]["rmse, last epoch"]


def test_the_virtual_node_tells_all_nodes_of_a_graph_the_same_and_nothing_of_other_graphs():
    torch.manual_seed(0)
    node = changes.VirtualNode(4)
    x, batch = torch.randn(7, 4), torch.tensor([0, 0, 0, 1, 1, 2, 2])
    heard = node(x, batch)
    for graph in range(3):
        of_graph = heard[batch == graph]
        torch.testing.assert_close(of_graph, of_graph[:1].expand_as(of_graph))
    changed = torch.where(batch[:, None] == 1, x + 1, x)
    torch.testing.assert_close(node(changed, batch)[batch != 1], heard[batch != 1])
    assert not torch.allclose(node(changed, batch)[batch == 1], heard[batch == 1])


def test_virtual_nodes_take_the_place_of_full_attention():
    settings = run.changed(run.load_recipe(FOLDER / "base.yaml"), changes.CHANGES["virtual node"], 0).architecture()
    module = lightning.LightningModule()
    module.network = GraphAttentionNetwork(settings, (3,), (2,), 1)
    changes.WithVirtualNodes().setup(lightning.Trainer(logger=False), module, "fit")
    assert all(isinstance(block.full, changes.VirtualNode) for block in module.network.blocks)


def test_bonds_are_left_out_in_both_directions():
    torch.manual_seed(0)
    source, target = torch.arange(0, 199), torch.arange(1, 200)
    edge_index = torch.stack([torch.cat([source, target]), torch.cat([target, source])])
    edge_attr = torch.cat([source, source])[:, None]
    batch = Data(x=torch.zeros(200, 1), edge_index=edge_index, edge_attr=edge_attr)
    changes.WithoutSomeBonds(0.3).on_train_batch_start(None, None, batch, 0)
    kept = {tuple(edge) for edge in batch.edge_index.T.tolist()}
    assert kept == {(head, tail) for tail, head in kept}
    assert 0.5 < len(kept) / 398 < 0.9
    assert batch.edge_attr[:, 0].tolist() == batch.edge_index.min(dim=0).values.tolist()  # each keeps its own


def results(metric, scores):
    rows = [
        {"model": change, "recipe": "01234567", "seed": fold, "part": "valid", "metric": name, "value": score + off}
        for change, of_folds in scores.items()
        for fold, score in enumerate(of_folds)
        for name, off in ((metric, 0), (f"{metric}, last epoch", 9))
    ]
    return pd.DataFrame(rows).assign(cpu_seconds=2.0).reindex(columns=COLUMNS)


@pytest.mark.parametrize(("metric", "sign"), [("roc_auc", 1), ("rmse", -1)])
def test_gains_are_differences_on_the_same_fold(metric, sign):
    table = results(metric, {"gates": [0.6, 0.7, 1.1], "base": [0.5, 0.7, 0.9]})
    gain = report.gains(report.scores(table)).loc["gates"]
    np.testing.assert_allclose(gain, [sign * 0.1, 0, sign * 0.2], atol=1e-12)


def test_of_a_fold_that_ran_twice_the_last_counts():
    table = results("rmse", {"base": [0.5, 0.7]})
    again = results("rmse", {"base": [0.4]}).assign(recipe="89abcdef")
    found = report.scores(pd.concat([table, again], ignore_index=True))
    assert dict(zip(found["seed"], found["value"], strict=True)) == {0: 0.4, 1: 0.7}


def test_the_report_by_hand(tmp_path):
    # Differences of 0.1, 0 and 0.2: mean 0.1, standard error 0.1 / sqrt(3). A fold that is not there does not count,
    # and the mean of the others is not shown beside means over all.
    table = results("roc_auc", {"base": [0.5, 0.7, 0.9], "gates": [0.6, 0.7, 1.1], "sum alone": [0.6, 0.9]})
    table.to_csv(tmp_path / "rings.csv", index=False)
    results("rmse", {"base": [0.5, 0.7]}).to_csv(tmp_path / "chains.csv", index=False)
    report.write_report([tmp_path / "rings.csv", tmp_path / "chains.csv"])
    lines = (tmp_path / "README.md").read_text().splitlines()
    assert "| change | rings, ROC-AUC, 3 folds | better by | chains, RMSE, 2 folds | better by | CPU time |" in lines
    assert "| base | 0.700 ± 0.163 |  | 0.600 ± 0.100 |  | 1.0 |" in lines
    assert "| gates | 0.800 | +0.100 ± 0.058 |  |  | 1.0 |" in lines
    assert "| sum alone |  | +0.150 (2 of the folds) |  |  | 1.0 |" in lines
    assert (tmp_path / "folds.png").stat().st_size > 1000


def test_what_is_there_is_not_run_again(tmp_path, monkeypatch, molecules):
    monkeypatch.setattr(run, "read_dataset", lambda *_: replace(molecules))
    trained = []

    def train_fold(molecules, split, recipe, callbacks):
        trained.append(recipe.seed)
        return {"rmse": 1.0, "rmse, last epoch": 1.5}

    monkeypatch.setattr(run, "train_fold", train_fold)
    folds = list(range(run.FOLDS))
    run.run_dataset("esol", ["base", "gates"], tmp_path / "esol.csv", None)
    assert trained == sorted(2 * folds)
    run.run_dataset("esol", ["base", "gates", "sum alone"], tmp_path / "esol.csv", None)
    assert trained == sorted(2 * folds) + folds
    assert len(pd.read_csv(tmp_path / "esol.csv")) == 2 * 3 * run.FOLDS


def test_bad_input_is_one_sentence(tmp_path, monkeypatch, molecules):
    with pytest.raises(typer.BadParameter, match="'gate' is none of: base"):
        run.main(["esol"], ["gate"], None)
    with pytest.raises(typer.BadParameter, match="'esoll' is none of: esol"):
        run.main(["esoll"], None, None)
    results("rmse", {"base": [0.5]}).assign(value="much").to_csv(tmp_path / "esol.csv", index=False)
    monkeypatch.setattr(run, "HERE", tmp_path)
    monkeypatch.setattr(run, "read_dataset", lambda *_: molecules)
    (tmp_path / "base.yaml").write_text((FOLDER / "base.yaml").read_text())
    with pytest.raises(typer.BadParameter, match="row 1, column 'value': 'much' is not a number"):
        run.main(["esol"], ["base"], None)
