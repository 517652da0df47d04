"""Gradients where the softmax is saturated: no further from the truth than those of PyG, or of plain PyTorch.

In float32 a score of 1e6 is rounded to a sixteenth and one of 1e9 to 64, so whatever computes in it is off. One graph
alone says little of how far: all may hang on the two scores that happen to lie nearest. So many graphs are compared.
"""

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch_geometric.nn as pyg
from attention_problems import every_score
from hypothesis import given, settings
from hypothesis import strategies as st
from side_by_side import LAYERS, TRANSFORMER
from torch import Tensor, nn

import gatlib.nn
from gatlib.nn import FullAttention, TruncatedAttention
from gatlib.nn.functional import edge_attention
from gatlib.nn.pooling import MultiheadAttentionPooling
from gatlib.nn.sequence_readout import SequenceReadout

SCALES = (1, 10, 100, 300, 1_000, 10_000)
NUM_NODES, NUM_EDGES, HEADS, CHANNELS, FEATURES, EDGE_FEATURES, GRAPHS = 60, 300, 4, 8, 16, 5, 16
every_scale = pytest.mark.parametrize("scale", SCALES)

Gradients = dict[str, Tensor]
Call = Callable[..., Any]


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed + sum(shape)), dtype=torch.float64).float()


def random_edges(seed: int) -> Tensor:
    return torch.randint(NUM_NODES, (2, NUM_EDGES), generator=torch.Generator().manual_seed(seed))


def gradients(outputs: Any, leaves: dict[str, Tensor]) -> Gradients:
    """In float64, of a sum of the outputs with random factors."""
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    factors = [drawn(5, *out.shape).to(out.dtype) for out in outputs]
    found = torch.autograd.grad(outputs, list(leaves.values()), factors, materialize_grads=True, allow_unused=True)
    return {name: gradient.double() for name, gradient in zip(leaves, found, strict=True)}


def of_layer(layer: nn.Module, call: Call, inputs: dict[str, Tensor], dtype: torch.dtype) -> Gradients:
    """Of `call(layer, **inputs)`, with respect to inputs and parameters."""
    layer = copy.deepcopy(layer).to(dtype)
    inputs = {name: tensor.to(dtype).requires_grad_() for name, tensor in inputs.items()}
    return gradients(call(layer, **inputs), {**inputs, **dict(layer.named_parameters())})


def assert_no_worse(found: list[Gradients], peer: list[Gradients], exact: list[Gradients]) -> None:
    """At most four times as far from the truth, in the geometric mean over graphs."""
    for name in exact[0]:
        ours, theirs, truth = (torch.stack([graph[name] for graph in graphs]) for graphs in (found, peer, exact))
        assert ours.isfinite().all(), name
        floor = 1e-6 * (1 + truth.flatten(1).norm(dim=1))
        error, bound = (((one - truth).flatten(1).norm(dim=1) + floor).log().mean().exp() for one in (ours, theirs))
        assert error <= 4 * bound, f"{name}: {error:.1e}, the peer's {bound:.1e}"


# --- The layers against PyG ---


def layers(name: str, seed: int = 0, **options: Any) -> tuple[nn.Module, nn.Module]:
    """Ours and PyG's, with the same parameters."""
    made = []
    for library in (gatlib.nn, pyg):
        torch.manual_seed(seed)
        made.append(getattr(library, name)(FEATURES, CHANNELS, heads=HEADS, **options))
    return made[0], made[1]


def over_edges(edges: Tensor) -> Call:
    return lambda layer, x, edge_attr=None: layer(x, edges, edge_attr) if edge_attr is not None else layer(x, edges)


@every_scale
@pytest.mark.parametrize("edge_dim", [None, EDGE_FEATURES], ids=["plain", "edge features"])
@pytest.mark.parametrize("name", LAYERS)
def test_layers_against_pyg(name: str, edge_dim: int | None, scale: float) -> None:
    found, peer, exact = [], [], []
    for seed in range(GRAPHS):
        ours, theirs = layers(name, seed, edge_dim=edge_dim)
        inputs = {"x": scale * drawn(seed, NUM_NODES, FEATURES)}
        if edge_dim is not None:
            inputs["edge_attr"] = scale * drawn(seed, NUM_EDGES, edge_dim)
        call = over_edges(random_edges(seed))
        found.append(of_layer(ours, call, inputs, torch.float32))
        peer.append(of_layer(theirs, call, inputs, torch.float32))
        exact.append(of_layer(theirs, call, inputs, torch.float64))
    assert_no_worse(found, peer, exact)


