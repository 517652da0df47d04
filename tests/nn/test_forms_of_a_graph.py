"""A graph in any form that PyG takes, and what is remembered of it."""

import gc
from typing import Any

import pytest
import torch
from side_by_side import (
    CHANNELS,
    EDGE_FEATURES,
    EDGES,
    FEATURES,
    GAT,
    GATS,
    GATV2,
    HEADS,
    LAYERS,
    NUM_NODES,
    TRANSFORMER,
    assert_same,
    pair,
    random,
    run,
)
from torch import Tensor
from torch_geometric import EdgeIndex
from torch_geometric.utils import to_torch_coo_tensor, to_torch_csr_tensor

from gatlib.kernels import remembered
from gatlib.nn.message_passing import source_target_edges

BIPARTITE_EDGES = torch.tensor([[0, 1, 1, 4, 3, 3, 0, 2], [0, 1, 2, 2, 2, 0, 0, 1]])  # 5 sources, 4 targets


@pytest.mark.parametrize("edge_dim", [None, EDGE_FEATURES], ids=["plain", "edge features"])
@pytest.mark.parametrize("name", LAYERS)
def test_bipartite(name: str, edge_dim: int | None) -> None:
    theirs, ours = pair(name, (FEATURES, 6), CHANNELS, heads=HEADS, edge_dim=edge_dim)
    leaves = [random(5, FEATURES), random(4, 6)]
    if edge_dim is not None:
        leaves.append(random(8, edge_dim))

    def call(layer: Any, source: Tensor, target: Tensor, edge_attr: Tensor | None = None) -> Any:
        return layer((source, target), BIPARTITE_EDGES, edge_attr, return_attention_weights=True)

    assert_same(theirs, ours, call, leaves)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, {"concat": concat}) for name in LAYERS for concat in (True, False)),
        *((name, {"residual": True}) for name in GATS),
        (GATV2, {"share_weights": True}),
    ],
    ids=str,
)
def test_pair_through_one_set_of_weights(name: str, options: dict[str, Any]) -> None:
    theirs, ours = pair(name, FEATURES, CHANNELS, heads=HEADS, **options)
    leaves = [random(5, FEATURES), random(4, FEATURES)]
    assert_same(theirs, ours, lambda layer, s, t: layer((s, t), BIPARTITE_EDGES), leaves)
    assert_same(theirs, ours, lambda layer, s: layer((s, s), BIPARTITE_EDGES), leaves[:1])


@pytest.mark.parametrize("size", [None, (5, 4), (5, 5)], ids=str)
@pytest.mark.parametrize("in_channels", [FEATURES, (FEATURES, 6)], ids=str)
def test_gat_without_target_features(in_channels: Any, size: tuple[int, int] | None) -> None:
    theirs, ours = pair(GAT, in_channels, CHANNELS, heads=HEADS, residual=True)

    def call(layer: Any, source: Tensor) -> Any:
        return layer((source, None), BIPARTITE_EDGES, size=size, return_attention_weights=True)

    assert_same(theirs, ours, call, [random(5, FEATURES)])


@pytest.mark.parametrize("name", LAYERS)
def test_bipartite_against_the_flow(name: str) -> None:
    theirs, ours = pair(name, (FEATURES, 6), CHANNELS, heads=HEADS, flow="target_to_source")
    edges = BIPARTITE_EDGES.flip(0)
    leaves = [random(5, FEATURES), random(4, 6)]
    assert_same(theirs, ours, lambda layer, s, t: layer((s, t), edges, return_attention_weights=True), leaves)


def edge_index_forms() -> dict[str, Any]:
    return {
        "EdgeIndex": EdgeIndex(EDGES, sparse_size=(NUM_NODES, NUM_NODES)),
        "EdgeIndex by column": EdgeIndex(EDGES, sparse_size=(NUM_NODES, NUM_NODES)).sort_by("col")[0],
        "EdgeIndex without size": EdgeIndex(EDGES),
        "COO": to_torch_coo_tensor(EDGES.flip(0), size=NUM_NODES).double(),
        "CSR": to_torch_csr_tensor(EDGES.flip(0), size=NUM_NODES).double(),
    }


@pytest.mark.parametrize("form", edge_index_forms())
@pytest.mark.parametrize(
    ("name", "options"),
    [*((name, {}) for name in LAYERS), *((name, {"add_self_loops": False}) for name in GATS)],
    ids=str,
)
def test_graph_in_any_form(name: str, options: dict[str, Any], form: str) -> None:
    theirs, ours = pair(name, FEATURES, CHANNELS, heads=HEADS, **options)
    edge_index = edge_index_forms()[form]

    def call(layer: Any, x: Tensor) -> Any:
        return layer(x, edge_index, return_attention_weights=True)

    assert_same(theirs, ours, call, [random(NUM_NODES, FEATURES)])


@pytest.mark.parametrize("name", LAYERS)
def test_int32_has_the_gradient_of_int64(name: str) -> None:
    # Not compared with PyG: with torch 2.13 on a CPU, its gradient through an int32 index is silently wrong.
    options = {} if name == TRANSFORMER else {"add_self_loops": False}
    _, ours = pair(name, FEATURES, CHANNELS, heads=HEADS, **options)
    leaves = [random(NUM_NODES, FEATURES)]
    wide, narrow = (run(ours, lambda layer, x, e=edges: layer(x, e), leaves, 3) for edges in (EDGES, EDGES.int()))
    torch.testing.assert_close(narrow, wide, rtol=0, atol=0)


