"""Attention of all nodes of each graph to each other on the CPU, differentiable once."""

from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from gatlib.kernels.operators import refuse


def full_attention(table: Tensor, ptr: Tensor, heads: int) -> Tensor:
    r"""Softmax of scaled dot products, :math:`\mathbf{x}'_i = \sum_j \alpha_{ij} \mathbf{v}_j` in each graph.

    Args:
        table: Queries, keys and values side by side, each with its heads side by side, [N, 3 C] float32 or float64.
        ptr: Where the nodes of each graph begin, [graphs + 1] int64.
        heads: H, which divides C.

    Returns:
        The heads side by side, [N, C].
    """
    out: Tensor = _FullAttention.apply(table.contiguous(), ptr, heads)
    return out


class _FullAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table: Tensor, ptr: Tensor, heads: int) -> Tensor:
        out: Tensor = _kernels().forward(table, ptr, heads)
        ctx.save_for_backward(table, ptr)
        ctx.heads = heads
        return out

    @staticmethod
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor, None, None]:
        if torch.is_grad_enabled():
            refuse()
        table, ptr = ctx.saved_tensors
        return _kernels().backward(table, ptr, ctx.heads, grad_out.contiguous()), None, None


def _kernels() -> Any:
    """Imported when first needed: Numba takes its time."""
    return import_module("gatlib.kernels.cpu.full")
