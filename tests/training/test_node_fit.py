"""Learning the classes of nodes: what it learns, what it must not see, what it refuses, and that it can be stopped."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import networkx as nx
import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch_geometric.utils import stochastic_blockmodel_graph

from gatlib.data.splits import Split
from gatlib.errors import InputError
from gatlib.nn.label_walks import label_walks
from gatlib.training import graph_module
from gatlib.training.node_fit import TrainedNodes, train_nodes
from gatlib.training.node_module import NodeTrainingModule
from gatlib.training.node_recipe import NodeRecipe
from gatlib.training.recipe import read_recipe

NODES = 120
TINY = NodeRecipe(hidden_channels=8, heads=2, max_epochs=6, patience=6, learning_rate=0.02, attention_dropout=0.2)


# The whole graph, random parts of it, drawn neighbours.
BATCHES: list[dict[str, int]] = [{}, {"batch_nodes": 30}, {"batch_nodes": 16, "neighbours": 3}]


class Stopped(Exception):
    """Stands for whatever ends a run: a full disk, a power cut."""


@pytest.fixture(scope="module")
def blocks() -> tuple[Tensor, Tensor, Tensor, Split]:
    """Two dense blocks of nodes with noisy features: x, edge_index, y, split."""
    torch.manual_seed(0)
    y = torch.arange(2).repeat_interleave(NODES // 2)
    edge_index = stochastic_blockmodel_graph([NODES // 2] * 2, [[0.15, 0.02], [0.02, 0.15]])
    x = torch.randn(NODES, 6) + y.unsqueeze(1) * torch.tensor([0.7, 0.7, 0, 0, 0, 0])
    rows = np.random.default_rng(0).permutation(NODES)
    return x, edge_index, y, Split(np.sort(rows[:40]), np.sort(rows[40:80]), np.sort(rows[80:]))


@pytest.fixture
def learn(blocks: tuple[Tensor, Tensor, Tensor, Split], tmp_path: Path) -> Callable[..., TrainedNodes]:
    """Train on the blocks, or on what is given in their place."""
    x, edge_index, y, split = blocks

    def train(recipe: NodeRecipe = TINY, folder: str = "run", num_classes: int = 2, **changes: Any) -> TrainedNodes:
        given = {"x": x, "edge_index": edge_index, "y": y, "split": split, **changes}
        return train_nodes(recipe=recipe, folder=tmp_path / folder, num_classes=num_classes, **given)

    return train


def with_settings(**changes: Any) -> NodeRecipe:
    return NodeRecipe(**{**TINY.model_dump(), **changes})


def same_weights(first: TrainedNodes, second: TrainedNodes) -> bool:
    ours, theirs = first.network.state_dict(), second.network.state_dict()
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("seed", range(5))
def test_the_karate_club_is_learned_from_two_members_on_each_side(seed: int, tmp_path: Path) -> None:
    club = nx.karate_club_graph()
    edges = torch.tensor(list(club.edges)).t()
    edge_index = torch.cat([edges, edges.flip(0)], dim=1)
    y = torch.tensor([int(club.nodes[node]["club"] == "Officer") for node in club])
    # The two that the club fell out over, and one of their friends each.
    random = np.random.default_rng(seed)
    friends = [random.choice([f for f in club[leader] if y[f] == y[leader]]) for leader in (0, 33)]
    labelled = np.sort([0, 33, *friends])
    others = np.setdiff1d(np.arange(34), labelled)
    recipe = NodeRecipe(
        conv="gatv2", hidden_channels=16, heads=4, residual=False, feature_dropout=0.2, max_epochs=100, seed=seed
    )
    split = Split(labelled, labelled, others)
    trained = train_nodes(torch.eye(34).to_sparse_csr(), edge_index, y, split, recipe, tmp_path, 2)
    predicted = trained.network(torch.eye(34), edge_index).argmax(dim=1)
    assert (predicted == y)[others].float().mean() > 0.8


@pytest.mark.parametrize("metric", ["accuracy", "roc_auc"])
@pytest.mark.parametrize("batches", BATCHES)
def test_the_blocks_are_learned(
    metric: str, batches: dict[str, int], blocks: Any, learn: Callable[..., TrainedNodes]
) -> None:
    x, edge_index, y, split = blocks
    trained = learn(with_settings(max_epochs=40, patience=40, metric=metric, **batches))
    test = torch.from_numpy(split.test)
    assert (trained.network(x, edge_index).argmax(dim=1) == y)[test].float().mean() > 0.85
    assert trained.valid_score > 0.85


def test_the_kept_weights_are_those_of_the_best_epoch(
    blocks: Any, learn: Callable[..., TrainedNodes], tmp_path: Path
) -> None:
    # A high rate, so that the score goes up and down.
    x, edge_index, y, split = blocks
    trained = learn(with_settings(max_epochs=200, learning_rate=0.1, patience=5))
    log = pd.read_csv(tmp_path / "run" / "training_log.csv")
    assert log.columns.tolist() == ["epoch", "learning_rate", "train_loss", "valid_loss", "valid_accuracy"]
    best = log.sort_values(["valid_accuracy", "valid_loss"], ascending=[False, True]).index[0]
    valid = torch.from_numpy(split.valid)
    kept = (trained.network(x, edge_index).argmax(dim=1) == y)[valid].double().mean()
    assert kept == trained.valid_score == pytest.approx(log["valid_accuracy"][best])
    assert not trained.network.training
    assert trained.epochs == len(log) == max(best, log["valid_loss"].idxmin()) + 1 + 5


@pytest.mark.parametrize("batches", BATCHES)
def test_classes_of_nodes_that_are_not_for_training_change_nothing(
    batches: dict[str, int], blocks: Any, learn: Callable[..., TrainedNodes]
) -> None:
    _, _, y, split = blocks
    recipe = with_settings(max_epochs=3, **batches)
    first, other = y.clone(), y.clone()
    first[split.test], other[split.test] = -1, 1 - y[split.test]
    assert same_weights(learn(recipe, "first", y=first), learn(recipe, "other", y=other))


def test_unlabelled_nodes_of_the_training_rows_are_not_learned(blocks: Any, learn: Callable[..., TrainedNodes]) -> None:
    _, _, y, split = blocks
    unknown = y.clone()
    unknown[split.train[:10]] = -1
    fewer = Split(split.train[10:], split.valid, split.test)
    assert same_weights(learn(folder="unknown", y=unknown), learn(folder="fewer", split=fewer))


def test_the_same_recipe_gives_the_same_weights_and_another_seed_others(learn: Callable[..., TrainedNodes]) -> None:
    first = learn(folder="first")
    assert same_weights(first, learn(folder="second"))
    assert not same_weights(first, learn(with_settings(seed=1), "third"))


def stop_in(epoch: int, step: Callable[..., Any]) -> Callable[..., Any]:
    def stopping_step(self: NodeTrainingModule, nodes: Tensor, number: int) -> Any:
        if self.current_epoch == epoch:
            raise Stopped
        return step(self, nodes, number)

    return stopping_step


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"batch_nodes": 50, "norm": "batch"},
        {"batch_nodes": 16, "neighbours": 3},
        {"learning_rate": 0.3, "patience": 2},
    ],
)
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not(
    changes: dict[str, Any], learn: Callable[..., TrainedNodes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_module, "SECONDS_BETWEEN_SAVES", 0.0)
    recipe = with_settings(max_epochs=8, **changes)
    whole = learn(recipe, "whole")
    for epoch in (0, 2, whole.epochs - 1):
        with monkeypatch.context() as patch:
            patch.setattr(NodeTrainingModule, "training_step", stop_in(epoch, NodeTrainingModule.training_step))
            with pytest.raises(Stopped):
                learn(recipe, "stopped")
    resumed = learn(recipe, "stopped")
    finished = learn(recipe, "stopped")  # nothing is left to do
    for again in (resumed, finished):
        assert same_weights(again, whole)
        assert (again.valid_score, again.epochs) == (whole.valid_score, whole.epochs)
    logs = [(tmp_path / folder / "training_log.csv").read_bytes() for folder in ("whole", "stopped")]
    assert logs[0] == logs[1]


def test_the_run_is_not_saved_in_every_epoch(
    learn: Callable[..., TrainedNodes], monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = []
    save = graph_module.BestEpoch._save
    monkeypatch.setattr(graph_module.BestEpoch, "_save", lambda self, trainer: saved.append(save(self, trainer)))
    learn()
    assert len(saved) == 1


def test_callbacks_see_the_scores_of_every_epoch(learn: Callable[..., TrainedNodes]) -> None:
    class Scores(lightning.Callback):
        seen: list[float]

        def on_train_epoch_end(self, trainer: lightning.Trainer, _: lightning.LightningModule) -> None:
            self.seen.append(float(trainer.callback_metrics["valid_accuracy"]))

    scores = Scores()
    scores.seen = []
    trained = learn(callbacks=[scores])
    assert len(scores.seen) == trained.epochs
    assert max(scores.seen) == trained.valid_score


def test_edge_features_are_learned(blocks: Any, learn: Callable[..., TrainedNodes]) -> None:
    _, edge_index, _, _ = blocks
    edge_attr = torch.rand(edge_index.size(1), 3)
    for number, batches in enumerate(BATCHES):
        recipe = with_settings(edge_features=3, max_epochs=2, **batches)
        assert learn(recipe, f"run{number}", edge_attr=edge_attr).epochs == 2


@pytest.mark.parametrize("batches", BATCHES[1:])
def test_the_features_may_be_sparse_in_batches_too(
    batches: dict[str, int], blocks: Any, learn: Callable[..., TrainedNodes]
) -> None:
    x = blocks[0].relu()
    recipe = with_settings(max_epochs=4, **batches)
    dense, sparse = learn(recipe, "dense", x=x), learn(recipe, "sparse", x=x.to_sparse_csr())
    ours, theirs = dense.network.state_dict(), sparse.network.state_dict()
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-3, atol=1e-4)


def test_all_neighbours_of_all_nodes_teach_what_the_whole_graph_does(learn: Callable[..., TrainedNodes]) -> None:
    settings = {"max_epochs": 4, "dropout": 0.0, "attention_dropout": 0.0}
    whole = learn(with_settings(**settings), "whole")
    drawn = learn(with_settings(batch_nodes=NODES, neighbours=NODES, **settings), "drawn")
    ours, theirs = drawn.network.state_dict(), whole.network.state_dict()
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-3, atol=1e-4)
    fewer = learn(with_settings(batch_nodes=NODES, neighbours=1, **settings), "fewer")
    assert not torch.allclose(fewer.network.readout.weight, whole.network.readout.weight, rtol=1e-2, atol=1e-3)


def test_two_processes_with_half_of_a_batch_each_learn_what_one_does_with_all(
    blocks: Any, learn: Callable[..., TrainedNodes], tmp_path: Path
) -> None:
    x = blocks[0].relu().to_sparse_csr()
    settings = {"max_epochs": 3, "dropout": 0.0, "attention_dropout": 0.0, "neighbours": NODES}
    one = learn(with_settings(batch_nodes=40, **settings), "one", x=x)
    two = learn(with_settings(batch_nodes=20, devices=2, **settings), "two", x=x)
    ours, theirs = two.network.state_dict(), one.network.state_dict()
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-3, atol=1e-4)
    logs = [pd.read_csv(tmp_path / folder / "training_log.csv") for folder in ("one", "two")]
    accuracies = [log.pop("valid_accuracy") for log in logs]
    pd.testing.assert_frame_equal(*logs, rtol=1e-3)
    one_node = 1 / len(blocks[3].valid)  # that lies on the border may fall on either side of it
    assert list(accuracies[0]) == pytest.approx(list(accuracies[1]), abs=1.01 * one_node)
    assert one.valid_score == pytest.approx(two.valid_score, abs=1.01 * one_node)
    assert one.epochs == two.epochs
    assert not two.network.training


def test_torchrun_around_gatlib_is_refused(learn: Callable[..., TrainedNodes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    with pytest.raises(InputError, match="start it once, without torchrun"):
        learn()


def test_labels_of_neighbours_tell_what_features_do_not(blocks: Any, learn: Callable[..., TrainedNodes]) -> None:
    _, _, y, split = blocks
    shown = torch.zeros(NODES, 2)
    shown[split.train, y[split.train]] = 1
    settings = {"max_epochs": 60, "patience": 60, "norm": "none"}
    assert learn(with_settings(label_reuse=0.5, **settings), x=shown).valid_score > 0.8
    walked = torch.cat([shown, label_walks(shown, blocks[1], 2)], dim=1)
    assert learn(with_settings(label_reuse=0.5, label_steps=2, **settings), "walked", x=walked).valid_score > 0.8
    assert learn(with_settings(**settings), "without", x=torch.ones(NODES, 2)).valid_score < 0.7


def test_a_training_that_diverges_is_one_sentence(
    learn: Callable[..., TrainedNodes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = NodeTrainingModule.training_step
    monkeypatch.setattr(NodeTrainingModule, "training_step", lambda *args: step(*args) * float("nan"))
    with pytest.raises(InputError, match="the training diverged"):
        learn(with_settings(norm="none"))
    assert not (tmp_path / "run" / ".training").exists()


def test_what_does_not_fit_is_refused(blocks: Any, learn: Callable[..., TrainedNodes]) -> None:
    x, edge_index, y, split = blocks
    nothing = np.empty(0, dtype=np.int64)
    gaps = x.clone()
    gaps[3, 3] = float("nan")
    one_class = Split(split.train, split.valid[y[split.valid] == 0], split.test)
    roc_auc = with_settings(metric="roc_auc")
    lone = with_settings(norm="batch", batch_nodes=2, neighbours=3)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"y": y[:-1]}, r"the classes must be int64, one for each of 120 nodes; found torch.int64 of shape \[119\]"),
        ({"y": y.float()}, "the classes must be int64"),
        ({"y": y + 1}, "the classes must be from 0 to 1, or -1"),
        ({"num_classes": 1}, "two classes of nodes or more"),
        ({"edge_index": edge_index + 1}, "the edges must join nodes from 0 to 119; found"),
        ({"x": gaps}, "the node features hold a value that is no finite number"),
        ({"x": gaps.to_sparse_csr()}, "the node features hold a value that is no finite number"),
        ({"split": Split(nothing, split.valid, split.test)}, "none of the 0 train nodes has a class"),
        ({"y": torch.full_like(y, -1)}, "none of the 40 train nodes has a class"),
        ({"split": Split(split.train + 100, split.valid, split.test)}, "the split names train nodes that are not from"),
        ({"recipe": roc_auc, "num_classes": 3}, "metric 'roc_auc' is of two classes and there are 3"),
        ({"recipe": roc_auc, "split": one_class}, "validation nodes are all of one class"),
        ({"recipe": with_settings(edge_features=2)}, "the edge features have shape None"),
        ({"recipe": with_settings(batch_nodes=60, devices=3)}, "there are 2 batches of 60 nodes for 3 devices"),
        ({"recipe": lone, "split": Split(split.train[:3], split.valid, split.test)}, "two nodes in each batch"),
    ]
    for number, (changes, reason) in enumerate(cases):
        with pytest.raises(InputError, match=reason) as caught:
            learn(folder=f"case{number}", **changes)
        assert "\n" not in str(caught.value)


def test_a_recipe_is_flat_yaml(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("conv: gat\nlearning_rate: 0.005\noutput_heads: 8\n")
    recipe = read_recipe(path, NodeRecipe)
    assert (recipe.conv, recipe.output_heads) == ("gat", 8)
    assert recipe.architecture().output_heads == 8
    path.write_text("convolution: gat\n")
    with pytest.raises(InputError, match="unknown key 'convolution'"):
        read_recipe(path, NodeRecipe)
    with pytest.raises(ValidationError, match="norm 'batch' needs batch_nodes of at least 2"):
        NodeRecipe(norm="batch", batch_nodes=1)
    with pytest.raises(ValidationError, match="the whole graph is learned by one process"):
        NodeRecipe(devices=2)
    with pytest.raises(ValidationError, match="neighbours are drawn for batch_nodes at a time"):
        NodeRecipe(neighbours=5)
    with pytest.raises(ValidationError, match="neighbours are drawn for attention and conv is 'gcn'"):
        NodeRecipe(neighbours=5, batch_nodes=100, conv="gcn")


@pytest.mark.parametrize("batches", BATCHES, ids=str)
@pytest.mark.parametrize("is_sparse", [False, True])
@pytest.mark.parametrize("steps", [0, 2])
def test_labels_are_shown_of_others_than_those_to_learn(
    steps: int,
    batches: dict[str, int],
    is_sparse: bool,
    blocks: Any,
    learn: Callable[..., TrainedNodes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, edge_index, y, split = blocks
    labels = torch.zeros(NODES, 2)
    labels[split.train, y[split.train]] = 1
    x = torch.cat([labels, label_walks(labels, edge_index, 2)], dim=1) if steps else labels
    shown: list[int] = []
    learned: list[Tensor] = []
    without_labels = NodeTrainingModule._without_labels

    def spy(module: NodeTrainingModule, rows: Tensor) -> Tensor:
        found = without_labels(module, rows)
        dense = found.to_dense()
        shown.append(int(dense[:, :2].sum()))
        assert not dense[rows, :2].any()
        if steps:
            assert torch.equal(dense[:, 2:], label_walks(dense[:, :2].clone(), edge_index, steps))
        learned.append(rows)
        return found

    monkeypatch.setattr(NodeTrainingModule, "_without_labels", spy)
    recipe = with_settings(label_reuse=0.75, label_steps=steps, max_epochs=2, **batches)
    learn(recipe, x=x.to_sparse_csr() if is_sparse else x)
    if not batches:
        assert shown == [30, 30]
    assert all(len(rows) > 0 and known == 40 - len(rows) for known, rows in zip(shown, learned, strict=True))


def test_steps_are_those_of_labels_that_are_shown() -> None:
    with pytest.raises(ValidationError, match="label_steps are those of known labels: set label_reuse too"):
        NodeRecipe(label_steps=2)
