"""The fused kernels as PyTorch operators: differentiable once, and one node to `torch.compile` and `torch.export`.

`gatlib::edge_attention` and `gatlib::edge_attention_backward` take the graph as the caller's `edge_index`, so that a
compiled model finds the sorted edges of an earlier step as well. A tensor that there is not comes out as one of size 0.
"""

from importlib import import_module
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from gatlib.kernels.interface import Attention, Normaliser, Score
from gatlib.kernels.sorted_edges import sorted_edges


def edge_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    edge_index: Tensor,
    *,
    score: Score,
    att: Tensor | None,
    edge_attr: Tensor | None,
    edge_weight: Tensor | None,
    bias: Tensor | None,
    negative_slope: float,
    normaliser: Normaliser,
    dropout: float,
    seed: Tensor,
    add_self_loops: bool,
    return_attention_weights: bool,
) -> tuple[Tensor, Tensor | None]:
    """Returns what `gatlib.kernels.reference.edge_attention` does."""
    heads, key_channels = query.shape[1:]
    weight_dtype = torch.promote_types(query.dtype, key.dtype)
    weight_dtype = weight_dtype if att is None else torch.promote_types(weight_dtype, att.dtype)
    out_dtype = torch.promote_types(weight_dtype, value.dtype)
    half_on_cpu = not query.is_cuda and out_dtype in (torch.float16, torch.bfloat16)
    dtype = torch.float32 if half_on_cpu else out_dtype

    def prepared(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tensor.to(dtype).contiguous()

    # Features projected on every edge would be [E, H, K]; each score has a way around that.
    edge_query = None
    projection = None if edge_weight is None else edge_weight.view(heads, key_channels, -1)
    if score == "additive" and edge_attr is not None and edge_weight is not None:
        edge_attr, edge_weight = F.linear(edge_attr, edge_weight), None
    elif score == "dot" and projection is not None:
        edge_query, edge_weight = torch.einsum("nhk,hkd->nhd", query, projection.to(query.dtype)), None

    out, edge_out, _, weights = torch.ops.gatlib.edge_attention(
        prepared(query),
        prepared(key),
        None if value is key else prepared(value),
        edge_index,
        prepared(att),
        prepared(edge_attr),
        prepared(edge_weight),
        prepared(edge_query),
        prepared(bias),
        seed,
        score,
        normaliser,
        negative_slope,
        dropout,
        add_self_loops,
        return_attention_weights,
    )
    if edge_query is not None:
        assert projection is not None
        out = out + torch.einsum("nhd,hcd->nhc", edge_out, projection.to(dtype))
    return out.to(out_dtype), weights.to(weight_dtype) if return_attention_weights else None


@torch.library.custom_op("gatlib::edge_attention", mutates_args=())
def _forward(
    query: Tensor,
    key: Tensor,
    value: Tensor | None,  # None: the key
    edge_index: Tensor,
    att: Tensor | None,
    edge_attr: Tensor | None,
    edge_weight: Tensor | None,
    edge_query: Tensor | None,
    bias: Tensor | None,
    seed: Tensor,
    score: str,
    normaliser: str,
    negative_slope: float,
    dropout: float,
    add_self_loops: bool,
    return_weights: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Returns `Forward`: out, edge_out, lse, weights."""
    tensors = (query, key, key if value is None else value, att, edge_attr, edge_weight, edge_query, bias)
    attention = Attention(score, normaliser, *tensors, negative_slope, dropout, seed)  # type: ignore[arg-type]
    kernels = _kernels_for(query)
    graph = sorted_edges(kernels, edge_index, key.size(0), query.size(0), add_self_loops)
    out, edge_out, lse, weights = kernels.forward(attention, graph, return_weights)
    return out, _or_nothing(edge_out, query), lse, _or_nothing(weights, query)


@_forward.register_fake
def _(
    query: Tensor,
    key: Tensor,
    value: Tensor | None,
    edge_index: Tensor,
    att: Tensor | None,
    edge_attr: Tensor | None,
    edge_weight: Tensor | None,
    edge_query: Tensor | None,
    *settings: Any,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    *_, add_self_loops, return_weights = settings
    num_targets, heads = query.shape[:2]
    channels = (key if value is None else value).size(2)
    num_loops = torch.sym_min(key.size(0), num_targets) if add_self_loops else 0
    lse_dtype = torch.float64 if query.dtype == torch.float64 else torch.float32
    return (
        query.new_empty(num_targets, heads, channels),
        query.new_empty((0,) if edge_query is None else edge_query.shape),
        query.new_empty(num_targets, heads, dtype=lse_dtype),
        query.new_empty((edge_index.size(1) + num_loops, heads) if return_weights else (0,)),
    )


@torch.library.custom_op("gatlib::edge_attention_backward", mutates_args=())
def _backward(
    query: Tensor,
    key: Tensor,
    value: Tensor | None,
    edge_index: Tensor,
    att: Tensor | None,
    edge_attr: Tensor | None,
    edge_weight: Tensor | None,
    edge_query: Tensor | None,
    bias: Tensor | None,
    seed: Tensor,
    score: str,
    normaliser: str,
    negative_slope: float,
    dropout: float,
    add_self_loops: bool,
    lse: Tensor,
    grad_out: Tensor,
    grad_edge_out: Tensor | None,
    grad_weights: Tensor | None,
    needs_edge_attr: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Returns `Gradients`."""
    tensors = (query, key, key if value is None else value, att, edge_attr, edge_weight, edge_query, bias)
    attention = Attention(score, normaliser, *tensors, negative_slope, dropout, seed)  # type: ignore[arg-type]
    kernels = _kernels_for(query)
    graph = sorted_edges(kernels, edge_index, key.size(0), query.size(0), add_self_loops)
    gradients = kernels.backward(attention, graph, lse, grad_out, grad_edge_out, grad_weights, needs_edge_attr)
    return tuple(_or_nothing(gradient, query) for gradient in gradients)  # type: ignore[return-value]


@_backward.register_fake
def _(
    query: Tensor,
    key: Tensor,
    value: Tensor | None,
    edge_index: Tensor,
    att: Tensor | None,
    edge_attr: Tensor | None,
    edge_weight: Tensor | None,
    edge_query: Tensor | None,
    bias: Tensor | None,
    *settings: Any,
) -> tuple[Tensor, ...]:
    *_, needs_edge_attr = settings
    tensors = (query, key, value, att, edge_attr if needs_edge_attr else None, edge_weight, edge_query, bias)
    return tuple(query.new_empty((0,) if tensor is None else tensor.shape) for tensor in tensors)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    tensors, ctx.settings = inputs[:10], inputs[10:15]
    ctx.mark_non_differentiable(output[2])
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*tensors, output[2])
    ctx.out_shape = output[0].shape


def _differentiate(
    ctx: Any, grad_out: Tensor | None, grad_edge_out: Tensor | None, _: None, grad_weights: Tensor | None
) -> tuple[Tensor | None, ...]:
    *tensors, lse = ctx.saved_tensors
    query, edge_query = tensors[0], tensors[7]
    grad_out = query.new_zeros(ctx.out_shape) if grad_out is None else grad_out.contiguous()
    if edge_query is not None:
        grad_edge_out = torch.zeros_like(edge_query) if grad_edge_out is None else grad_edge_out.contiguous()
    gradients = torch.ops.gatlib.edge_attention_backward(
        *tensors,
        *ctx.settings,
        lse,
        grad_out,
        grad_edge_out if edge_query is not None else None,
        None if grad_weights is None else grad_weights.contiguous(),
        ctx.needs_input_grad[5],
    )
    query_, key, value, att, edge_attr, edge_weight, edge_query_, bias = (
        gradient if needed else None
        for gradient, needed in zip(gradients, _differentiable(ctx.needs_input_grad), strict=True)
    )
    no_settings = (None,) * 7  # seed and what follows
    return query_, key, value, None, att, edge_attr, edge_weight, edge_query_, bias, *no_settings


def _differentiable(of_inputs: tuple[bool, ...]) -> tuple[bool, ...]:
    """Without edge_index and the settings."""
    return (*of_inputs[:3], *of_inputs[4:9])


def _refuse_second_derivative(ctx: Any, *gradients: Tensor) -> None:
    raise RuntimeError(
        "The fused kernels of gatlib are differentiable once. For second derivatives call edge_attention with "
        'implementation="reference", or set conv.implementation = "reference" on the layer.'
    )


_forward.register_autograd(_differentiate, setup_context=_setup_context)
_backward.register_autograd(_refuse_second_derivative)


def _kernels_for(tensor: Tensor) -> ModuleType:
    """Imported when first needed: Numba and Triton take their time."""
    return import_module("gatlib.kernels.gpu" if tensor.is_cuda else "gatlib.kernels.cpu")


def _or_nothing(tensor: Tensor | None, like: Tensor) -> Tensor:
    return like.new_empty(0) if tensor is None else tensor