@pytest.mark.parametrize("layout", ["COO", "CSR"])
@pytest.mark.parametrize("name", LAYERS)
def test_edge_features_as_values_of_a_sparse_matrix(name: str, layout: str) -> None:
    options = {} if name == TRANSFORMER else {"add_self_loops": False}
    theirs, ours = pair(name, FEATURES, CHANNELS, heads=HEADS, edge_dim=EDGE_FEATURES, **options)
    adj_t = edge_index_forms()[layout]
    num_values = adj_t.values().size(0)

    def call(layer: Any, x: Tensor, values: Tensor) -> Any:
        size = (NUM_NODES, NUM_NODES, EDGE_FEATURES)
        if layout == "COO":
            adj = torch.sparse_coo_tensor(adj_t.indices(), values, size, is_coalesced=True)
        else:
            adj = torch.sparse_csr_tensor(adj_t.crow_indices(), adj_t.col_indices(), values, size)
        return layer(x, adj)

    assert_same(theirs, ours, call, [random(NUM_NODES, FEATURES), random(num_values, EDGE_FEATURES)])


@pytest.mark.parametrize("name", LAYERS)
def test_csc_which_pyg_refuses_is_the_same_graph(name: str) -> None:
    _, ours = pair(name, FEATURES, CHANNELS, heads=HEADS)
    x, adj_t = random(NUM_NODES, FEATURES), edge_index_forms()["CSR"]
    torch.testing.assert_close(ours(x, adj_t.to_sparse_csc()), ours(x, adj_t))


@pytest.mark.parametrize("name", LAYERS)
def test_rectangular_sparse_matrix(name: str) -> None:
    options = {} if name == TRANSFORMER else {"add_self_loops": False}
    theirs, ours = pair(name, (FEATURES, 6), CHANNELS, heads=HEADS, **options)
    adj_t = to_torch_coo_tensor(BIPARTITE_EDGES.flip(0), size=(4, 5))
    leaves = [random(5, FEATURES), random(4, 6)]
    assert_same(theirs, ours, lambda layer, s, t: layer((s, t), adj_t), leaves)


@pytest.mark.parametrize("name", GATS)
def test_self_loops_tell_an_edge_index_of_nodes_that_it_did_not_know(name: str) -> None:
    layers = pair(name, FEATURES, CHANNELS, heads=HEADS)
    edge_index = EdgeIndex(EDGES, sparse_size=(6, 6))  # as it finds by itself: the last node has no edge
    assert_same(*layers, lambda layer, x: layer(x, edge_index, return_attention_weights=True), [random(7, FEATURES)])
    for layer in layers:
        with pytest.raises(ValueError, match="expected size 6"):
            layer(random(5, FEATURES), edge_index)


# --- A kernel sorts a graph once, if it is given the same tensor again ---


def source_target(edge_index: Any, flow: str = "source_to_target") -> Tensor:
    layer, _ = pair(GAT, FEATURES, CHANNELS, flow=flow)
    return source_target_edges(layer, edge_index, None)[0]


def test_plain_tensor_comes_as_it_is() -> None:
    assert source_target(EDGES) is EDGES
    assert source_target(EdgeIndex(EDGES)) is EDGES


def other_forms() -> dict[str, tuple[Any, str]]:
    forms = edge_index_forms()
    return {
        "against the flow": (EDGES.flip(0), "target_to_source"),
        "EdgeIndex against the flow": (EdgeIndex(EDGES.flip(0)), "target_to_source"),
        "int32": (EDGES.int(), "source_to_target"),
        "int32 against the flow": (EDGES.flip(0).int(), "target_to_source"),
        "COO": (forms["COO"], "source_to_target"),
        "CSR": (forms["CSR"], "source_to_target"),
    }


@pytest.mark.parametrize("form", other_forms())
def test_other_forms_give_the_same_tensor_each_time(form: str) -> None:
    edge_index, flow = other_forms()[form]
    with torch.inference_mode():
        edges = source_target(edge_index, flow)
    assert not edges.is_inference()  # so that what was first seen in evaluation can be trained on
    assert edges.dtype == torch.int64
    assert set(zip(*edges.tolist(), strict=True)) == set(zip(*EDGES.tolist(), strict=True))
    assert source_target(edge_index, flow) is edges


def test_both_directions_are_remembered() -> None:
    edge_index = EDGES.int()
    along, against = (source_target(edge_index, flow) for flow in ("source_to_target", "target_to_source"))
    assert torch.equal(against, along.flip(0))
    assert source_target(edge_index) is along
    assert source_target(edge_index, "target_to_source") is against


def test_changed_graph_is_read_anew() -> None:
    edge_index = EDGES.clone()
    edges = source_target(edge_index, "target_to_source")
    edge_index[0, 0] = 5
    changed = source_target(edge_index, "target_to_source")
    assert changed is not edges
    assert torch.equal(changed, edge_index.flip(0))
    adj_t = edge_index_forms()["CSR"]
    source_target(adj_t)
    adj_t.col_indices()[0] = 3
    assert torch.equal(source_target(adj_t)[0], adj_t.col_indices())


def test_nothing_is_remembered_of_dead_graphs() -> None:
    gc.collect()
    before = len(remembered._MADE_BEFORE)
    edge_index = EDGES.flip(0)
    source_target(edge_index, "target_to_source")
    assert len(remembered._MADE_BEFORE) == before + 1
    del edge_index
    gc.collect()
    assert len(remembered._MADE_BEFORE) == before
    with torch.inference_mode():
        edge_index = EDGES.flip(0)
        assert torch.equal(source_target(edge_index, "target_to_source"), EDGES)
        edge_index[0, 0] = 1
        assert torch.equal(source_target(edge_index, "target_to_source"), edge_index.flip(0))
        del edge_index
    gc.collect()
    assert len(remembered._MADE_BEFORE) == before
