"""The fused kernels as PyTorch operators: differentiable once, and one node to `torch.compile` and `torch.export`.

`gatlib::edge_attention` and `gatlib::edge_attention_backward` take the graph as the caller's `edge_index`, so that a
compiled model finds the sorted edges of an earlier step as well. The forward operator also returns a digest of that
graph, by which the backward operator knows whether it is given the same.
"""

from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import forward_ad

from gatlib.kernels.columns import node_columns, table_of
from gatlib.kernels.content import Content, digest_of
from gatlib.kernels.interface import Attention, Forward, Gradients, Normaliser, Score
from gatlib.kernels.one_node import each_of_a_batch, runs_now
from gatlib.kernels.sorted_edges import check_same_graph, sorted_edges_and_content


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
    if forward_ad._current_level >= 0:
        refuse()
    weight_dtype = torch.promote_types(query.dtype, key.dtype)
    for optional in (att, bias):
        weight_dtype = weight_dtype if optional is None else torch.promote_types(weight_dtype, optional.dtype)
    out_dtype = torch.promote_types(weight_dtype, value.dtype)
    half_on_cpu = not query.is_cuda and out_dtype in (torch.float16, torch.bfloat16)
    dtype = torch.float32 if half_on_cpu else out_dtype

    def prepared(tensor: Tensor | None) -> Tensor | None:
        if tensor is None or (tensor.dtype == dtype and tensor.is_contiguous()):
            return tensor
        return tensor.to(dtype).contiguous()

    if score == "additive" and edge_attr is not None and edge_weight is not None:
        edge_attr, edge_weight = F.linear(edge_attr, edge_weight), None  # [E, H]: K is 1
    direct = runs_now(query)
    one_tensor = value is key
    if dtype != query.dtype or query.is_cuda or not direct or table_of(node_columns(query, key, value)) is None:
        query, key = query.to(dtype).contiguous(), key.to(dtype).contiguous()
        value = value if one_tensor else value.to(dtype).contiguous()
    inputs = (
        query,
        key,
        None if one_tensor else value,
        edge_index,
        prepared(att),
        prepared(edge_attr),
        prepared(edge_weight),
        prepared(bias),
        seed,
        score,
        normaliser,
        negative_slope,
        dropout,
        add_self_loops,
        return_attention_weights,
    )
    attend: Callable[..., Any] = _forward_operator
    if direct:
        attend = _EdgeAttention.apply if _needs_gradient(inputs) else _forward
    out, _, weights, *_ = attend(*inputs)
    out = out if dtype == out_dtype else out.to(out_dtype)
    return out, weights.to(weight_dtype) if return_attention_weights else None


class _Inputs(NamedTuple):
    query: Tensor
    key: Tensor
    value: Tensor | None  # None: the key
    edge_index: Tensor
    att: Tensor | None
    edge_attr: Tensor | None
    edge_weight: Tensor | None
    bias: Tensor | None
    seed: Tensor
    score: Score
    normaliser: Normaliser
    negative_slope: float
    dropout: float
    add_self_loops: bool


_SCHEMA = (
    "Tensor query, Tensor key, Tensor? value, Tensor edge_index, Tensor? att, Tensor? edge_attr, Tensor? edge_weight, "
    "Tensor? bias, Tensor seed, str score, str normaliser, float negative_slope, float dropout, "
    "bool add_self_loops"
)
_FORWARD_SCHEMA = f"({_SCHEMA}, bool return_weights) -> (Tensor, Tensor, Tensor, Tensor)"
_BACKWARD_SCHEMA = (
    f"({_SCHEMA}, Tensor digest, Tensor edge_out, Tensor grad_out, Tensor? grad_weights, bool needs_edge_attr)"
    " -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)"
)


class _Gradients(NamedTuple):
    query: Tensor
    key: Tensor
    value: Tensor | None
    att: Tensor | None
    edge_attr: Tensor | None
    edge_weight: Tensor | None
    bias: Tensor | None


def _forward(*arguments: Any) -> Forward:
    *given, return_weights = arguments
    inputs = _Inputs(*given)
    kernels, graph, _ = _found(inputs)
    return _forward_on(kernels, graph, inputs, return_weights)


