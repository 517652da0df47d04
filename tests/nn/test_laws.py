"""Laws that every attention layer obeys, whatever the graph."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gatlib.nn import GATConv, GATv2Conv, TransformerConv

FEATURES, EDGE_FEATURES, HEADS, CHANNELS = 4, 3, 2, 3
LAYERS = {
    "GATConv": lambda **options: GATConv(FEATURES, CHANNELS, HEADS, edge_dim=EDGE_FEATURES, **options),
    "GATv2Conv": lambda **options: GATv2Conv(FEATURES, CHANNELS, HEADS, edge_dim=EDGE_FEATURES, **options),
    "TransformerConv": lambda **options: TransformerConv(FEATURES, CHANNELS, HEADS, edge_dim=EDGE_FEATURES, **options),
}
every_layer = pytest.mark.parametrize("name", [f"{name} {how}" for name in LAYERS for how in ("reference", "cpu")])
few = settings(max_examples=25, deadline=None, derandomize=True)


def make(name: str, **options: Any) -> Any:
    name, implementation = name.split()
    torch.manual_seed(0)
    layer = LAYERS[name](**options).double()
    layer.implementation = implementation
    for key, parameter in layer.named_parameters():
        if key.endswith("bias"):
            torch.nn.init.normal_(parameter)
    return layer


Graph = tuple[Tensor, Tensor, Tensor]


def random_graph(num_nodes: int, edges: list[tuple[int, int]], seed: int = 0) -> Graph:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(num_nodes, FEATURES, generator=generator, dtype=torch.float64)
    edge_attr = torch.randn(len(edges), EDGE_FEATURES, generator=generator, dtype=torch.float64)
    return x, torch.tensor(edges, dtype=torch.long).view(-1, 2).t(), edge_attr


@st.composite
def graphs(draw: st.DrawFn, min_edges: int = 0) -> Graph:
    """Up to six nodes and a dozen edges; parallel edges, self-loops and isolated nodes are all likely."""
    num_nodes = draw(st.integers(1, 6))
    node = st.integers(0, num_nodes - 1)
    edges = draw(st.lists(st.tuples(node, node), min_size=min_edges, max_size=12))
    return random_graph(num_nodes, edges, draw(st.integers(0, 99)))


@every_layer
@few
@given(graph=graphs(), seed=st.integers(0, 99))
def test_renumbered_nodes_give_renumbered_outputs(name: str, graph: Graph, seed: int) -> None:
    layer, (x, edge_index, edge_attr) = make(name), graph
    generator = torch.Generator().manual_seed(seed)
    old_of_new = torch.randperm(x.size(0), generator=generator)
    new_of_old = old_of_new.argsort()
    order = torch.randperm(edge_index.size(1), generator=generator)
    out = layer(x[old_of_new], new_of_old[edge_index][:, order], edge_attr[order])
    torch.testing.assert_close(out, layer(x, edge_index, edge_attr)[old_of_new])


@every_layer
@few
@given(first=graphs(), second=graphs())
def test_batching_changes_nothing(name: str, first: Graph, second: Graph) -> None:
    layer = make(name)
    together = layer(
        torch.cat([first[0], second[0]]),
        torch.cat([first[1], second[1] + first[0].size(0)], dim=1),
        torch.cat([first[2], second[2]]),
    )
    torch.testing.assert_close(together, torch.cat([layer(*first), layer(*second)]))


@every_layer
@few
@given(graph=graphs())
def test_weights_of_every_node_and_head_sum_to_one(name: str, graph: Graph) -> None:
    _, (edge_index, alpha) = make(name)(*graph, return_attention_weights=True)
    assert (alpha >= 0).all()
    target, num_nodes = edge_index[1], graph[0].size(0)
    sums = torch.zeros(num_nodes, HEADS, dtype=alpha.dtype).index_add(0, target, alpha)
    has_neighbours = torch.isin(torch.arange(num_nodes), target)
    torch.testing.assert_close(sums, has_neighbours.double().unsqueeze(-1).expand_as(sums))


@every_layer
@few
@given(graph=graphs())
def test_who_is_no_neighbour_has_no_influence(name: str, graph: Graph) -> None:
    layer, (x, edge_index, edge_attr) = make(name), graph
    out = layer(x, edge_index, edge_attr)
    may_influence = torch.eye(x.size(0), dtype=torch.bool)  # [target, source]
    may_influence[edge_index[1], edge_index[0]] = True
    for source in range(x.size(0)):
        changed = x.clone()
        changed[source] = float("nan")
        others = ~may_influence[:, source]
        # Bit by bit, and whatever the stranger holds.
        assert torch.equal(layer(changed, edge_index, edge_attr)[others], out[others])
    jacobian = torch.autograd.functional.jacobian(lambda x: layer(x, edge_index, edge_attr), x)
    assert not jacobian.permute(0, 2, 1, 3)[~may_influence].any()


@every_layer
def test_isolated_node_gets_bias_and_skip_only(name: str) -> None:
    x, edge_index, edge_attr = random_graph(4, [(0, 1), (1, 2), (1, 2)])
    options = {} if name.startswith("TransformerConv") else {"add_self_loops": False}
    layer = make(name, **options)
    out = layer(x, edge_index, edge_attr)[3]
    if name.startswith("TransformerConv"):  # which projects with all its matrices at once
        torch.testing.assert_close(out, layer.lin_skip(x)[3])
    else:
        assert torch.equal(out, layer.bias)
        layer = make(name, residual=True, **options)
        torch.testing.assert_close(layer(x, edge_index, edge_attr)[3], layer.res(x)[3] + layer.bias)


@every_layer
@pytest.mark.parametrize("num_nodes", [0, 1, 3])
def test_graph_without_edges(name: str, num_nodes: int) -> None:
    layer = make(name)
    x, edge_index, edge_attr = random_graph(num_nodes, [])
    x.requires_grad_()
    out = layer(x, edge_index, edge_attr)
    assert out.shape == (num_nodes, HEADS * CHANNELS)
    out.sum().backward()
    assert x.grad is not None
    if not name.startswith("TransformerConv") and num_nodes:
        # A node alone attends to itself with weight one.
        _, (edge_index, alpha) = layer(x, edge_index, edge_attr, return_attention_weights=True)
        assert torch.equal(edge_index, torch.arange(num_nodes).expand(2, -1))
        torch.testing.assert_close(alpha, torch.ones(num_nodes, HEADS, dtype=torch.float64))
