"""The Triton kernels where the softmax is saturated: their gradients are as near the truth as autograd's in float32."""

from typing import Any

import pytest
import torch

pytest.importorskip("triton", reason="triton is not installed")

from test_gpu import DEVICE, EDGE_INDEX, LEAVES, SCORES, backward_pass, dense, forward_pass, problem
from torch import Tensor

from gatlib.kernels.interface import Attention

DRAWS = 3


def rescaled(attention: Attention, scale: float, seed: int) -> Attention:
    """Other numbers, so large that scores are about `scale`, for "dot" its square."""
    generator = torch.Generator().manual_seed(seed)

    def draw(name: str, factor: float) -> Tensor | None:
        tensor = getattr(attention, name)
        return None if tensor is None else factor * torch.randn(tensor.shape, generator=generator).to(tensor)

    large = {name: draw(name, scale) for name in ("query", "key", "edge_attr")}
    return attention._replace(**large, edge_query=draw("edge_query", scale))


def by_autograd(
    attention: Attention, graph: Any, dtype: torch.dtype, upstream: list[Tensor | None]
) -> dict[str, Tensor]:
    given = {name: getattr(attention, name) for name in LEAVES}
    leaves = {name: leaf.to(dtype).requires_grad_() for name, leaf in given.items() if leaf is not None}
    outputs = dense(attention._replace(**leaves), graph)
    wanted = [(out, grad) for out, grad in zip(outputs, upstream, strict=True) if out is not None and grad is not None]
    loss = sum((out * grad.to(dtype)).sum() for out, grad in wanted)
    found = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)  # type: ignore[arg-type]
    return {name: gradient.double() for name, gradient in zip(leaves, found, strict=True)}


@pytest.mark.parametrize("scale", [100, 10_000])
@pytest.mark.parametrize("score", SCORES)
def test_gradients(score: str, scale: float) -> None:
    attention, graph = problem(score, bias=False)
    logs: dict[str, list[float]] = {}
    for seed in range(DRAWS):
        large = rescaled(attention, scale, seed)
        forward = forward_pass.forward(large, graph, True)
        generator = torch.Generator().manual_seed(seed)
        upstream = [None if out is None else torch.randn(out.shape, generator=generator).to(DEVICE) for out in forward]
        found = backward_pass.backward(large, graph, *upstream, needs_edge_attr=True)._asdict()
        exact, peer = (by_autograd(large, graph, dtype, upstream) for dtype in (torch.float64, torch.float32))
        for name, truth in exact.items():
            floor = 1e-6 * (1 + truth.norm())
            errors = ((one[name].double() - truth).norm() + floor for one in (found, peer))
            ours, theirs = (float(error.log()) for error in errors)
            logs.setdefault(name, []).append(ours - theirs)
    for name, differences in logs.items():
        assert sum(differences) / DRAWS <= torch.tensor(4.0).log(), name


@pytest.mark.parametrize("score", SCORES)
def test_weights_sum_to_one(score: str) -> None:
    attention, graph = problem(score, dropout=0.0)
    weights = forward_pass.forward(rescaled(attention, 1e4, 0), graph, True).weights
    assert weights is not None
    target = EDGE_INDEX[1].to(DEVICE)
    sums = torch.zeros(6, weights.size(1), device=DEVICE).index_add(0, target, weights)
    torch.testing.assert_close(sums[target], torch.ones_like(sums[target]), rtol=0, atol=1e-6)
