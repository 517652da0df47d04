"""The Triton kernels against dense attention in float64, on a GPU if there is one and else in Triton's interpreter."""

import importlib
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gatlib.kernels import dropout as dropout_module
from gatlib.kernels.dropout import keep_mask
from gatlib.kernels.interface import Attention, Forward

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
INTERPRETED = DEVICE.type == "cpu" and __name__ != "__main__"
if INTERPRETED:
    os.environ["TRITON_INTERPRET"] = "1"
triton = pytest.importorskip("triton", reason="triton is not installed")
if INTERPRETED:
    # PyTorch Geometric has imported Triton before this module could ask for the interpreter.
    importlib.reload(importlib.import_module("triton.language.standard"))
    importlib.reload(importlib.import_module("triton.language"))

import triton.language as tl  # noqa: E402

from gatlib.kernels import gpu  # noqa: E402
from gatlib.kernels.gpu import backward_pass, edge_features, forward_pass, tiles  # noqa: E402

SCORES = ("additive", "additive-dynamic", "dot")
NORMALISERS = ("softmax", "sigmoid", "relu")
# Relative to the largest number. Half precision rounds what is stored; the interpreter cuts bfloat16 off.
TOLERANCES = {torch.float64: 1e-12, torch.float32: 1e-5, torch.float16: 1e-3, torch.bfloat16: 1e-2}
LEAVES = ("query", "key", "value", "att", "edge_attr", "edge_weight", "edge_query", "bias")
NUM_SOURCES, NUM_TARGETS = 5, 6
# Target 0 has more edges than a block; there are parallel edges and self-loops; source 4 and target 5 have no edge.
EDGES = [(j, 0) for j in (0, 3, 1, 2, 3, 0, 1, 1, 0, 2, 3)]
EDGES += [(0, 1), (0, 1), (1, 1), (3, 2), (2, 2), (1, 3), (0, 3), (3, 3), (0, 4)]
EDGE_INDEX = torch.tensor(EDGES).t().contiguous()