@pytest.mark.parametrize("name", LAYERS)
def test_float64_is_the_float64_of_pyg(name: str) -> None:
    ours, theirs = layers(name, edge_dim=EDGE_FEATURES)
    inputs = {"x": 1e3 * drawn(0, NUM_NODES, FEATURES), "edge_attr": 1e3 * drawn(0, NUM_EDGES, EDGE_FEATURES)}
    call = over_edges(random_edges(0))
    found, exact = (of_layer(layer, call, inputs, torch.float64) for layer in (ours, theirs))
    for name, gradient in exact.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-6, atol=1e-6 * max(1.0, float(gradient.norm())))


def test_a_length_that_pyg_has_in_either_precision() -> None:
    ours, theirs = layers(TRANSFORMER)
    torch.manual_seed(0)
    inputs, call = {"x": torch.randn(50, FEATURES) * 300}, over_edges(torch.randint(50, (2, 400)))
    expected = float(of_layer(theirs, call, inputs, torch.float64)["x"].norm())
    for layer in (theirs, ours):
        assert float(of_layer(layer, call, inputs, torch.float32)["x"].norm()) == pytest.approx(expected, rel=1e-2)


# --- Every score and normaliser, and biases, against plain PyTorch ---


def problem(score: str, seed: int, scale: float, with_edges: bool, with_bias: bool) -> dict[str, Tensor | None]:
    width = 1 if score == "additive" else CHANNELS
    bias = None
    if with_bias:
        bias = 1e4 * drawn(seed + 1, NUM_EDGES, HEADS).sign()
        bias[drawn(seed + 2, NUM_EDGES, HEADS) > 1] = -math.inf
    return {
        "query": scale * drawn(seed, NUM_NODES, HEADS, width),
        "key": scale * drawn(seed + 3, NUM_NODES, HEADS, width),
        "value": drawn(seed + 4, NUM_NODES, HEADS, CHANNELS),
        "att": drawn(seed, HEADS, width) if score == "additive-dynamic" else None,
        "edge_attr": scale * drawn(seed, NUM_EDGES, EDGE_FEATURES) if with_edges else None,
        "edge_weight": drawn(seed, HEADS * width, EDGE_FEATURES) / EDGE_FEATURES if with_edges else None,
        "bias": bias,
    }


def of_attention(fields: dict[str, Tensor | None], dtype: torch.dtype, **options: Any) -> Gradients:
    leaves = {name: field.to(dtype).requires_grad_() for name, field in fields.items() if field is not None}
    return gradients(edge_attention(**leaves, return_attention_weights=True, **options), leaves)


@every_scale
@pytest.mark.parametrize("normaliser", ["softmax", "sigmoid", "relu"])
@every_score
def test_attention_against_the_reference(score: Any, normaliser: Any, scale: float) -> None:
    for with_edges, with_bias in ((False, False), (True, True)):
        found, peer, exact = [], [], []
        for seed in range(GRAPHS):
            fields = problem(score, seed, scale, with_edges, with_bias)
            options = {"edge_index": random_edges(seed), "score": score, "normaliser": normaliser}
            found.append(of_attention(fields, torch.float32, implementation="cpu", **options))
            peer.append(of_attention(fields, torch.float32, implementation="reference", **options))
            exact.append(of_attention(fields, torch.float64, implementation="reference", **options))
        assert_no_worse(found, peer, exact)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16], ids=str)
