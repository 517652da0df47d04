"""Batched, second and forward derivatives, and `vmap`: right, or refused in a sentence whose advice works."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gatlib.nn import (
    FullAttention,
    GATConv,
    GATv2Conv,
    GraphTransformerBlock,
    LinearAttention,
    SetTransformerPooling,
    TransformerConv,
    TruncatedAttention,
)

BATCH = torch.tensor([0, 0, 0, 1, 2, 2])
EDGES = torch.tensor([[0, 1, 1, 2, 4, 5], [1, 0, 2, 1, 5, 4]])
Function = Callable[[Tensor], Tensor]


def over_edges(conv: nn.Module) -> tuple[nn.Module, Function]:
    return conv, lambda x: conv(x, EDGES)


def over_graphs(module: nn.Module) -> tuple[nn.Module, Function]:
    return module, lambda x: module(x, BATCH)


def by_size(module: Any) -> tuple[nn.Module, Function]:
    module._fills_threads = lambda ptr: False  # as with more threads than there are graphs
    return over_graphs(module)


def block() -> tuple[nn.Module, Function]:
    made = GraphTransformerBlock(4, TransformerConv(4, 2, 2), heads=2)
    return made, lambda x: made(x, EDGES, BATCH)


MODULES: dict[str, Callable[[], tuple[nn.Module, Function]]] = {
    "GATConv": lambda: over_edges(GATConv(4, 2, 2)),
    "GATv2Conv": lambda: over_edges(GATv2Conv(4, 2, 2)),
    "TransformerConv": lambda: over_edges(TransformerConv(4, 2, 2, beta=True)),
    "TruncatedAttention": lambda: over_edges(TruncatedAttention(4, 2, num_hops=2)),
    "FullAttention": lambda: over_graphs(FullAttention(4, 2)),
    "FullAttention by PyTorch's": lambda: by_size(FullAttention(4, 2)),
    "FullAttention, additive": lambda: over_graphs(FullAttention(4, 2, score="additive-dynamic")),
    "LinearAttention": lambda: over_graphs(LinearAttention(4, 2)),
    "SetTransformerPooling": lambda: over_graphs(SetTransformerPooling(4, 2, 2)),
    "GraphTransformerBlock": block,
}
every_module = pytest.mark.parametrize("make", MODULES.values(), ids=MODULES)


def made(make: Callable[[], tuple[nn.Module, Function]]) -> tuple[nn.Module, Function, Tensor]:
    torch.manual_seed(0)
    module, function = make()
    module.double()
    return module, function, torch.randn(6, 4, dtype=torch.float64)


def use_reference(module: nn.Module) -> None:
    """What the refusal says."""
    for part in module.modules():
        if hasattr(part, "implementation"):
            part.implementation = "reference"


@pytest.mark.filterwarnings("ignore:.*batching rule")
@every_module
def test_batched_derivatives(make: Any) -> None:
    _, function, x = made(make)
    expected = torch.autograd.functional.jacobian(function, x)
    torch.testing.assert_close(torch.autograd.functional.jacobian(function, x, vectorize=True), expected)
    torch.testing.assert_close(torch.func.jacrev(function)(x), expected)
    torch.testing.assert_close(torch.func.jacfwd(function)(x), expected)
    leaf = x.clone().requires_grad_()
    out = function(leaf)
    directions = torch.eye(out.numel(), dtype=x.dtype).view(-1, *out.shape)
    (found,) = torch.autograd.grad(out, leaf, directions, is_grads_batched=True)
    torch.testing.assert_close(found.view_as(expected), expected)


@every_module
def test_vmap(make: Any) -> None:
    _, function, x = made(make)
    several = torch.stack([x, 2 * x])
    found = torch.func.vmap(function)(several)
    torch.testing.assert_close(found, torch.stack([function(each) for each in several]))


@every_module
def test_second_derivatives(make: Any) -> None:
    module, function, x = made(make)

    def loss(x: Tensor) -> Tensor:
        return function(x).sin().sum()

    def second() -> Tensor:
        leaf = x.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(leaf), leaf, create_graph=True)
        (found,) = torch.autograd.grad(gradient.square().sum(), leaf)
        return found

    hessian = torch.func.jacfwd(torch.func.jacrev(loss))(x)
    if not isinstance(module, LinearAttention):
        with pytest.raises(RuntimeError, match=r'module.implementation = "reference" on every module'):
            second()
        use_reference(module)
    gradient = torch.func.grad(loss)(x)
    torch.testing.assert_close(second(), 2 * torch.einsum("ijkl,ij->kl", hessian, gradient))


@pytest.mark.filterwarnings("ignore:.*batching rule")
@pytest.mark.parametrize("score", ["dot", "additive-dynamic"])
def test_fused_kernels_asked_for_by_name(score: Any) -> None:
    """Under `vmap` they run once for each entry of the batch."""
    torch.manual_seed(0)
    ours = FullAttention(4, 2, score=score).double()
    ours.implementation = "cpu"
    several = torch.randn(3, 6, 4, dtype=torch.float64)
    expected = torch.stack([ours(x, BATCH) for x in several])
    torch.testing.assert_close(torch.func.vmap(lambda x: ours(x, BATCH))(several), expected)
    with pytest.raises(RuntimeError, match=r'module.implementation = "reference"'):
        torch.func.jvp(lambda x: ours(x, BATCH), (several[0],), (several[0],))


def test_what_is_made_under_a_transform_is_not_remembered() -> None:
    batch, x = BATCH.clone(), torch.randn(6, 4, dtype=torch.float64)
    ours = FullAttention(4, 2, normaliser="relu").double()
    torch.func.jacrev(lambda x: ours(x, batch))(x)
    ours.implementation = "reference"
    torch.testing.assert_close(
        torch.func.jacrev(lambda x: ours(x, batch))(x), torch.func.jacfwd(lambda x: ours(x, batch))(x)
    )
