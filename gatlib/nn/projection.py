"""Several linear layers of one input, as a single matrix product."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.nn import Linear

from gatlib.kernels.columns import table_of
from gatlib.kernels.memory import empty
from gatlib.kernels.one_node import runs_now

SMALL = 2**20  # numbers of the input, below which joining the weights costs more than it saves


def project(x: Tensor, *layers: torch.nn.Module) -> list[Tensor]:
    """`[layer(x) for layer in layers]`.

    On the CPU, large inputs of plain layers are projected together, and the results are the columns of one table; see
    `gatlib.kernels.columns`. `x` is read once, and a single gradient of it comes back.
    """
    if not _can_join(x, layers):
        return [layer(x) for layer in layers]
    weights, biases = zip(*((layer.weight, layer.bias) for layer in layers), strict=True)
    weight = torch.cat(weights)
    bias = None if biases[0] is None else torch.cat(biases)
    return project_columns(x, weight, bias, [weight.size(0) for weight in weights])


def project_columns(x: Tensor, weight: Tensor, bias: Tensor | None, widths: list[int]) -> list[Tensor]:
    """`linear(x, weight, bias).split(widths, dim=1)`, the columns of one table where `x` is on the CPU."""
    if not runs_now_on_cpu(x) or x.dtype != weight.dtype:
        return list(F.linear(x, weight, bias).split(widths, dim=1))
    return list(_Projection.apply(x, weight, bias, widths))


def runs_now_on_cpu(x: Tensor) -> bool:
    """Whether nobody traces, transforms or casts what happens."""
    return (
        runs_now(x)
        and x.layout == torch.strided
        and x.dim() == 2
        and x.device.type == "cpu"
        and not torch.is_autocast_enabled("cpu")
        and torch.autograd.forward_ad._current_level < 0
    )


def _can_join(x: Tensor, layers: tuple[torch.nn.Module, ...]) -> bool:
    return (
        not torch.compiler.is_compiling()  # which sizes are not to be asked about
        and x.numel() >= SMALL
        and runs_now_on_cpu(x)
        and all(_is_plain(layer, x) for layer in layers)
        and len({layer.bias is None for layer in layers}) == 1
    )


def _is_plain(layer: torch.nn.Module, x: Tensor) -> bool:
    return (
        type(layer) is Linear
        and not layer._forward_pre_hooks
        and not layer._forward_hooks
        and not layer._backward_pre_hooks
        and not layer._backward_hooks
        and type(layer.weight) is torch.nn.Parameter
        and layer.weight.dtype == x.dtype
        and layer.weight.size(1) == x.size(1)
        and layer.weight.device == x.device
    )


class _Projection(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, widths: list[int]) -> tuple[Tensor, ...]:
        ctx.save_for_backward(x, weight)
        out = empty(x.size(0), weight.size(0), dtype=x.dtype)
        if bias is None:
            torch.mm(x, weight.t(), out=out)
        else:
            torch.addmm(bias, x, weight.t(), out=out)
        return out.split(widths, dim=1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        needs_x, needs_weight, needs_bias, _ = ctx.needs_input_grad
        grad = grads[0] if len(grads) == 1 else None
        if grad is None and not torch.is_grad_enabled() and runs_now(*grads):
            grad = table_of(grads)
        if grad is None:
            grad = torch.cat(grads, dim=1)
        return (
            grad.mm(weight) if needs_x else None,
            grad.t().mm(x) if needs_weight else None,
            grad.sum(dim=0) if needs_bias else None,
            None,
        )