@every_scale
@every_score
def test_weights_sum_to_one(score: Any, scale: float, dtype: torch.dtype) -> None:
    fields = problem(score, 0, min(scale, 100) if dtype == torch.float16 else scale, True, False)
    leaves = {name: None if field is None else field.to(dtype) for name, field in fields.items()}
    edges = random_edges(0)
    _, weights = edge_attention(
        **leaves, edge_index=edges, score=score, return_attention_weights=True, implementation="cpu"
    )
    sums = torch.zeros(NUM_NODES, HEADS, dtype=torch.float64).index_add(0, edges[1], weights.double())
    has_edges = torch.zeros(NUM_NODES, dtype=torch.bool).index_fill(0, edges[1], True)
    assert weights.max() <= 1 + torch.finfo(dtype).eps
    torch.testing.assert_close(
        sums[has_edges], torch.ones_like(sums[has_edges]), rtol=0, atol=8 * torch.finfo(dtype).eps
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([0.0, 1.0, 1e4, 1e9, 1e30]), st.integers(1, 5))
def test_parallel_edges_leave_no_rounding(seed: int, scale: float, count: int) -> None:
    """Whose scores and values are alike: nothing of the gradient of a score is left that huge keys could enlarge."""
    edges = torch.tensor([[0], [1]]).expand(2, count).contiguous()
    key = (scale * drawn(seed % 1000, 2, 1, 4)).requires_grad_()
    query, value = drawn(seed % 1000 + 1, 2, 1, 4).requires_grad_(), drawn(seed % 1000 + 2, 2, 1, 4)
    out = edge_attention(query, key, value, edges, score="dot", implementation="cpu")
    found = torch.autograd.grad((out * drawn(seed % 1000 + 3, 2, 1, 4)).sum(), [query, key])
    assert found[0].abs().max() <= 1e-12 * scale
    assert found[1].abs().max() <= 1e-12


# --- Attention beyond the neighbours ---


BATCH = torch.arange(3).repeat_interleave(NUM_NODES // 3)
TOKENS = torch.randint(3, 9, (3, 12), generator=torch.Generator().manual_seed(0))


def by_pytorch(layer: FullAttention, x: Tensor) -> Tensor:
    """As on a GPU: PyTorch's own attention over the graphs of one size."""
    projected = nn.functional.linear(x, layer.in_proj_weight, layer.in_proj_bias)
    return layer.out_proj(layer._blocks(projected, [(3, NUM_NODES // 3)]))


WAYS: dict[str, tuple[Callable[[], nn.Module], Call]] = {
    "full": (lambda: FullAttention(FEATURES, 2), lambda layer, x: layer(x, BATCH)),
    "full, over pairs": (
        lambda: FullAttention(FEATURES, 2),
        lambda layer, x: layer(x, BATCH, return_attention_weights=True)[0],
    ),
    "full, by PyTorch": (lambda: FullAttention(FEATURES, 2), lambda layer, x: by_pytorch(layer, x)),
    "full, of few graphs": (lambda: FullAttention(FEATURES, 1), lambda layer, x: layer(x)),
    "truncated": (
        lambda: TruncatedAttention(FEATURES, 2, num_hops=2),
        lambda layer, x: layer(x, random_edges(0)),
    ),
    "pooling": (lambda: MultiheadAttentionPooling(FEATURES, 2, 3), lambda layer, x: layer(x, BATCH)),
    "sequence": (lambda: SequenceReadout(FEATURES, 9), lambda layer, x: layer(x, BATCH, TOKENS)),
}


@pytest.mark.parametrize("scale", [1, 100, 1_000, 10_000])
@pytest.mark.parametrize("way", WAYS)
def test_attention_to_more_than_neighbours(way: str, scale: float) -> None:
    """Against plain PyTorch: the reference, and for sequences attention whose weights are saved."""
    make, call = WAYS[way]
    found, peer, exact = [], [], []
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(4 if way == "full, of few graphs" else 1)
        for seed in range(GRAPHS):
            torch.manual_seed(seed)
            layer, inputs = make(), {"x": scale * drawn(seed, NUM_NODES, FEATURES)}
            plain = copy.deepcopy(layer)
            plain.implementation = "reference"  # type: ignore[assignment]
            found.append(of_layer(layer, call, inputs, torch.float32))
            with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
                peer.append(of_layer(plain, call, inputs, torch.float32))
                exact.append(of_layer(plain, call, inputs, torch.float64))
    finally:
        torch.set_num_threads(threads)
    assert_no_worse(found, peer, exact)
