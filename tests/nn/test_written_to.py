"""A graph that was written to after its first use, in whatever way, is the graph that it has become."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch_geometric import EdgeIndex, Index
from ways_of_writing import WAYS

from gatlib.models.node_attention_network import with_self_loops
from gatlib.nn import (
    FullAttention,
    GATConv,
    GatedAttentionPooling,
    GATv2Conv,
    GraphReadout,
    GraphTransformerBlock,
    LinearAttention,
    MultiheadAttentionPooling,
    SetTransformerPooling,
    TransformerConv,
    TruncatedAttention,
    all_pairs,
    edge_attention,
    heat_kernel_encoding,
    laplacian_encoding,
    pairs_of_edges,
    pairs_within,
    random_walk_encoding,
    shortest_path_distances,
)

CHANNELS, HEADS, NODES = 4, 2, 6
ways = st.sampled_from(list(WAYS.values()))
few = settings(max_examples=20, deadline=None, derandomize=True)

Use = Callable[[Any], tuple[Tensor, ...]]  # of an edge_index or a batch: outputs and gradients


@st.composite
def two_graphs(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """As many edges, and often almost the same ones."""
    node = st.integers(0, NODES - 1)
    edge = st.tuples(node, node)
    edges = draw(st.lists(edge, min_size=1, max_size=9))
    others = [draw(st.one_of(st.just(before), edge)) for before in edges]
    return torch.tensor(edges).t().contiguous(), torch.tensor(others).t().contiguous()


@st.composite
def two_batches(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """As many nodes, in other graphs; some graphs have none."""
    steps = st.lists(st.integers(0, 2), min_size=NODES, max_size=NODES)
    return torch.tensor(draw(steps)).cumsum(0), torch.tensor(draw(steps)).cumsum(0)


def _features() -> Tensor:
    return torch.randn(NODES, CHANNELS, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def layer_of(make: Callable[..., Any], *arguments: Any, **options: Any) -> Use:
    """A layer as a function of the graph."""

    def use(graph: Any) -> tuple[Tensor, ...]:
        torch.manual_seed(0)  # the same parameters each time
        layer, x = make(*arguments, **options).double(), _features().requires_grad_()
        out = layer(x, graph)
        return out.detach(), *torch.autograd.grad(out.sin().sum(), [x])

    return use


def block(graph: Any) -> tuple[Tensor, ...]:
    torch.manual_seed(0)
    local = TransformerConv(CHANNELS, CHANNELS // HEADS, HEADS)
    layer, x = GraphTransformerBlock(CHANNELS, local, full=True, heads=HEADS).double(), _features().requires_grad_()
    out = layer(x, graph)
    return out.detach(), *torch.autograd.grad(out.sin().sum(), [x])


def block_of_batch(batch: Any) -> tuple[Tensor, ...]:
    torch.manual_seed(0)
    layer = GraphTransformerBlock(CHANNELS, None, full=True, heads=HEADS, drop_path=0.5).double()
    x = _features().requires_grad_()
    out = layer(x, None, batch)
    return out.detach(), *torch.autograd.grad(out.sin().sum(), [x])


def attention_itself(graph: Any) -> tuple[Tensor, ...]:
    x = _features().view(NODES, HEADS, -1).requires_grad_()
    out = edge_attention(x, x, x, graph, score="dot")
    return out.detach(), *torch.autograd.grad(out.sin().sum(), [x])


OF_EDGES: dict[str, Use] = {
    "edge_attention": attention_itself,
    "GATConv": layer_of(GATConv, CHANNELS, 3, HEADS),
    "GATv2Conv": layer_of(GATv2Conv, CHANNELS, 3, HEADS),
    "TransformerConv": layer_of(TransformerConv, CHANNELS, 3, HEADS),
    "TruncatedAttention": layer_of(TruncatedAttention, CHANNELS, HEADS, num_hops=2),
    "GraphTransformerBlock": block,
    "pairs_within": lambda edges: pairs_within(edges, 2, num_nodes=NODES),
    "pairs_of_edges": lambda edges: (pairs_of_edges(edges, None, NODES),),
    "shortest paths": lambda edges: (shortest_path_distances(edges, None, NODES),),
    "with_self_loops": lambda edges: (with_self_loops(edges, None, NODES)[0],),
    "random walk": lambda edges: (random_walk_encoding(edges, 3, num_nodes=NODES),),
    "Laplacian": lambda edges: laplacian_encoding(edges, 2, num_nodes=NODES),
    "heat kernel": lambda edges: (heat_kernel_encoding(edges, (0.5, 2.0), num_nodes=NODES),),
}
OF_BATCHES: dict[str, Use] = {
    "FullAttention": layer_of(FullAttention, CHANNELS, HEADS),
    "FullAttention over pairs": layer_of(FullAttention, CHANNELS, HEADS, score="additive"),
    "FullAttention by size": layer_of(FullAttention, CHANNELS, HEADS, dropout=0.2),
    "LinearAttention": layer_of(LinearAttention, CHANNELS, HEADS),
    "GraphTransformerBlock": block_of_batch,
    "GatedAttentionPooling": layer_of(GatedAttentionPooling, CHANNELS),
    "MultiheadAttentionPooling": layer_of(MultiheadAttentionPooling, CHANNELS, HEADS),
    "SetTransformerPooling": layer_of(SetTransformerPooling, CHANNELS, HEADS),
    "GraphReadout": layer_of(lambda: GraphReadout(CHANNELS, 2, pooling=GatedAttentionPooling(CHANNELS))),
    "all_pairs": lambda batch: (all_pairs(batch, NODES),),
}
TAKE_EDGE_INDEX = ("edge_attention", *list(OF_EDGES)[1:7])
of_edges = pytest.mark.parametrize("use", OF_EDGES.values(), ids=OF_EDGES)
of_batches = pytest.mark.parametrize("use", OF_BATCHES.values(), ids=OF_BATCHES)


def assert_same(found: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> None:
    for a, b in zip(found, expected, strict=True):
        assert torch.equal(a, b)


def assert_follows(use: Use, write: Callable[[Tensor, Tensor], Any], tensor: Tensor, new: Tensor) -> None:
    """Twice there and back, so that nothing old comes to light."""
    old = tensor.clone()
    for numbers in (old, new, old):
        write(tensor, numbers)
        for _ in range(2):
            assert_same(use(tensor), use(numbers.clone()))


@of_edges
@few
@given(write=ways, graphs=two_graphs())
def test_edges(use: Use, write: Any, graphs: tuple[Tensor, Tensor]) -> None:
    assert_follows(use, write, graphs[0].clone(), graphs[1])


@of_batches
@few
@given(write=ways, batches=two_batches())
def test_batches(use: Use, write: Any, batches: tuple[Tensor, Tensor]) -> None:
    assert_follows(use, write, batches[0].clone(), batches[1])


@pytest.mark.parametrize("use", [OF_EDGES["GATv2Conv"], OF_EDGES["TruncatedAttention"]], ids=["GATv2", "Truncated"])
@pytest.mark.parametrize("form", ["int32", "transposed", "a slice"])
@few
@given(write=ways, graphs=two_graphs())
def test_edges_laid_out_otherwise(use: Use, form: str, write: Any, graphs: tuple[Tensor, Tensor]) -> None:
    old, new = graphs
    if form == "int32":
        edges, new = old.int(), new.int()
    elif form == "transposed":
        edges = old.t().contiguous().t()
    else:
        edges = torch.cat([old, old], dim=1)[:, : old.size(1)]
    assert_follows(use, write, edges, new)


@pytest.mark.parametrize("name", ["GATConv", "GATv2Conv", "TransformerConv"])
@few
@given(write=ways, graphs=two_graphs())
def test_edges_against_the_flow(name: str, write: Any, graphs: tuple[Tensor, Tensor]) -> None:
    make = {"GATConv": GATConv, "GATv2Conv": GATv2Conv, "TransformerConv": TransformerConv}[name]
    assert_follows(layer_of(make, CHANNELS, 3, HEADS, flow="target_to_source"), write, graphs[0].clone(), graphs[1])


@pytest.mark.parametrize("name", ["GATConv", "GATv2Conv", "TransformerConv"])
@few
@given(write=ways, graphs=two_graphs())
def test_sparse_matrices(name: str, write: Any, graphs: tuple[Tensor, Tensor]) -> None:
    old, new = graphs
    # 1. COO, whose indices are [target, source].
    coo = _coo(old)
    use = OF_EDGES[name]
    use(coo)
    _write_through(write, coo.indices(), new.flip(0))
    assert_same(use(coo), use(_coo(new)))
    # 2. CSR, of which the columns are written to.
    csr, columns = _csr(old), new[0].clone()
    use(csr)
    _write_through(write, csr.col_indices(), columns)
    expected = torch.sparse_csr_tensor(_csr(old).crow_indices(), columns, csr.values(), (NODES, NODES))
    assert_same(use(csr), use(expected))


def _write_through(write: Any, part: Tensor, new: Tensor) -> None:
    """To the memory of a sparse matrix; its parts themselves are handed out anew each time."""
    if write is WAYS[".data ="]:
        part.data.copy_(new)
    else:
        write(part, new)


def _coo(edges: Tensor) -> Tensor:
    values = torch.ones(edges.size(1), dtype=torch.float64)
    return torch.sparse_coo_tensor(edges.flip(0).clone(), values, (NODES, NODES), is_coalesced=True)


def _csr(edges: Tensor) -> Tensor:
    order = edges[1].argsort(stable=True)
    pointers = torch.cat([torch.zeros(1, dtype=torch.long), edges[1].bincount(minlength=NODES).cumsum(0)])
    values = torch.ones(edges.size(1), dtype=torch.float64)
    return torch.sparse_csr_tensor(pointers, edges[0][order].clone(), values, (NODES, NODES))


@pytest.mark.parametrize("name", TAKE_EDGE_INDEX)
@few
@given(graphs=two_graphs())
def test_edge_index_of_pyg(name: str, graphs: tuple[Tensor, Tensor]) -> None:
    use, (old, new) = OF_EDGES[name], graphs
    size = (NODES, NODES)
    index = EdgeIndex(old.clone(), sparse_size=size)
    assert_same(use(index), use(old.clone()))
    index[...] = new
    assert torch.equal(index.as_tensor(), new)
    assert_same(use(index), use(new.clone()))
    index.as_tensor().numpy()[...] = old.numpy()
    assert_same(use(index), use(old.clone()))


@pytest.mark.parametrize("use", [OF_BATCHES["FullAttention"], OF_BATCHES["all_pairs"]], ids=["FullAttention", "pairs"])
@few
@given(batches=two_batches())
def test_index_of_pyg(use: Use, batches: tuple[Tensor, Tensor]) -> None:
    index = Index(batches[0].clone(), is_sorted=True)
    use(index)
    index.as_tensor().data.copy_(batches[1])
    assert_same(use(index), use(batches[1].clone()))


@of_edges
@few
@given(graphs=two_graphs())
def test_buffers_that_are_filled_again(use: Use, graphs: tuple[Tensor, Tensor]) -> None:
    old, new = graphs
    array, octets = old.numpy().copy(), bytearray(old.numpy().tobytes())
    of_array, of_octets = torch.from_numpy(array), torch.frombuffer(octets, dtype=torch.int64).view(2, -1)
    for edges in (of_array, of_octets):
        use(edges)
    array[...] = new.numpy()
    np.frombuffer(octets, dtype=np.int64)[...] = new.numpy().ravel()
    for edges in (of_array, of_octets):
        assert_same(use(edges), use(new.clone()))


def test_tensors_of_inference_mode() -> None:
    x = _features().view(NODES, HEADS, -1)
    layer = FullAttention(CHANNELS, HEADS, score="additive").double()
    cases = [
        (lambda edges: edge_attention(x, x, x, edges, score="dot"), [[0, 1], [1, 2]], [[2, 1], [1, 0]]),
        (lambda batch: layer(_features(), batch), [0, 0, 0, 0, 1, 1], [0, 0, 1, 1, 2, 2]),
    ]
    for use, old, new in cases:
        with torch.inference_mode():
            tensor = torch.tensor(old)
            for write in ("copy_", "numpy"):
                for numbers in (new, old):
                    WAYS[write](tensor, torch.tensor(numbers))
                    for _ in range(2):
                        assert torch.equal(use(tensor), use(torch.tensor(numbers)))


def test_a_new_graph_at_the_address_of_another() -> None:
    generator, addresses = torch.Generator().manual_seed(0), set()
    use = OF_EDGES["GATv2Conv"]
    for _ in range(50):
        edges = torch.randint(NODES, (2, 500), generator=generator)
        addresses.add(edges.data_ptr())
        expected = use(edges.clone())
        assert_same(use(edges), expected)
        del edges
    assert len(addresses) < 50


def test_what_the_caller_writes_to_results_stays_out_of_later_ones() -> None:
    batch, edges = torch.tensor([0, 0, 0, 1, 1, 1]), torch.tensor([[0, 1, 2], [1, 2, 3]])
    for find in (lambda: (all_pairs(batch, NODES),), lambda: pairs_within(edges, 2, num_nodes=NODES)):
        expected = [tensor.clone() for tensor in find()]
        for k in range(len(expected)):
            assert all(torch.equal(a, b) for a, b in zip(find(), find(), strict=True))
            find()[k].data.zero_()
            assert_same(find(), tuple(expected))
