"""`add_self_loops`: the caller's self-loops out, one for each node in."""

import math
from typing import Any

import pytest
import torch
from attention_problems import by_loops, every_implementation, every_normaliser, every_score, problem
from torch import Tensor, tensor

from gatlib.nn import GATConv, GATv2Conv
from gatlib.nn.functional import edge_attention

# Node 0 hears of 1, twice of itself, and of 2; node 1 of 0; node 2 only of itself; node 3 of nobody.
EDGES = tensor([[1, 0, 2, 0, 0, 2], [0, 0, 0, 0, 1, 2]])
IS_LOOP = EDGES[0] == EDGES[1]


@every_implementation
@pytest.mark.parametrize("normaliser", ["softmax", "relu"])
def test_by_hand(normaliser: Any, implementation: Any) -> None:
    # Every score is ln 4 but that of the loop of node 0, 0. |N(0)| is 3: the nodes 1, 2 and 0 itself.
    ln4 = math.log(4)
    bias = tensor([ln4] * 6 + [0] + [ln4] * 3, dtype=torch.float64).view(-1, 1)
    zeros, value = torch.zeros(4, 1, 1).double(), tensor([9.0, 18.0, 27.0, 36.0]).double().view(-1, 1, 1)
    out, weights = edge_attention(
        zeros, zeros, value, EDGES, score="additive", bias=bias, normaliser=normaliser, add_self_loops=True,
        return_attention_weights=True, implementation=implementation,
    )  # fmt: skip
    if normaliser == "softmax":
        expected = [4 / 9, 0, 4 / 9, 0, 0.5, 0, 1 / 9, 0.5, 1, 1]
        expected_out = [4 * 2 + 4 * 3 + 1, 13.5, 27.0, 36.0]
    else:
        expected = [ln4 / 3, 0, ln4 / 3, 0, ln4 / 2, 0, 0, ln4 / 2, ln4, ln4]
        expected_out = [ln4 * 15, ln4 * 13.5, ln4 * 27, ln4 * 36]
    assert weights.flatten().tolist() == pytest.approx(expected)
    assert out.flatten().tolist() == pytest.approx(expected_out)


@every_normaliser
@every_score
def test_left_out_edges_may_hold_anything(score: str, normaliser: Any, implementation: Any) -> None:
    given = problem(score, EDGES, edge_features=True, bias=True, add_self_loops=True)
    options = {"normaliser": normaliser, "return_attention_weights": True, "implementation": implementation}
    out, weights = edge_attention(**given, **options)
    left_out = torch.cat([IS_LOOP, torch.zeros(4, dtype=torch.bool)])
    for name in ("edge_attr", "bias"):
        given[name] = given[name].clone()
        given[name][left_out] = math.nan
        given[name].requires_grad_()
    changed_out, changed_weights = edge_attention(**given, **options)
    assert torch.equal(changed_weights, weights)
    assert torch.equal(changed_out, out)
    assert not weights[left_out].any()
    changed_out.sin().sum().backward()
    for name in ("edge_attr", "bias"):
        assert torch.equal(given[name].grad[left_out], torch.zeros_like(given[name].grad[left_out]))
        assert given[name].grad.isfinite().all()


@every_normaliser
@every_score
def test_same_as_a_graph_completed_by_hand(score: str, normaliser: Any, implementation: Any) -> None:
    given = problem(score, EDGES, edge_features=True, bias=True, add_self_loops=True)
    options = {"normaliser": normaliser, "return_attention_weights": True, "implementation": implementation}
    out, weights = edge_attention(**given, **options)
    stays = torch.cat([~IS_LOOP, torch.ones(4, dtype=torch.bool)])
    completed = {
        "edge_index": torch.cat([EDGES[:, ~IS_LOOP], torch.arange(4).expand(2, -1)], dim=1),
        "edge_attr": given["edge_attr"][stays],
        "bias": given["bias"][stays],
        "add_self_loops": False,
    }
    expected_out, expected_weights = edge_attention(**given | completed, **options)
    torch.testing.assert_close(out, expected_out)
    torch.testing.assert_close(weights[stays], expected_weights)


@every_implementation
@every_score
@pytest.mark.parametrize(("num_targets", "num_sources"), [(5, 3), (3, 5)])
def test_between_two_sets_the_first_nodes_of_both_have_loops(
    score: str, num_targets: int, num_sources: int, implementation: Any
) -> None:
    edges = tensor([[0, 2, 1, 1], [2, 2, 0, 1]])
    given = problem(score, edges, num_targets, num_sources, edge_features=True, add_self_loops=True)
    out, weights = edge_attention(**given, return_attention_weights=True, implementation=implementation)
    assert weights.shape == (4 + 3, 2)
    torch.testing.assert_close((out, weights), by_loops(given, "softmax"))
    assert not out[3:].any()


# --- Layers ---


def mean_of_incoming(edge_attr: Tensor, node: int) -> Tensor:
    into = (EDGES[1] == node) & ~IS_LOOP
    return edge_attr[into].mean(dim=0) if into.any() else edge_attr.new_zeros(edge_attr.size(1))


@pytest.mark.parametrize("layer", [GATConv, GATv2Conv])
@every_implementation
def test_filled_edge_features_where_targets_outnumber_sources(layer: Any, implementation: Any) -> None:
    # Not compared with PyG: its mean over incoming edges is out of range here.
    torch.manual_seed(0)
    conv = layer((3, 3), 4, heads=2, edge_dim=2, bias=False).double()
    conv.implementation = implementation
    generator = torch.Generator().manual_seed(0)
    source, target, edge_attr = (
        torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((3, 3), (5, 3), (7, 2))
    )
    edges = torch.cat([EDGES, tensor([[1], [4]])], dim=1)
    found, (edge_index, alpha) = conv((source, target), edges, edge_attr, return_attention_weights=True)

    loop_attr = torch.stack([mean_of_incoming(edge_attr[:6], node) for node in range(3)])
    is_edge = edges[0] != edges[1]
    completed = torch.cat([edges[:, is_edge], torch.arange(3).expand(2, -1)], dim=1)
    assert torch.equal(edge_index, completed)
    conv.add_self_loops = False
    expected, (_, expected_alpha) = conv(
        (source, target), completed, torch.cat([edge_attr[is_edge], loop_attr]), return_attention_weights=True
    )
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(alpha, expected_alpha)


@pytest.mark.parametrize("layer", [GATConv, GATv2Conv])
def test_kernel_is_given_the_very_tensor_of_the_caller(monkeypatch: pytest.MonkeyPatch, layer: Any) -> None:
    given = []

    def spy(query: Tensor, key: Tensor, value: Tensor, edge_index: Tensor, **options: Any) -> Tensor:
        given.append((edge_index, options["add_self_loops"]))
        return edge_attention(query, key, value, edge_index, **options)

    monkeypatch.setattr(f"{layer.__module__}.edge_attention", spy)
    layer(3, 4, edge_dim=2)(torch.zeros(4, 3), EDGES, torch.zeros(6, 2))
    ((edge_index, add_self_loops),) = given
    assert edge_index is EDGES
    assert add_self_loops
