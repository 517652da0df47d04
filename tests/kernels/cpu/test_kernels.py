"""The kernels against attention by dense matrices in float64, and what must hold of them to the last bit."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from gatlib.kernels import cpu
from gatlib.kernels.cpu.forward import BLOCK
from gatlib.kernels.cpu.spans import MOST_SPANS
from gatlib.kernels.dropout import keep_mask
from gatlib.kernels.interface import Attention, Forward, Gradients

SCORES = ("additive", "additive-dynamic", "dot")
NORMALISERS = ("softmax", "sigmoid", "relu")
TOLERANCES = {torch.float32: 2e-5, torch.float64: 1e-12}  # relative to the largest number
LEAVES = ("query", "key", "value", "att", "edge_attr", "edge_weight", "bias")
# Heads, channels and edge features: none, four or eight to a vector.
SIZES = {"single numbers": (3, 5, 3), "vectors of four": (4, 12, 4), "vectors of eight": (8, 16, 16)}
NUM_SOURCES, NUM_TARGETS, NUM_EDGES = 23, 19, 400
HUB, ALONE = 3, 5  # a target of more edges than a block, and a target and source without any
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "edge features": {"edge_features": True},
    "bias": {"bias": True},
    "dropout": {"dropout": 0.4},
    "self-loops": {"loops": True},
    "weights": {"weights": True},
    "key is value": {"one_tensor": True},
    "more channels in keys": {"key_channels": 2},
    "everything": {"edge_features": True, "bias": True, "dropout": 0.4, "loops": True, "weights": True},
}

every_score = pytest.mark.parametrize("score", SCORES)
every_normaliser = pytest.mark.parametrize("normaliser", NORMALISERS)
every_dtype = pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
every_size = pytest.mark.parametrize("size", SIZES)
every_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)


class Problem:
    """An attention over random numbers, and how to run it forward and backward."""

    def __init__(
        self,
        score: str,
        normaliser: str = "softmax",
        dtype: torch.dtype = torch.float64,
        size: str = "single numbers",
        *,
        edge_index: Tensor | None = None,
        nodes: tuple[int, int] = (NUM_SOURCES, NUM_TARGETS),
        edge_features: bool = False,
        bias: bool = False,
        dropout: float = 0.0,
        loops: bool = False,
        weights: bool = False,
        one_tensor: bool = False,
        key_channels: int = 1,
    ) -> None:
        generator = torch.Generator().manual_seed(1)

        def draw(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

        self.edge_index = with_hub(generator) if edge_index is None else edge_index
        self.nodes, self.loops, self.weights = nodes, loops, weights
        num_sources, num_targets = nodes
        num_loops = min(nodes) if loops else 0
        self.num_edges = self.edge_index.size(1) + num_loops
        self.source, self.target = torch.cat([self.edge_index, torch.arange(num_loops).expand(2, -1)], dim=1)
        is_loop = self.edge_index[0] == self.edge_index[1]
        self.kept = torch.cat([~is_loop | (not loops), torch.ones(num_loops, dtype=torch.bool)])

        heads, channels, features = SIZES[size]
        width = 1 if score == "additive" else channels * key_channels
        channels = width if one_tensor else channels
        key = draw(num_sources, heads, width)
        self.attention = Attention(
            score=score,  # type: ignore[arg-type]
            normaliser=normaliser,  # type: ignore[arg-type]
            query=draw(num_targets, heads, width),
            key=key,
            value=key if one_tensor else draw(num_sources, heads, channels),
            att=draw(heads, width) if score == "additive-dynamic" else None,
            edge_attr=draw(self.num_edges, heads if score == "additive" else features) if edge_features else None,
            edge_weight=draw(heads * width, features) if edge_features and score != "additive" else None,
            edge_query=None,
            bias=draw(self.num_edges, heads) if bias else None,
            negative_slope=0.2,
            dropout=dropout,
            seed=torch.tensor(123456789012345),
        )
        out_shape = (num_targets, heads, channels)
        self.grad_out = draw(*out_shape)
        self.grad_weights = draw(self.num_edges, heads) if weights else None

    def run(self) -> tuple[Forward, Gradients]:
        graph = cpu.sort_edges(self.edge_index, *self.nodes, self.loops)
        forward = cpu.forward(self.attention, graph, self.weights)
        upstream = (self.grad_out, self.grad_weights)
        return forward, cpu.backward(self.attention, graph, None, *upstream, needs_edge_attr=True)

    def found(self) -> dict[str, Tensor]:
        forward, gradients = self.run()
        named = {"out": forward.out, "weights": forward.weights}
        named |= {f"gradient of {name}": gradient for name, gradient in gradients._asdict().items()}
        return {name: tensor for name, tensor in named.items() if tensor is not None}

    def expected(self) -> dict[str, Tensor]:
        """What `found` should be, in float64."""
        given = {name: getattr(self.attention, name) for name in LEAVES}
        leaves = {name: leaf.double().requires_grad_() for name, leaf in given.items() if leaf is not None}
        if self.attention.value is self.attention.key:
            leaves["value"] = leaves["key"]
        named = dense_attention(self, self.attention._replace(**leaves))
        cotangents = {"out": self.grad_out, "weights": self.grad_weights}
        named = {name: tensor for name, tensor in named.items() if cotangents[name] is not None}
        loss = sum((tensor * cotangents[name].double()).sum() for name, tensor in named.items())
        gradients = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
        for name, leaf, gradient in zip(leaves, leaves.values(), gradients, strict=True):
            if name == "key" or leaf is not leaves["key"]:
                named[f"gradient of {name}"] = torch.zeros_like(leaf) if gradient is None else gradient
        return {name: tensor.detach() for name, tensor in named.items()}


def with_hub(generator: torch.Generator) -> Tensor:
    source = torch.randint(NUM_SOURCES, (NUM_EDGES,), generator=generator)
    target = torch.randint(NUM_TARGETS, (NUM_EDGES,), generator=generator)
    target[: 3 * BLOCK + 4] = HUB
    source[source == ALONE] = 0
    target[target == ALONE] = 0
    return torch.stack([source, target])


def dense_attention(problem: Problem, attention: Attention) -> dict[str, Tensor | None]:
    """Nodes are taken to edges and back by matrices of zeros and ones, and every target weighs every edge."""
    num_sources, num_targets = problem.nodes
    from_source = F.one_hot(problem.source, num_sources).double()
    to_target = F.one_hot(problem.target, num_targets).double() * problem.kept[:, None]
    query = torch.einsum("ei,ihk->ehk", to_target, attention.query)
    key, value = (torch.einsum("ej,jhk->ehk", from_source, nodes) for nodes in (attention.key, attention.value))
    edge_attr, heads, width = attention.edge_attr, *attention.query.shape[1:]
    if attention.score == "dot":
        if edge_attr is not None:
            projected = (edge_attr @ attention.edge_weight.t()).view(-1, heads, width)
            key, value = key + projected, value + projected
        scores = (query * key).sum(dim=2) / math.sqrt(width)
    else:
        hidden = query + key
        if edge_attr is not None:
            projected = edge_attr if attention.score == "additive" else edge_attr @ attention.edge_weight.t()
            hidden = hidden + projected.view(-1, heads, width)
        hidden = torch.where(hidden > 0, hidden, attention.negative_slope * hidden)
        scores = (hidden if attention.att is None else hidden * attention.att).sum(dim=2)
    scores = scores if attention.bias is None else scores + attention.bias
    weights = dense_weights(attention.normaliser, scores, to_target.t().bool())
    if attention.dropout > 0:
        kept = keep_mask(attention.seed, problem.num_edges, heads, attention.dropout)
        weights = weights * kept / (1 - attention.dropout)
    return {
        "out": torch.einsum("ei,eh,ehc->ihc", to_target, weights, value),
        "weights": weights,
    }


def dense_weights(normaliser: str, scores: Tensor, into: Tensor) -> Tensor:
    """[E, H] from scores [E, H]; `into` [N_target, E] is true where an edge points to a node."""
    kept = into.any(dim=0)[:, None]
    if normaliser == "sigmoid":
        return scores.sigmoid() * kept
    if normaliser == "relu":
        return scores.relu() * (into.double() / into.sum(dim=1, keepdim=True).clamp(min=1)).sum(dim=0)[:, None]
    # A node without edges is given all, whose weights nothing then takes.
    masked = scores.masked_fill(~(into | ~into.any(dim=1, keepdim=True))[:, :, None], -math.inf)
    return (masked.softmax(dim=1) * into[:, :, None]).sum(dim=0)


def assert_close(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        error = (found[name] - tensor).abs().max() / tensor.abs().max().clamp(min=1e-30)
        assert error <= tolerance, f"{name}: {error:.1e}"


@every_option
@every_size
@every_dtype
@every_normaliser
@every_score
def test_dense_attention(score: str, normaliser: str, dtype: torch.dtype, size: str, options: dict[str, Any]) -> None:
    problem = Problem(score, normaliser, dtype, size, **options)
    assert_close(problem.found(), problem.expected(), TOLERANCES[dtype])


@pytest.mark.parametrize("order", ["rising", "falling"])
@every_dtype
@every_score
def test_blocks_of_rising_scores(score: str, dtype: torch.dtype, order: str) -> None:
    problem = Problem(score, "softmax", dtype, "vectors of four", edge_features=True, bias=True, weights=True)
    steps = torch.linspace(-40, 40, problem.num_edges, dtype=dtype)  # the edges of the hub come first
    problem.attention.bias.add_((steps if order == "rising" else -steps)[:, None])
    assert_close(problem.found(), problem.expected(), TOLERANCES[dtype])


@pytest.mark.parametrize("slope", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("score", SCORES[:2])
def test_slopes_of_the_leaky_relu(score: str, slope: float) -> None:
    problem = Problem(score, "sigmoid", size="vectors of four", edge_features=True)
    problem.attention = problem.attention._replace(negative_slope=slope)
    assert_close(problem.found(), problem.expected(), 1e-12)


@every_size
@pytest.mark.parametrize("score", SCORES[:2])
def test_leaky_relu_at_zero_has_the_slope_of_the_negative_side(score: str, size: str) -> None:
    problem = Problem(score, "sigmoid", torch.float64, size)
    problem.attention.query.fill_(0.5)
    problem.attention.key.fill_(-0.5)
    found, expected = problem.found(), problem.expected()
    found.pop("gradient of att", None), expected.pop("gradient of att", None)  # but for rounding, zero
    assert_close(found, expected, 1e-12)
    assert found["gradient of query"].abs().max() > 0.01


@every_normaliser
@every_score
def test_nodes_without_edges_are_exactly_zero(score: str, normaliser: str) -> None:
    found = Problem(score, normaliser, torch.float32, edge_features=True, weights=True).found()
    for name in ["out", "gradient of query", "gradient of key", "gradient of value"]:
        if name in found:
            rows = found[name].flatten(start_dim=1).any(dim=1)
            assert not rows[ALONE]
            assert rows.sum() == len(rows) - 1, name


@every_dtype
@every_normaliser
@every_score
def test_biases_of_minus_infinity_are_as_if_the_edges_were_not(score: str, normaliser: str, dtype: torch.dtype) -> None:
    whole = Problem(score, normaliser, dtype, edge_features=True, bias=True, weights=True)
    hidden = (whole.target == HUB) | (torch.arange(whole.num_edges) % 3 == 0)
    whole.attention.bias[hidden] = -math.inf
    found = whole.found()
    assert not found["out"][HUB].any()
    assert not found["weights"][hidden].any()
    assert found["weights"][~hidden].any()
    expected = whole.expected() if normaliser != "softmax" else without_edges(whole, hidden).expected()
    for name, tensor in expected.items():
        rows = found[name][~hidden] if tensor.size(0) == (~hidden).sum() else found[name]
        assert_close({name: rows}, {name: tensor}, TOLERANCES[dtype])
        if rows is not found[name]:
            assert not found[name][hidden].any()


def without_edges(whole: Problem, hidden: Tensor) -> Problem:
    part = Problem(whole.attention.score, edge_index=whole.edge_index[:, ~hidden], edge_features=True, bias=True)
    attention = whole.attention
    part.attention = attention._replace(edge_attr=attention.edge_attr[~hidden], bias=attention.bias[~hidden])
    part.grad_out = whole.grad_out
    part.grad_weights = whole.grad_weights[~hidden]
    return part


@every_normaliser
@every_score
def test_nan_reaches_the_nodes_that_see_it_and_no_other(score: str, normaliser: str) -> None:
    problem = Problem(score, normaliser, torch.float32, "vectors of eight")
    before, source = problem.found(), 7
    problem.attention.key[source] = math.nan
    after, sees = problem.found(), torch.zeros(NUM_TARGETS, dtype=torch.bool)
    sees[problem.target[problem.source == source]] = True
    assert 3 < sees.sum() < NUM_TARGETS - 3
    assert after["out"][sees].isnan().all()
    for name in ("out", "gradient of query"):
        assert torch.equal(after[name][~sees], before[name][~sees])


@every_dtype
@every_normaliser
@every_score
def test_huge_scores(score: str, normaliser: str, dtype: torch.dtype) -> None:
    problem = Problem(score, normaliser, dtype, "vectors of four", bias=True, weights=True)
    signs = torch.arange(problem.num_edges) % 2 * 2 - 1
    problem.attention.bias.add_(1e4 * signs[:, None])
    # Near 1e4, float32 has steps of 1e-3.
    assert_close(problem.found(), problem.expected(), 1e-2 if dtype == torch.float32 else 1e-10)


@every_score
def test_certain_dropout(score: str) -> None:
    found = Problem(score, edge_features=True, bias=True, dropout=1.0, weights=True).found()
    assert not any(tensor.any() for tensor in found.values())


@every_score
def test_edge_features_without_need_of_their_gradient(score: str) -> None:
    problem = Problem(score, edge_features=True)
    graph = cpu.sort_edges(problem.edge_index, *problem.nodes, False)
    given = (None, problem.grad_out, None)
    gradients = cpu.backward(problem.attention, graph, *given, needs_edge_attr=False)
    expected = cpu.backward(problem.attention, graph, *given, needs_edge_attr=True)
    assert gradients.edge_attr is None
    for a, b in zip(gradients._replace(edge_attr=expected.edge_attr), expected, strict=True):
        assert a is b is None or torch.equal(a, b)


@pytest.mark.parametrize("nodes", [(0, 0), (0, 3), (3, 0), (4, 3)], ids=str)
@every_score
def test_no_edges(score: str, nodes: tuple[int, int]) -> None:
    nothing = torch.empty(2, 0, dtype=torch.long)
    problem = Problem(score, edge_index=nothing, nodes=nodes, edge_features=True, bias=True, weights=True)
    found = problem.found()
    assert found["out"].shape == (nodes[1], *SIZES["single numbers"][:2])
    assert found["gradient of value"].shape == (nodes[0], *SIZES["single numbers"][:2])
    assert not any(tensor.any() for tensor in found.values())


@every_score
def test_same_bits_again_and_with_more_threads(score: str) -> None:
    num_nodes, num_edges = 20_000, 300_000
    generator = torch.Generator().manual_seed(2)
    edge_index = torch.randint(num_nodes, (2, num_edges), generator=generator)
    problem = Problem(
        score, dtype=torch.float32, edge_index=edge_index, nodes=(num_nodes,) * 2, **OPTIONS["everything"]
    )
    graph = cpu.sort_edges(edge_index, *problem.nodes, problem.loops)
    assert len(graph.target_spans) == len(graph.source_spans) == MOST_SPANS
    threads, found = torch.get_num_threads(), []
    try:
        for count in (1, 1, 2):
            torch.set_num_threads(count)
            found.append(problem.found())
    finally:
        torch.set_num_threads(threads)
    for again in found[1:]:
        for name, tensor in again.items():
            assert torch.equal(tensor, found[0][name]), name


def test_offsets_beyond_31_bits() -> None:
    heads, channels, _ = SIZES["vectors of four"]
    width = heads * channels
    last_node, last_edge = 2**31 // width + 10, 2**31 // heads + 10
    try:  # all but a few pages of which are never touched
        numbers = torch.empty((last_node + 1) * width + heads)
        colptr = torch.empty(last_node + 2, dtype=torch.int64)
    except RuntimeError:
        pytest.skip("needs 9 GB of address space")
    loop = torch.zeros(2, 1, dtype=torch.long)
    small = Problem("dot", "sigmoid", torch.float32, "vectors of four", edge_index=loop, nodes=(1, 1))
    rows = numbers[: (last_node + 1) * width].view(-1, heads, channels)
    rows[last_node] = small.attention.key[0]
    small.attention = small.attention._replace(value=small.attention.key)
    out, gradients = small.run()

    graph = cpu.sort_edges(loop, 1, 1, False)
    graph.adjacency.col.fill_(last_node)
    large = small.attention._replace(key=rows, value=rows)
    assert torch.equal(cpu.forward(large, graph, False).out, out.out)

    colptr[last_node:] = torch.tensor([0, 1])
    adjacency = graph.adjacency._replace(colptr=colptr)
    addresses = graph.addresses._replace(colptr=colptr.data_ptr())
    graph = graph._replace(adjacency=adjacency, addresses=addresses, source_spans=[(last_node, last_node + 1)])
    found = cpu.backward(large, graph, None, small.grad_out, None, False)
    assert torch.equal(found.query, gradients.query)
    assert torch.equal(found.key[last_node], gradients.key[0])

    bias = numbers[: (last_edge + 1) * heads].view(-1, heads)
    bias[last_edge] = torch.arange(heads)
    graph.adjacency.col.fill_(0)
    graph.adjacency.edge.fill_(last_edge)
    of_bias = [small.attention._replace(bias=rows) for rows in (bias, bias[last_edge:])]
    found_out = cpu.forward(of_bias[0], graph, False).out
    assert torch.equal(found_out, cpu.forward(of_bias[1], cpu.sort_edges(loop, 1, 1, False), False).out)
    assert not torch.equal(found_out, out.out)
