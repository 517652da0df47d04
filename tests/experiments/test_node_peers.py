"""The peers on nodes: what each can learn, and what it leaves to the validation nodes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric import nn as pyg

from gatlib.data.splits import Split
from gatlib.experiments import node_peers
from gatlib.experiments.node_peers import PyGNetwork
from gatlib.network.encoding import AttributeRule
from gatlib.training.node_recipe import NodeRecipe
from gatlib.training.node_tensors import NodeTensors

RECIPE = NodeRecipe(
    metric="accuracy", learning_rate=0.05, hidden_channels=8, heads=2, num_layers=2, max_epochs=40, dropout=0
)


def tensors_of(x: torch.Tensor, edges: list[tuple[int, int]], y: list[int]) -> NodeTensors:
    both = torch.tensor([*edges, *[(b, a) for a, b in edges]], dtype=torch.int64).reshape(-1, 2).t().contiguous()
    rule = AttributeRule(columns=[], active=None, structure=None, notes=[])
    return NodeTensors(rule, None, [str(n) for n in range(max(y) + 1)], x, both, None, torch.tensor(y), [])


def split_of(train: list[int], valid: list[int], test: list[int]) -> Split:
    return Split(*(np.array(rows, dtype=np.int64) for rows in (train, valid, test)))


@pytest.fixture
def seen() -> tuple[NodeTensors, Split]:
    """Ninety nodes without edges, three classes that the features tell."""
    y = torch.arange(90) % 3
    x = torch.nn.functional.one_hot(y, 4).float()
    x[:, 3] = torch.rand(90, generator=torch.Generator().manual_seed(0))
    nodes = list(range(90))
    return tensors_of(x, [], y.tolist()), split_of(nodes[:60], nodes[60:75], nodes[75:])


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
@pytest.mark.parametrize("fit", [node_peers.logistic_regression, node_peers.gradient_boosting])
def test_features_are_learned(fit, sparse: bool, seen: tuple[NodeTensors, Split]) -> None:
    tensors, split = seen
    x = tensors.x.to_sparse_csr() if sparse else tensors.x
    found = fit(tensors, split, RECIPE)(x, tensors.edge_index)
    assert found.shape == (90, 3)
    assert (found.argmax(axis=1) == tensors.y.numpy()).all()
    assert np.allclose(found.sum(axis=1), 1)


@pytest.mark.parametrize("fit", [node_peers.logistic_regression, node_peers.gradient_boosting])
def test_a_class_that_is_not_in_train_has_no_chance(fit, seen: tuple[NodeTensors, Split]) -> None:
    tensors, split = seen
    known = split.train[tensors.y.numpy()[split.train] != 1]
    found = fit(tensors, Split(known, split.valid, split.test), RECIPE)(tensors.x, tensors.edge_index)
    assert (found[:, 1] == 0).all()
    assert (found[:, [0, 2]] > 0).all()


def test_labels_spread_along_edges_and_the_rest_has_the_shares_of_train() -> None:
    # 0 - 1 - 2   3 - 4 - 5   6
    y = [0, 0, 0, 1, 1, 1, 0]
    tensors = tensors_of(torch.zeros(7, 1), [(0, 1), (1, 2), (3, 4), (4, 5)], y)
    predict = node_peers.label_propagation(tensors, split_of([0, 3], [1, 4], [2, 5, 6]), RECIPE)
    found = predict(tensors.x, tensors.edge_index)
    assert found[:6].tolist() == [[1, 0]] * 3 + [[0, 1]] * 3
    assert found[6].tolist() == [0.5, 0.5]


def test_valid_chooses_the_first_of_the_best() -> None:
    y = [0, 1, 0, 1]
    tensors = tensors_of(torch.zeros(4, 1), [], y)
    right, wrong = np.eye(2)[y], np.eye(2)[[1, 0, 1, 0]]
    candidates = [lambda *_, found=found: found for found in (wrong, right, right.copy())]
    chosen = node_peers._best(candidates, tensors, split_of([0, 1], [2, 3], []), RECIPE)
    assert chosen is candidates[1]


@pytest.mark.parametrize(("conv", "layer"), [("gcn", pyg.GCNConv), ("gat", pyg.GATConv)])
def test_networks_of_pyg_are_pygs_own(conv: str, layer: type, seen: tuple[NodeTensors, Split], tmp_path: Path) -> None:
    tensors, split = seen
    network = PyGNetwork(conv, RECIPE, 4, 3).eval()
    assert [type(found) for found in network.convs] == [layer, layer]
    assert network(tensors.x, tensors.edge_index).shape == (90, 3)
    dense, sparse = (network(x, tensors.edge_index) for x in (tensors.x, tensors.x.to_sparse_csr()))
    torch.testing.assert_close(dense, sparse)
    found = node_peers.pyg_network(conv, tensors, split, RECIPE, tmp_path)(tensors.x, tensors.edge_index)
    assert (found.argmax(axis=1) == tensors.y.numpy())[split.test].mean() > 0.9
    assert np.allclose(found.sum(axis=1), 1)
