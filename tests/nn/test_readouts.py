"""Readouts: by hand, the laws of each kind of output, and poolings of every origin."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch_geometric import EdgeIndex
from torch_geometric.nn import SumAggregation, global_add_pool, global_max_pool, global_mean_pool

from gatlib.nn.pooling import GatedAttentionPooling, MultiheadAttentionPooling, SetTransformerPooling
from gatlib.nn.readouts import EdgeReadout, GraphReadout, NodeReadout

CHANNELS, OUT = 8, 3
POOLINGS: dict[str, tuple[Callable[[], Any], int]] = {
    "sum": (lambda: global_add_pool, CHANNELS),
    "mean": (lambda: global_mean_pool, CHANNELS),
    "max": (lambda: global_max_pool, CHANNELS),
    "gated": (lambda: GatedAttentionPooling(CHANNELS), CHANNELS),
    "multihead": (lambda: MultiheadAttentionPooling(CHANNELS, heads=2, num_queries=2), 2 * CHANNELS),
    "set transformer": (lambda: SetTransformerPooling(CHANNELS, heads=2, num_queries=2), 2 * CHANNELS),
}
every_pooling = pytest.mark.parametrize("name", POOLINGS)
SIZES = [1, 500, 0, 37, 2, 0]


def graph_readout(name: str) -> GraphReadout:
    torch.manual_seed(0)
    make_pooling, channels = POOLINGS[name]
    return GraphReadout(channels, OUT, make_pooling())


def graphs(sizes: list[int], scale: float = 1.0) -> tuple[Tensor, Tensor]:
    x = scale * torch.randn(sum(sizes), CHANNELS, generator=torch.Generator().manual_seed(len(sizes)))
    return x, torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes, dtype=torch.long))


def assert_near(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def gelu(x: float) -> float:
    return float(torch.nn.functional.gelu(torch.tensor(x)))


def test_node_by_hand() -> None:
    readout = NodeReadout(1, 1)
    with torch.no_grad():
        for parameter, value in zip(readout.parameters(), (2.0, 1.0, 3.0, -1.0), strict=True):
            parameter.fill_(value)
    assert_near(readout(torch.tensor([[1.0], [-1.0]])), torch.tensor([[3 * gelu(3.0) - 1], [3 * gelu(-1.0) - 1]]))


@pytest.mark.parametrize("num_layers", [1, 2, 4])
def test_as_many_layers_as_asked_for(num_layers: int) -> None:
    for readout, width in (
        (NodeReadout(CHANNELS, OUT, num_layers), CHANNELS),
        (GraphReadout(CHANNELS, OUT, global_add_pool, num_layers), CHANNELS),
        (EdgeReadout(CHANNELS, OUT, num_layers), 2 * CHANNELS),
    ):
        shapes = [tuple(layer.weight.shape) for layer in readout.modules() if isinstance(layer, torch.nn.Linear)]
        rows = [CHANNELS] * (num_layers - 1) + [OUT]
        assert shapes == list(zip(rows, [width] + [CHANNELS] * (num_layers - 1), strict=True))


@pytest.mark.parametrize("num_nodes", [0, 1, 500])
def test_every_node_by_itself(num_nodes: int) -> None:
    torch.manual_seed(0)
    readout, x = NodeReadout(CHANNELS, OUT, num_layers=3), torch.randn(num_nodes, CHANNELS)
    out, order = readout(x), torch.randperm(num_nodes)
    assert out.shape == (num_nodes, OUT)
    assert_near(readout(x[order]), out[order])
    assert_near(torch.cat([out[:0], *(readout(x[node : node + 1]) for node in range(num_nodes))]), out)


def test_dropout_is_for_training() -> None:
    torch.manual_seed(0)
    x, edge_index = torch.randn(50, CHANNELS), torch.arange(50).expand(2, -1)
    for readout, inputs in (
        (NodeReadout(CHANNELS, OUT, dropout=0.5), (x,)),
        (GraphReadout(CHANNELS, OUT, global_add_pool, dropout=0.5), (x,)),
        (EdgeReadout(CHANNELS, OUT, dropout=0.5), (x, edge_index)),
    ):
        assert not torch.equal(readout(*inputs), readout(*inputs))
        readout.eval()
        assert torch.equal(readout(*inputs), readout(*inputs))


@every_pooling
def test_graph_is_pooled_then_read(name: str) -> None:
    readout, (x, batch) = graph_readout(name), graphs([3, 0, 2, 0])
    out = readout(x, batch, 4)
    assert torch.equal(out, readout.mlp(readout.pooling(x, batch, 4)))
    nothing = readout.mlp(torch.zeros(1, readout.channels))
    assert_near(out[[1, 3]], nothing.expand(2, -1))
    assert_near(readout(x, batch), out[:3])
    assert_near(readout(x[:3]), out[:1])
    assert len(list(readout.pooling.parameters() if isinstance(readout.pooling, torch.nn.Module) else [])) == len(
        [key for key, _ in readout.named_parameters() if key.startswith("pooling.")]
    )


def test_pooling_may_be_any_function() -> None:
    aggregate = SumAggregation()
    readout = GraphReadout(CHANNELS, OUT, lambda x, batch, num_graphs: aggregate(x, batch, dim_size=num_graphs))
    x, batch = graphs([3, 1])
    assert_near(readout(x, batch, 2), readout.mlp(global_add_pool(x, batch, 2)))


def test_modules_for_pooling_are_trained_too() -> None:
    readout, (x, batch) = graph_readout("multihead"), graphs([3, 2])
    assert "pooling.queries" in readout.state_dict()
    readout(x, batch).square().sum().backward()
    for key, parameter in readout.named_parameters():
        assert parameter.grad is not None
        assert parameter.grad.any(), key


@every_pooling
def test_laws_of_the_graph_readout(name: str) -> None:
    readout = graph_readout(name)
    # Sums over 500 nodes are kept of the order of one, which the tolerance is meant for.
    x, batch = graphs(SIZES, scale=0.02 if name == "sum" else 1.0)
    out = readout(x, batch, len(SIZES))
    order = torch.randperm(x.size(0), generator=torch.Generator().manual_seed(1))
    order = order[batch[order].argsort(stable=True)]
    assert_near(readout(x[order], batch, len(SIZES)), out)
    empty = torch.empty(0, dtype=torch.long)
    alone = [readout(part, torch.zeros_like(part[:, 0], dtype=torch.long), 1) for part in x.split(SIZES)]
    assert_near(torch.cat(alone), out)
    assert readout(x[:0], empty, 0).shape == (0, OUT)


def test_edge_by_hand() -> None:
    x = torch.tensor([[3.0], [5.0]])
    edge_index = torch.tensor([[0, 1, 1], [1, 0, 1]])
    readout = EdgeReadout(1, 1, num_layers=1)
    with torch.no_grad():
        readout.mlp[0].weight.copy_(torch.tensor([[1.0, 10.0]]))
        readout.mlp[0].bias.fill_(100.0)
    assert_near(readout(x, edge_index), torch.tensor([[135.0], [135.0], [125.0]]))
    directed = EdgeReadout(1, 1, num_layers=1, directed=True)
    directed.load_state_dict(readout.state_dict())
    assert_near(directed(x, edge_index), torch.tensor([[153.0], [135.0], [155.0]]))


Pairs = tuple[Tensor, Tensor]


@st.composite
def pairs(draw: st.DrawFn) -> Pairs:
    """Up to six nodes and a dozen pairs; equal ones, and a node with itself, are likely."""
    num_nodes = draw(st.integers(1, 6))
    node = st.integers(0, num_nodes - 1)
    found = draw(st.lists(st.tuples(node, node), max_size=12))
    x = torch.randn(num_nodes, CHANNELS, generator=torch.Generator().manual_seed(draw(st.integers(0, 99))))
    return x, torch.tensor(found, dtype=torch.long).view(-1, 2).t()


def edge_readout(directed: bool) -> EdgeReadout:
    torch.manual_seed(0)
    return EdgeReadout(CHANNELS, OUT, directed=directed)


@pytest.mark.parametrize("directed", [False, True])
@settings(max_examples=50, deadline=None, derandomize=True)
@given(problem=pairs(), seed=st.integers(0, 99))
def test_laws_of_the_edge_readout(directed: bool, problem: Pairs, seed: int) -> None:
    readout, (x, edge_index) = edge_readout(directed), problem
    out, back = readout(x, edge_index), readout(x, edge_index.flip(0))
    assert out.shape == (edge_index.size(1), OUT)
    is_loop = edge_index[0] == edge_index[1]
    if directed:
        assert ((out != back).any(dim=1) == ~is_loop).all()
    else:
        assert torch.equal(out, back)
    # Renumbered nodes and reordered pairs.
    generator = torch.Generator().manual_seed(seed)
    old_of_new = torch.randperm(x.size(0), generator=generator)
    order = torch.randperm(edge_index.size(1), generator=generator)
    found = readout(x[old_of_new], old_of_new.argsort()[edge_index][:, order])
    assert_near(found, out[order])
    # Other nodes, before and after, and other pairs.
    stranger = torch.full((1, CHANNELS), float("nan"))
    more = torch.cat([torch.zeros(2, 1, dtype=torch.long), edge_index + 1], dim=1)
    assert_near(readout(torch.cat([stranger, x, stranger]), more)[1:], out)


def test_undirected_readout_of_a_large_graph() -> None:
    readout, x = edge_readout(directed=False), torch.randn(500, CHANNELS)
    edge_index = torch.randint(500, (2, 2000))
    both = readout(x, torch.cat([edge_index, edge_index.flip(0)], dim=1))
    assert torch.equal(readout(x, edge_index), readout(x, edge_index.flip(0)))
    assert_near(both[:2000], both[2000:])


def test_pairs_in_other_forms() -> None:
    readout, x = edge_readout(directed=True), torch.randn(4, CHANNELS)
    edge_index = torch.tensor([[0, 1, 3], [1, 2, 2]])
    out = readout(x, edge_index)
    assert torch.equal(readout(x, edge_index.int()), out)
    assert torch.equal(readout(x, EdgeIndex(edge_index, sparse_size=(4, 4))), out)


@pytest.mark.parametrize("directed", [False, True])
def test_gradients(directed: bool) -> None:
    torch.manual_seed(0)
    x, batch = torch.randn(4, 3, dtype=torch.float64, requires_grad=True), torch.tensor([0, 0, 2, 2])
    edge_index = torch.tensor([[0, 1, 1, 3], [1, 0, 1, 2]])
    edge = EdgeReadout(3, 2, directed=directed).double()
    # Without the pair of a node with itself, at which the difference has a kink.
    kept = edge_index[:, edge_index[0] != edge_index[1]]
    assert torch.autograd.gradcheck(lambda x, *_: edge(x, kept), (x, *edge.parameters()))
    grad = torch.autograd.grad(edge(x, edge_index).sum(), x)[0]
    assert grad.isfinite().all()
    graph = GraphReadout(3, 2, GatedAttentionPooling(3)).double()
    assert torch.autograd.gradcheck(lambda x, *_: graph(x, batch, 4), (x, *graph.parameters()))
    node = NodeReadout(3, 2).double()
    assert torch.autograd.gradcheck(lambda x, *_: node(x), (x, *node.parameters()))


@pytest.mark.parametrize(
    ("make_readout", "message"),
    [
        (lambda: NodeReadout(0, 1), "channels must be 1 or more; found 0"),
        (lambda: NodeReadout(4, 0), "out_channels must be 1 or more; found 0"),
        (lambda: NodeReadout(4, 1, num_layers=0), "num_layers must be 1 or more; found 0"),
        (lambda: NodeReadout(4, 1, dropout=-0.1), "dropout must be a probability from 0 to 1; found -0.1"),
        (lambda: EdgeReadout(4, 1, num_layers=0), "num_layers must be 1 or more; found 0"),
        (lambda: GraphReadout(4, 1, "mean"), "pooling must be callable with x, batch and num_graphs; found 'mean'"),
    ],
)
def test_settings_that_do_not_fit(make_readout: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_readout()


def test_inputs_that_do_not_fit() -> None:
    x, edge_index = torch.randn(4, CHANNELS), torch.tensor([[0, 1], [1, 3]])
    node, edge = NodeReadout(CHANNELS, OUT), EdgeReadout(CHANNELS, OUT)
    with pytest.raises(
        ValueError, match=r"x must be floating point of shape \[nodes, 8\]; found float32 of shape \[4, 7"
    ):
        node(x[:, :7])
    with pytest.raises(ValueError, match=r"x must be floating point .* found int64"):
        edge(x.long(), edge_index)
    with pytest.raises(ValueError, match=r"edge_index must be int64 of shape \[2, pairs\]; found int64 of shape \[2\]"):
        edge(x, edge_index[0])
    with pytest.raises(ValueError, match=r"edge_index must be int64 .* found float32"):
        edge(x, edge_index.float())
    with pytest.raises(ValueError, match=r"edge_index must hold target nodes from 0 to 2 in row 1; found 1 to 3"):
        edge(x[:3], edge_index)
    with pytest.raises(ValueError, match=r"edge_index must hold source nodes from 0 to 3 in row 0; found -1 to 0"):
        edge(x, edge_index - torch.tensor([[1], [0]]))
    with pytest.raises(ValueError, match=r"pooling must give the shape \[graphs, 8\]; found \[1, 16\]"):
        GraphReadout(CHANNELS, OUT, MultiheadAttentionPooling(CHANNELS, num_queries=2))(x)
