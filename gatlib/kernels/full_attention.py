"""Attention of all nodes of each graph to each other on the CPU, differentiable once; see `operators.py`."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.attention import SDPBackend, sdpa_kernel

from gatlib.kernels.exact_gradients import exact_gradients
from gatlib.kernels.one_node import each_of_a_batch, is_transformed, runs_now
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
    if forward_ad._current_level >= 0:
        refuse()
    attend: Callable[..., Any] = _FullAttention.apply if runs_now(table) else _forward_operator
    out: Tensor = attend(table.contiguous(), ptr, heads)
    return out


def dot_product_attention(blocks: Tensor, dropout: float) -> Tensor:
    """PyTorch's own attention, differentiable once but under a transform.

    Args:
        blocks: Queries, keys and values of graphs of equal size, [G, n, 3, H, C].
        dropout: Probability with which an attention weight is zeroed.

    Returns:
        [G, H, n, C].
    """
    if runs_now(blocks) and not is_transformed():
        blocks = _DifferentiableOnce.apply(blocks)
    query, key, value = blocks.permute(2, 0, 3, 1, 4)
    # All transforms know the plain operations of PyTorch.
    with sdpa_kernel(SDPBackend.MATH) if is_transformed() else exact_gradients(blocks):
        return F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)


class _DifferentiableOnce(torch.autograd.Function):
    """The same tensor; for second derivatives there is our reason in place of that of a kernel of PyTorch's."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        return tensor.view_as(tensor)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return _Refused.apply(grad) if torch.is_grad_enabled() else grad


class _Refused(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, grad: Tensor) -> Tensor:
        return grad.view_as(grad)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> None:
        refuse()


def _forward(table: Tensor, ptr: Tensor, heads: int) -> Tensor:
    result: Tensor = _kernels().forward(table, ptr, heads)
    return result


def _backward(table: Tensor, ptr: Tensor, heads: int, grad_out: Tensor) -> Tensor:
    result: Tensor = _kernels().backward(table, ptr, heads, grad_out)
    return result


def _fake_forward(table: Tensor, ptr: Tensor, heads: int) -> Tensor:
    num_nodes, width = table.shape
    return table.new_empty(num_nodes, width // 3)


def _fake_backward(table: Tensor, ptr: Tensor, heads: int, grad_out: Tensor) -> Tensor:
    return torch.empty_like(table)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    table, ptr, ctx.heads = inputs
    ctx.save_for_backward(table, ptr)


def _differentiate(ctx: Any, grad_out: Tensor) -> tuple[Tensor, None, None]:
    table, ptr = ctx.saved_tensors
    # Where a graph of the backward pass is asked for, the operator is there to refuse it.
    directly = runs_now(table, grad_out) and not torch.is_grad_enabled()
    backward: Callable[..., Any] = _backward if directly else _backward_operator
    return backward(table, ptr, ctx.heads, grad_out.contiguous()), None, None


class _FullAttention(torch.autograd.Function):
    """The operator without its dispatch."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        output = _forward(*inputs)
        _setup_context(ctx, inputs, output)
        return output

    backward = staticmethod(_differentiate)


def _kernels() -> Any:
    """Imported when first needed: Numba takes its time."""
    return import_module("gatlib.kernels.cpu.full")


_forward_operator = torch.library.custom_op(
    "gatlib::full_attention",
    _forward,
    mutates_args=(),
    schema="(Tensor table, Tensor ptr, int heads) -> Tensor",
)
_forward_operator.register_fake(_fake_forward)
_forward_operator.register_autograd(_differentiate, setup_context=_setup_context)
_backward_operator = torch.library.custom_op(
    "gatlib::full_attention_backward",
    _backward,
    mutates_args=(),
    schema="(Tensor table, Tensor ptr, int heads, Tensor grad_out) -> Tensor",
)
_backward_operator.register_fake(_fake_backward)
_backward_operator.register_autograd(refuse)
each_of_a_batch(_forward_operator)
each_of_a_batch(_backward_operator)
