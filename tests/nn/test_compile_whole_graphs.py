"""`torch.compile` takes what attends, pools and encodes whole graphs as one graph, forward and backward.

How many graphs there are and how large they are is data: a compiled model must be right for batches it has not seen.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from batches_of_graphs import batch_of, random_edges
from torch import Tensor, nn
from torch_geometric.nn import GraphNorm

from gatlib.nn import (
    FullAttention,
    GraphReadout,
    GraphTransformerBlock,
    LinearAttention,
    SequenceReadout,
    SetTransformerPooling,
    ShortestPathEncoding,
    TransformerConv,
    TruncatedAttention,
    adjacent_edges,
    all_pairs,
    heat_kernel_encoding,
    laplacian_encoding,
    pairs_of_edges,
    pairs_within,
    random_walk_encoding,
    shortest_path_distances,
)

CHANNELS, HEADS = 8, 2
BATCHES = [[3, 1, 5, 2], [4, 0, 6]]


@pytest.fixture(autouse=True)
def forget_what_was_compiled() -> None:
    torch.compiler.reset()


class Biased(nn.Module):
    """Full attention that knows distances, and its weights."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.attention = FullAttention(CHANNELS, HEADS, **options)
        self.encoding = ShortestPathEncoding(HEADS, max_distance=2)

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor) -> tuple[Tensor, Tensor]:
        bias = self.encoding(shortest_path_distances(edge_index, batch, x.size(0)))
        out, (_, weights) = self.attention(x, batch, pair_bias=bias, return_attention_weights=True)
        return out, weights


class Truncated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = TruncatedAttention(CHANNELS, HEADS, num_hops=2, score="additive")
        self.hop_bias = nn.Parameter(torch.randn(3, HEADS))

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor) -> Tensor:
        return self.attention(x, edge_index, hop_bias=self.hop_bias)


class OfNodes(nn.Module):
    """What is called with nodes, and the graph of each unless there is one."""

    def __init__(self, module: nn.Module, one_graph: bool = False) -> None:
        super().__init__()
        self.module, self.one_graph = module, one_graph

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor) -> Tensor:
        return self.module(x) if self.one_graph else self.module(x, batch)


class WithTokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.readout = SequenceReadout(CHANNELS, 6, heads=HEADS, num_layers=1)

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor) -> Tensor:
        return self.readout(x, batch, torch.tensor([[3, 4, 2], [3, 2, 0], [5, 2, 0], [2, 0, 0], [2, 0, 0]]))


MODULES: dict[str, Callable[[], nn.Module]] = {
    "full attention": lambda: OfNodes(FullAttention(CHANNELS, HEADS)),
    "of one graph": lambda: OfNodes(FullAttention(CHANNELS, HEADS), one_graph=True),
    "relu, biased": lambda: Biased(normaliser="relu"),
    "sparsemax, biased": lambda: Biased(normaliser="sparsemax"),
    "additive, biased": lambda: Biased(score="additive"),
    "additive-dynamic of one graph": lambda: OfNodes(FullAttention(CHANNELS, HEADS, score="additive-dynamic"), True),
    "truncated": Truncated,
    "linear attention": lambda: OfNodes(LinearAttention(CHANNELS, HEADS)),
    "set transformer": lambda: OfNodes(GraphReadout(16, 2, SetTransformerPooling(CHANNELS, HEADS, 2), dropout=0.3)),
    "block": lambda: GraphTransformerBlock(
        CHANNELS, TransformerConv(CHANNELS, 4, HEADS), heads=HEADS, norm=GraphNorm, drop_path=0.3
    ),
    "sequences": WithTokens,
}


@pytest.mark.parametrize("make", MODULES.values(), ids=MODULES)
def test_modules(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    module = make()
    compiled = torch.compile(module, fullgraph=True, dynamic=True, backend="aot_eager")
    for sizes in BATCHES:
        batch, x = batch_of(sizes), torch.randn(sum(sizes), CHANNELS)
        edge_index = random_edges(sizes)
        results = []
        for model in (compiled, module):
            torch.manual_seed(1)  # dropout
            leaf = x.clone().requires_grad_()
            out = model(leaf, edge_index, batch)
            out = out if isinstance(out, tuple) else (out,)
            loss = sum(part.sin().sum() for part in out)
            results.append([*out, *torch.autograd.grad(loss, [leaf, *module.parameters()], allow_unused=True)])
        for found, expected in zip(*results, strict=True):
            if found is None or expected is None:
                assert found is None or not found.any()
                assert expected is None or not expected.any()
            else:
                torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def functions_of_a_graph(edge_index: Tensor, batch: Tensor, num_nodes: int) -> tuple[Tensor, ...]:
    return (
        all_pairs(batch, num_nodes),
        all_pairs(None, num_nodes),
        *pairs_within(edge_index, 2, num_nodes=num_nodes),
        pairs_of_edges(edge_index, batch, num_nodes),
        shortest_path_distances(edge_index, batch, num_nodes),
        shortest_path_distances(edge_index, None, num_nodes),
        adjacent_edges(edge_index, num_nodes=num_nodes),
        random_walk_encoding(edge_index, 3, batch, num_nodes=num_nodes),
        laplacian_encoding(edge_index, 2, batch, num_nodes=num_nodes)[1],
        heat_kernel_encoding(edge_index, [0.5, 2.0], batch, num_nodes=num_nodes),
    )


def test_functions() -> None:
    compiled = torch.compile(functions_of_a_graph, fullgraph=True, dynamic=True, backend="aot_eager")
    for sizes in BATCHES:
        batch = batch_of(sizes)
        given = (random_edges(sizes), batch, sum(sizes))
        expected = functions_of_a_graph(*given)
        torch.testing.assert_close(compiled(*given), expected)
        # What is remembered is not what the compiled model got: it may write to that.
        for made in compiled(*given):
            made.zero_()
        torch.testing.assert_close(functions_of_a_graph(*given), expected)


def test_without_a_full_graph_no_kernel_is_traced() -> None:
    """Where something else breaks the graph, a compiler looks into every function that is called after it."""
    ours = FullAttention(CHANNELS, HEADS, normaliser="relu")

    def broken(x: Tensor, batch: Tensor) -> Tensor:
        torch._dynamo.graph_break()
        return ours(x, batch) + all_pairs(batch, x.size(0)).size(1)

    x, batch = torch.randn(11, CHANNELS), batch_of(BATCHES[0])
    torch.testing.assert_close(torch.compile(broken, backend="aot_eager")(x, batch), broken(x, batch))


def test_a_bias_that_does_not_fit_is_found_as_the_model_runs() -> None:
    ours = FullAttention(CHANNELS, HEADS)
    compiled = torch.compile(ours, fullgraph=True, dynamic=True, backend="aot_eager")
    x, batch, bias = torch.randn(11, CHANNELS), batch_of(BATCHES[0]), torch.randn(39, HEADS)
    torch.testing.assert_close(compiled(x, batch, pair_bias=bias), ours(x, batch, pair_bias=bias))
    with pytest.raises((ValueError, RuntimeError), match=r"bias must have 39 rows|assertion failed"):
        compiled(x, batch, pair_bias=bias[:38])