def _forward_and_digest(*arguments: Any) -> tuple[Tensor | None, ...]:
    *given, return_weights = arguments
    inputs = _Inputs(*given)
    kernels, graph, content = _found(inputs)
    return *_forward_on(kernels, graph, inputs, return_weights), digest_of(content)


def _forward_on(kernels: ModuleType, graph: Any, inputs: _Inputs, return_weights: bool) -> Forward:
    result: Forward = kernels.forward(_attention(inputs), graph, return_weights)
    return result


def _backward(*arguments: Any) -> _Gradients:
    count = len(_Inputs._fields)
    given, (digest, *saved) = arguments[:count], arguments[count:]
    kernels, graph, content = _found(_Inputs(*given))
    check_same_graph(content, digest)
    return _backward_on(kernels, graph, *given, *saved)


def _backward_on(kernels: ModuleType, graph: Any, *arguments: Any) -> _Gradients:
    *given, edge_out, grad_out, grad_weights, needs_edge_attr = arguments
    attention = _attention(_Inputs(*given))
    gradients: Gradients = kernels.backward(attention, graph, edge_out, grad_out, grad_weights, needs_edge_attr)
    return _Gradients(
        gradients.query,
        gradients.key,
        gradients.value,
        gradients.att,
        gradients.edge_attr,
        gradients.edge_weight,
        gradients.bias,
    )


def _attention(inputs: _Inputs) -> Attention:
    query, key = inputs.query, inputs.key
    return Attention(
        score=inputs.score,
        normaliser=inputs.normaliser,
        query=query,
        key=key,
        value=key if inputs.value is None else inputs.value,
        att=inputs.att,
        edge_attr=inputs.edge_attr,
        edge_weight=inputs.edge_weight,
        edge_query=None,
        bias=inputs.bias,
        negative_slope=inputs.negative_slope,
        dropout=inputs.dropout,
        seed=inputs.seed,
    )


def _found(inputs: _Inputs) -> tuple[ModuleType, Any, Content]:
    """The kernels for these inputs, the sorted edges, and what tells this graph from any other."""
    query, key = inputs.query, inputs.key
    # Imported when first needed: Numba and Triton take their time.
    kernels = import_module("gatlib.kernels.gpu" if query.is_cuda else "gatlib.kernels.cpu")
    sizes = (key.size(0), query.size(0), inputs.add_self_loops)
    return kernels, *sorted_edges_and_content(kernels, inputs.edge_index, *sizes)


def _fake_forward(*arguments: Any) -> tuple[Tensor, ...]:
    *given, return_weights = arguments
    inputs = _Inputs(*given)
    query, key, edge_attr = inputs.query, inputs.key, inputs.edge_attr
    num_targets, heads = query.shape[:2]
    channels = (key if inputs.value is None else inputs.value).size(2)
    num_loops = torch.sym_min(key.size(0), num_targets) if inputs.add_self_loops else 0
    edge_out_shape: tuple[int, ...] = (0,)
    if query.is_cuda and inputs.score == "dot" and edge_attr is not None:
        edge_out_shape = (num_targets, heads, edge_attr.size(1))
    return (
        query.new_empty(num_targets, heads, channels),
        query.new_empty(edge_out_shape),
        query.new_empty((inputs.edge_index.size(1) + num_loops, heads) if return_weights else (0,)),
        torch.empty(2, dtype=torch.int64, device="cpu"),
    )


def _fake_backward(*arguments: Any) -> tuple[Tensor, ...]:
    inputs, needs_edge_attr = _Inputs(*arguments[: len(_Inputs._fields)]), arguments[-1]
    tensors = _Gradients(*(getattr(inputs, name) for name in _Gradients._fields))
    tensors = tensors if needs_edge_attr else tensors._replace(edge_attr=None)
    return tuple(inputs.query.new_empty((0,) if tensor is None else tensor.shape) for tensor in tensors)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Any, ...]) -> None:
    out, edge_out, _, *digests = output
    digest = digests[0] if digests else None  # the operator's; without it, the sorted edges themselves are kept
    tensors, ctx.settings = inputs[:9], inputs[9:14]
    ctx.mark_non_differentiable(*(tensor for tensor in (edge_out, digest) if tensor is not None))
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*tensors, digest, edge_out)
    ctx.out_shape = out.shape