def problem(
    score: str,
    dtype: torch.dtype = torch.float32,
    *,
    normaliser: str = "softmax",
    edge_index: Tensor = EDGE_INDEX,
    sizes: tuple[int, int] = (NUM_SOURCES, NUM_TARGETS),
    heads: int = 3,
    channels: int = 5,
    features: int = 3,
    bias: bool = True,
    dropout: float = 0.3,
    add_self_loops: bool = False,
    shared: bool = False,
) -> tuple[Attention, Any]:
    """An attention over random tensors, and its sorted graph. Nothing is a power of two."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int, inputs: int = 1) -> Tensor:
        return (torch.randn(shape, generator=generator) / math.sqrt(inputs)).to(DEVICE, dtype)

    num_sources, num_targets = sizes
    num_edges = edge_index.size(1) + (min(sizes) if add_self_loops else 0)
    key_channels = {"additive": 1, "additive-dynamic": channels if shared else channels + 2, "dot": channels}[score]
    has_weight = features > 0 and score == "additive-dynamic"
    key = draw(num_sources, heads, key_channels)
    attention = Attention(
        score=score,  # type: ignore[arg-type]
        normaliser=normaliser,  # type: ignore[arg-type]
        query=draw(num_targets, heads, key_channels),
        key=key,
        value=key if shared else draw(num_sources, heads, channels),
        att=draw(heads, key_channels, inputs=key_channels) if score == "additive-dynamic" else None,
        edge_attr=draw(num_edges, heads if score == "additive" else features) if features else None,
        edge_weight=draw(heads * key_channels, features, inputs=features) if has_weight else None,
        edge_query=draw(num_targets, heads, features, inputs=features) if features and score == "dot" else None,
        bias=draw(num_edges, heads) if bias else None,
        negative_slope=0.2,
        dropout=dropout,
        seed=torch.tensor(2**40 + 12345, device=DEVICE),
    )
    return attention, gpu.sort_edges(edge_index.to(DEVICE), num_sources, num_targets, add_self_loops)


def dense(attention: Attention, graph: Any) -> tuple[Tensor, Tensor | None, Tensor]:
    """`Forward`, with every edge, head and channel in memory."""
    a, (adjacency, num_edges) = attention, graph
    source, edge = adjacency.col.long(), adjacency.edge.long()
    target = torch.arange(a.query.size(0), device=DEVICE).repeat_interleave(adjacency.rowptr.diff())
    query, key = a.query[target], a.key[source]
    if a.score == "dot":
        score = (query * key).sum(-1)
        if a.edge_attr is not None:
            score = score + (a.edge_query[target] * a.edge_attr[edge].unsqueeze(1)).sum(-1)
        score = score / math.sqrt(key.size(2))
    else:
        hidden = query + key
        if a.edge_attr is not None:
            projected = a.edge_attr if a.edge_weight is None else a.edge_attr @ a.edge_weight.t()
            hidden = hidden + projected[edge].view_as(hidden)
        hidden = F.leaky_relu(hidden, a.negative_slope)
        score = (hidden if a.att is None else hidden * a.att).sum(-1)
    if a.bias is not None:
        score = score + a.bias[edge]

    alpha = torch.zeros_like(score)
    for i in target.unique():
        own = target == i
        if a.normaliser == "softmax":
            alpha[own] = score[own].softmax(0)
        else:
            alpha[own] = score[own].sigmoid() if a.normaliser == "sigmoid" else score[own].relu() / own.sum()
    alpha = alpha * keep_mask(a.seed, num_edges, score.size(1), a.dropout)[edge] / (1 - a.dropout)
    out = a.value.new_zeros(*a.query.shape[:2], a.value.size(2))
    out = out.index_add(0, target, alpha.unsqueeze(-1) * a.value[source])
    edge_out = None
    if a.edge_query is not None:
        messages = alpha.unsqueeze(-1) * a.edge_attr[edge].unsqueeze(1)
        edge_out = torch.zeros_like(a.edge_query).index_add(0, target, messages)
    weights = score.new_zeros(num_edges, score.size(1)).index_copy(0, edge, alpha)
    return out, edge_out, weights


def assert_close(found: Tensor | None, expected: Tensor | None, name: str, dtype: torch.dtype) -> None:
    if expected is None:
        assert found is None, name
        return
    assert found is not None, name
    assert found.shape == expected.shape, name
    expected = expected.detach()
    error, scale = (found.double() - expected).abs(), expected.abs()
    if error.numel():
        assert error.max() <= TOLERANCES[dtype] * max(float(scale.max()), 1e-3), f"{name}: {error.max()}"


def check(attention: Attention, graph: Any, with_weights: bool = True, needs_edge_attr: bool = True) -> Forward:
    """Forward and backward against autograd through `dense`; returns the former."""
    dtype, shared = attention.query.dtype, attention.value is attention.key
    leaves = {
        name: tensor.double().requires_grad_()
        for name in LEAVES
        if (tensor := getattr(attention, name)) is not None and not (shared and name == "value")
    }
    exact = attention._replace(**leaves)
    expected = dense(exact._replace(value=exact.key) if shared else exact, graph)
    found = forward_pass.forward(attention, graph, with_weights)
    for name, tensor, other in zip(found._fields, found, expected, strict=True):
        if name == "weights" and not with_weights:
            assert tensor is None
        else:
            assert tensor is None or tensor.dtype == dtype
            assert_close(tensor, other, name, dtype)

    outputs = [expected[0], expected[1], expected[2] if with_weights else None]
    generator = torch.Generator().manual_seed(1)
    upstream = [
        None if output is None else torch.randn(output.shape, generator=generator).to(DEVICE, dtype)
        for output in outputs
    ]
    loss = sum((out * grad.double()).sum() for out, grad in zip(outputs, upstream, strict=True) if out is not None)
    gradients = dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True), strict=True))
    found_gradients = backward_pass.backward(attention, graph, *upstream, needs_edge_attr)
    if not needs_edge_attr:
        gradients["edge_attr"] = None
    for name, gradient in found_gradients._asdict().items():
        assert gradient is None or gradient.dtype == dtype
        assert_close(gradient, gradients.get(name), f"gradient of {name}", dtype)
    return found


@pytest.mark.parametrize("dtype", TOLERANCES, ids=lambda dtype: str(dtype).removeprefix("torch."))
@pytest.mark.parametrize("score", SCORES)
def test_dtypes(score: str, dtype: torch.dtype) -> None:
    check(*problem(score, dtype))


@pytest.mark.parametrize("normaliser", ["sigmoid", "relu"])
@pytest.mark.parametrize("score", SCORES)
def test_normalisers(score: str, normaliser: str) -> None:
    check(*problem(score, normaliser=normaliser), needs_edge_attr=normaliser == "relu")


@pytest.mark.parametrize("score", SCORES)
def test_nothing_optional(score: str) -> None:
    shared = score != "additive"
    attention, graph = problem(score, features=0, bias=False, dropout=0.0, shared=shared)
    check(attention, graph, with_weights=False, needs_edge_attr=False)


@pytest.mark.parametrize("score", ["additive", "additive-dynamic"])
def test_kink_of_leaky_relu(score: str) -> None:
    attention, graph = problem(score, normaliser="sigmoid", features=0)
    attention.query.zero_()
    attention.key.zero_()
    check(attention, graph)


@pytest.mark.parametrize("score", SCORES)
def test_added_self_loops_replace_those_there_are(score: str) -> None:
    attention, graph = problem(score, add_self_loops=True)
    weights = check(attention, graph).weights
    source, target = EDGE_INDEX
    assert weights is not None
    assert weights.size(0) == EDGE_INDEX.size(1) + min(NUM_SOURCES, NUM_TARGETS)
    assert torch.all(weights[: EDGE_INDEX.size(1)][source == target] == 0)


@pytest.mark.parametrize("score", SCORES)
def test_more_than_one_block_of_everything(score: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "MAX_ROW", 8)
    monkeypatch.setattr(backward_pass, "PROGRAMS", 2)
    for name, size in {"BLOCK_EDGES": 16, "BLOCK_CHANNELS": 16, "MAX_BLOCK_FEATURES": 16, "PROGRAMS": 8}.items():
        monkeypatch.setattr(edge_features, name, size)
    attention, graph = problem(score, heads=2, channels=7, features=18)
    assert tiles.specify(attention, 3, 32)[0].block_heads == 1
    check(attention, graph)


@pytest.mark.filterwarnings("ignore:overflow encountered in exp")
@pytest.mark.parametrize("normaliser", NORMALISERS)
def test_infinite_and_huge_scores(normaliser: str) -> None:
    """A node whose scores all are -inf gets exactly nothing; some of -inf or of size 1e4 harm no one."""
    attention, graph = problem("dot", features=0, dropout=0.0, normaliser=normaliser)
    bias, target = attention.bias, EDGE_INDEX[1]
    assert bias is not None
    bias[target == 3] = -math.inf
    bias[:8] = -math.inf  # the first blocks of target 0
    bias[8], bias[9] = 1e4, -1e4
    found = forward_pass.forward(attention, graph, True)
    assert found.weights is not None
    for nothing in (found.out[3], found.weights[target == 3], found.weights[:8]):
        assert torch.all(nothing == 0)
    others = target != 3
    kept = problem("dot", features=0, dropout=0.0, normaliser=normaliser, edge_index=EDGE_INDEX[:, others])
    # For relu the number of edges counts, so target 3 alone may lose them.
    expected = dense(attention._replace(bias=bias[others]), kept[1])
    for name, tensor, other in zip(found._fields, found, expected, strict=True):
        assert_close(tensor[others] if name == "weights" else tensor, other, name, torch.float32)
    gradients = backward_pass.backward(attention, graph, found.out, None, found.weights, needs_edge_attr=True)
    assert all(gradient.isfinite().all() for gradient in gradients if gradient is not None)
    assert torch.all(gradients.query[3] == 0)


@pytest.mark.parametrize("normaliser", NORMALISERS)
@pytest.mark.parametrize("score", SCORES)
def test_nan_stays_with_its_node(score: str, normaliser: str) -> None:
    attention, graph = problem(score, features=0, dropout=0.0, normaliser=normaliser)
    assert attention.bias is not None
    attention.bias[2, 1] = math.nan  # target 0, one head
    out = forward_pass.forward(attention, graph, False).out
    assert out[0, 1].isnan().all()
    assert out.isnan().sum() == out.size(2)


@pytest.mark.parametrize("sizes", [(2, 3), (0, 2), (2, 0), (0, 0)], ids=str)
@pytest.mark.parametrize("score", SCORES)
def test_no_edges(score: str, sizes: tuple[int, int]) -> None:
    attention, graph = problem(score, edge_index=torch.zeros(2, 0, dtype=torch.int64), sizes=sizes)
    assert torch.all(check(attention, graph).out == 0)


@pytest.mark.parametrize("score", SCORES)
def test_the_same_bits_every_run(score: str) -> None:
    attention, graph = problem(score, edge_index=EDGE_INDEX % 2, sizes=(2, 2))

    def run() -> list[Tensor]:
        out, edge_out, weights = forward_pass.forward(attention, graph, True)
        gradients = backward_pass.backward(attention, graph, out, edge_out, weights, needs_edge_attr=True)
        return [tensor for tensor in (out, edge_out, weights, *gradients) if tensor is not None]

    assert all(torch.equal(one, other) for one, other in zip(run(), run(), strict=True))


def test_holds_no_number_per_edge_and_channel() -> None:
    sizes: list[int] = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            leaves = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
            sizes.extend(leaf.numel() for leaf in leaves if leaf.is_floating_point())
            return result

    num_edges, heads, channels = 32, 2, 40
    edge_index = torch.randint(3, (2, num_edges), generator=torch.Generator().manual_seed(0))
    for score in SCORES:
        attention, graph = problem(score, edge_index=edge_index, sizes=(3, 3), heads=heads, channels=channels)
        with Watch():
            out, edge_out, weights = forward_pass.forward(attention, graph, True)
            backward_pass.backward(attention, graph, out, edge_out, weights, needs_edge_attr=True)
    assert max(sizes) < num_edges * heads * channels / 2


@triton.jit
def _store_factors(factors: tl.tensor, seed: tl.tensor, first_edge: tl.tensor, spec: tl.constexpr) -> None:
    edge = tl.load(first_edge) + tl.arange(0, spec.block_edges)
    head = tl.arange(0, spec.block_heads)
    factor = tiles.dropout_factor(seed, edge, head, spec)
    place = tl.arange(0, spec.block_edges)[:, None] * spec.block_heads + head[None, :]
    tl.store(factors + place, factor)


def test_dropout_of_edges_beyond_32_bits() -> None:
    attention, _ = problem("dot", heads=4, dropout=0.7)
    spec, _ = tiles.specify(attention, 32, 32)
    for seed, first in ((2**62 + 7, 2**40), (-1, 2**31), (0, 0)):
        seeds, firsts = torch.tensor(seed, device=DEVICE), torch.tensor(first, device=DEVICE)
        factors = torch.empty(spec.block_edges, 4, device=DEVICE)
        _store_factors[(1,)](factors, seeds, firsts, spec)
        numbers = first * 4 + torch.arange(factors.numel())
        bits = dropout_module.mix((numbers & 0xFFFFFFFF) ^ (seed & 0xFFFFFFFF))
        bits = dropout_module.mix(bits ^ (numbers >> 32) ^ ((seed >> 32) & 0xFFFFFFFF))
        kept = (bits >= dropout_module.threshold(0.7)).view_as(factors)
        assert torch.equal(factors.cpu() > 0, kept)


@pytest.mark.parametrize("add_self_loops", [False, True])
@pytest.mark.parametrize("sizes", [(6, 6), (5, 9), (9, 5)], ids=str)
def test_sort_edges(sizes: tuple[int, int], add_self_loops: bool) -> None:
    generator = torch.Generator().manual_seed(2)
    edge_index = torch.stack([torch.randint(size, (40,), generator=generator) for size in sizes])
    edges = [(j, i, e) for e, (j, i) in enumerate(edge_index.t().tolist()) if not (add_self_loops and i == j)]
    edges += [(i, i, 40 + i) for i in range(min(sizes)) if add_self_loops]
    by_target = sorted(edges, key=lambda edge: edge[1])
    by_source = sorted(by_target, key=lambda edge: edge[0])

    found, num_edges = gpu.sort_edges(edge_index.to(DEVICE), *sizes, add_self_loops)
    assert num_edges == 40 + (min(sizes) if add_self_loops else 0)
    assert found.rowptr.tolist() == [sum(i < node for _, i, _ in edges) for node in range(sizes[1] + 1)]
    assert found.colptr.tolist() == [sum(j < node for j, _, _ in edges) for node in range(sizes[0] + 1)]
    assert list(zip(found.col.tolist(), found.edge.tolist(), strict=True)) == [(j, e) for j, _, e in by_target]
    assert found.row.tolist() == [i for _, i, _ in by_source]
    assert [by_target[slot] for slot in found.slot.tolist()] == by_source
    assert [tensor.dtype for tensor in found] == [torch.int64, torch.int32, torch.int32] * 2


def test_sort_edges_refuses_edges_out_of_range() -> None:
    with pytest.raises(ValueError, match="target nodes from 0 to 2"):
        gpu.sort_edges(torch.tensor([[0], [3]], device=DEVICE), 3, 3, False)


@pytest.mark.skipif(not INTERPRETED, reason="every other test has compiled the kernels")
def test_kernels_compile(tmp_path: Path) -> None:
    """The interpreter takes what the compiler refuses, and the compiler needs no GPU."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path)
    done = subprocess.run([sys.executable, __file__], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3 + 3 + 5 + 5


def compile_for_absent_gpu() -> None:
    """Runs forward and backward up to the launch of each kernel, and prints its name."""

    class AbsentGpu:
        def get_current_target(self) -> Any:
            return triton.backends.compiler.GPUTarget("cuda", 80, 32)

        def get_current_device(self) -> int:
            return 0

        def get_current_stream(self, device: int) -> int:
            return 0

    def compile_only(kernel: Any, *args: Any, grid: Any, warmup: bool, **options: Any) -> None:
        assert run(kernel, *args, grid=grid, warmup=True, **options).asm["cubin"]
        print(kernel.fn.__name__)

    run, triton.JITFunction.run = triton.JITFunction.run, compile_only
    triton.runtime.driver.set_active(AbsentGpu())
    for score, normaliser, dtype in (
        ("additive", "softmax", torch.float32),
        ("dot", "sigmoid", torch.float16),
        ("additive-dynamic", "softmax", torch.bfloat16),
        ("additive-dynamic", "relu", torch.float64),
    ):
        attention, graph = problem(score, dtype, normaliser=normaliser)
        out, edge_out, weights = forward_pass.forward(attention, graph, True)
        backward_pass.backward(attention, graph, out, edge_out, weights, needs_edge_attr=True)


if __name__ == "__main__":
    compile_for_absent_gpu()