def _differentiate(
    ctx: Any, grad_out: Tensor | None, grad_edge_out: None, grad_weights: Tensor | None, *_: None
) -> tuple[Tensor | None, ...]:
    *tensors, digest, edge_out = ctx.saved_tensors
    grad_out = tensors[0].new_zeros(ctx.out_shape) if grad_out is None else grad_out.contiguous()
    grad_weights = None if grad_weights is None else grad_weights.contiguous()
    needs = ctx.needs_input_grad
    # Where a graph of the backward pass is asked for, the operator is there to refuse it.
    rest = (edge_out, grad_out, grad_weights, needs[5])
    found = getattr(ctx, "found", None)
    directly = runs_now(tensors[0], grad_out, grad_weights) and not torch.is_grad_enabled()
    if directly and found is not None:
        kernels, graph, _ = found
        gradients = _backward_on(kernels, graph, *tensors, *ctx.settings, *rest)
    else:
        digest = digest_of(found[2]) if found is not None else digest
        if not directly:  # the gradients of an operator may not be columns of one table
            tensors = [None if tensor is None else tensor.contiguous() for tensor in tensors]
        backward: Callable[..., Any] = _backward if directly else _backward_operator
        gradients = backward(*tensors, *ctx.settings, digest, *rest)
    needed = (*needs[:3], *needs[4:8])  # without edge_index
    query, key, value, *others = (
        gradient if wanted else None for gradient, wanted in zip(gradients, needed, strict=True)
    )
    no_settings = (None,) * 7  # seed and what follows
    return query, key, value, None, *others, *no_settings


def refuse(*_: Any) -> None:
    raise RuntimeError(
        "The fused kernels of gatlib are differentiable once, and backward, so for second and for forward derivatives "
        'set module.implementation = "reference" on every module of model.modules() that has this attribute, or call '
        'edge_attention with implementation="reference".'
    )


class _EdgeAttention(torch.autograd.Function):
    """The operator without its dispatch, which costs a small graph more than its attention does."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> tuple[Tensor | None, ...]:
        *given, return_weights = inputs
        ctx.found = kernels, graph, _ = _found(_Inputs(*given))
        output = tuple(_forward_on(kernels, graph, _Inputs(*given), return_weights))
        _setup_context(ctx, inputs, output)
        return output

    backward = staticmethod(_differentiate)


def _needs_gradient(inputs: tuple[Any, ...]) -> bool:
    return torch.is_grad_enabled() and any(isinstance(given, Tensor) and given.requires_grad for given in inputs)


def _all_tensors(tensors: tuple[Tensor | None, ...], like: Tensor) -> tuple[Tensor, ...]:
    """An operator always returns tensors: those that there are not come out as one of size 0."""
    return tuple(like.new_empty(0) if tensor is None else tensor for tensor in tensors)


def _operate(*arguments: Any) -> tuple[Tensor, ...]:
    """Where sizes are data, a graph compiler may have left this out."""
    inputs = _Inputs(*arguments[:-1])
    num_loops = min(inputs.key.size(0), inputs.query.size(0)) if inputs.add_self_loops else 0
    num_edges = inputs.edge_index.size(1) + num_loops
    for name, rows in (("edge_attr", inputs.edge_attr), ("bias", inputs.bias)):
        if rows is not None and rows.size(0) != num_edges:
            raise ValueError(
                f"{name} must have {num_edges} rows, one per edge and added self-loop; found {rows.size(0)}."
            )
    return _all_tensors(_forward_and_digest(*arguments), like=inputs.query)


_forward_operator = torch.library.custom_op(
    "gatlib::edge_attention",
    _operate,
    mutates_args=(),
    schema=_FORWARD_SCHEMA,
)
_forward_operator.register_fake(_fake_forward)
_forward_operator.register_autograd(_differentiate, setup_context=_setup_context)
_backward_operator = torch.library.custom_op(
    "gatlib::edge_attention_backward",
    lambda *arguments: _all_tensors(_backward(*arguments), like=arguments[0]),
    mutates_args=(),
    schema=_BACKWARD_SCHEMA,
)
_backward_operator.register_fake(_fake_backward)
_backward_operator.register_autograd(refuse)
for _operator in (_forward_operator, _backward_operator):
    each_of_a_batch(_operator)
