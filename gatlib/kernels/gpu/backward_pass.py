"""The backward pass: a walk by target, a walk by source, and for projected edge features two products of matrices."""

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from gatlib.kernels.gpu.edge_features import edge_attr_gradient, edge_weight_gradient
from gatlib.kernels.gpu.sort import SortedGraph
from gatlib.kernels.gpu.tiles import (
    Tensors,
    add_hidden,
    dropout_factor,
    finite,
    leaky_relu,
    leaky_slope,
    load_features,
    load_heads,
    load_rows,
    load_values,
    read_incoming,
    score_edges,
    specify,
    store_heads,
    store_row,
    tensors_of,
    weigh_edges,
    wide_dtype,
)
from gatlib.kernels.interface import Adjacency, Attention, Gradients

# Unmeasured: half as many as forward, for gradients take registers too.
NUMBERS_PER_THREAD = 16
# So many share the gradient of `att`. A constant and no property of the device, because how the nodes are shared out
# decides how their sum is rounded.
PROGRAMS = 4096


class Upstream(NamedTuple):
    """The gradients of what the forward pass returned."""

    out: Tensor  # [N_target, H, C]
    edge_out: Tensor | None  # [N_target, H, D]
    weights: Tensor | None  # [E, H]


class Outputs(NamedTuple):
    """What the two walks write: gradients, and in `records` what the first leaves for the second."""

    query: Tensor
    key: Tensor
    value: Tensor | None  # None: `key` is that of both
    att: Tensor | None  # [programs, H, K], to be summed
    edge_attr: Tensor | None  # [E, H] for additive; [blocks of heads, E, D], to be summed, for dot
    edge_query: Tensor | None
    score: Tensor | None  # [E, H]
    records: Tensor  # [slots, 2, H]: applied weights and gradients of scores


def backward(
    attention: Attention,
    graph: SortedGraph,
    grad_out: Tensor,
    grad_edge_out: Tensor | None,
    grad_weights: Tensor | None,
    needs_edge_attr: bool,
) -> Gradients:
    (num_targets, heads, _), num_sources = attention.query.shape, attention.key.size(0)
    adjacency, num_slots = graph.adjacency, graph.adjacency.col.numel()
    by_target, target_warps = specify(attention, num_slots // max(num_targets, 1), NUMBERS_PER_THREAD)
    by_source, source_warps = specify(attention, num_slots // max(num_sources, 1), NUMBERS_PER_THREAD)
    head_blocks = triton.cdiv(heads, by_target.block_heads)
    span = 1 if attention.att is None else max(triton.cdiv(num_targets, PROGRAMS), 1)
    programs = triton.cdiv(num_targets, span)

    tensors = tensors_of(attention)
    upstream = Upstream(grad_out, grad_edge_out, grad_weights)
    outputs = _allocate(attention, graph, needs_edge_attr, programs, head_blocks)
    grad_edge_attr, grad_edge_weight = outputs.edge_attr, None
    with torch.cuda.device_of(grad_out):
        if num_targets > 0:
            _walk_by_target[(programs, head_blocks)](
                outputs, upstream, adjacency, tensors, num_targets, span, by_target, num_warps=target_warps
            )
        if num_sources > 0:
            _walk_by_source[(num_sources, head_blocks)](
                outputs, upstream, adjacency, tensors, graph.num_edges, by_source, num_warps=source_warps
            )
        if outputs.score is not None and attention.edge_weight is not None:
            grad_edge_weight = edge_weight_gradient(tensors, adjacency, outputs.score, by_target)
            if needs_edge_attr:
                grad_edge_attr = edge_attr_gradient(tensors, adjacency, outputs.score, by_target)
    if grad_edge_attr is not None and attention.score == "dot":
        grad_edge_attr = grad_edge_attr.sum(0)

    dtype = attention.query.dtype
    return Gradients(
        query=outputs.query,
        key=outputs.key,
        value=outputs.value,
        att=None if outputs.att is None else outputs.att.sum(0).to(dtype),
        edge_attr=None if grad_edge_attr is None else grad_edge_attr.to(dtype),
        edge_weight=None if grad_edge_weight is None else grad_edge_weight.to(dtype),
        edge_query=outputs.edge_query,
        bias=None if outputs.score is None or attention.bias is None else outputs.score.to(dtype),
    )


def _allocate(
    attention: Attention, graph: SortedGraph, needs_edge_attr: bool, programs: int, head_blocks: int
) -> Outputs:
    """An edge that was left out is never met, so what belongs to edges begins as zeros."""
    query, att, edge_attr = attention.query, attention.att, attention.edge_attr
    heads, wide = query.size(1), wide_dtype(attention)
    grad_edge_attr = None
    if edge_attr is not None and needs_edge_attr and attention.score == "additive":
        grad_edge_attr = torch.zeros_like(edge_attr)
    elif edge_attr is not None and needs_edge_attr and attention.score == "dot":
        grad_edge_attr = query.new_zeros(head_blocks, *edge_attr.shape, dtype=wide)
    needs_score = attention.bias is not None or attention.edge_weight is not None
    return Outputs(
        query=torch.empty_like(query),
        key=torch.empty_like(attention.key),
        value=None if attention.value is attention.key else torch.empty_like(attention.value),
        att=None if att is None else query.new_empty(programs, *att.shape, dtype=wide),
        edge_attr=grad_edge_attr,
        edge_query=None if attention.edge_query is None else torch.empty_like(attention.edge_query),
        score=query.new_zeros(graph.num_edges, heads, dtype=wide) if needs_score else None,
        records=query.new_empty(graph.adjacency.col.numel(), 2, heads, dtype=wide),
    )


@triton.jit(do_not_specialize=["num_targets", "span"])
def _walk_by_target(
    outputs: Outputs,
    upstream: Upstream,
    adjacency: Adjacency,
    tensors: Tensors,
    num_targets: tl.tensor,
    span: tl.tensor,  # target nodes to each program, one after the other
    spec: tl.constexpr,
) -> None:
    program = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1) * spec.block_heads + tl.arange(0, spec.block_heads)
    own = (head < spec.heads)[None, :, None]
    att = load_rows(tensors.att, 0, own, head, spec.key_channels, spec.block_key, spec)
    grad_att = tl.full([1, spec.block_heads, spec.block_key], 0.0, spec.wide)
    for target in range(program * span, tl.minimum((program + 1) * span, num_targets)):
        start, stop = tl.load(adjacency.rowptr + target), tl.load(adjacency.rowptr + target + 1)
        degree = (stop - start).to(spec.wide)
        query = load_rows(tensors.query, target, own, head, spec.key_channels, spec.block_key, spec)
        edge_query = load_rows(tensors.edge_query, target, own, head, spec.features, spec.block_features, spec)
        grad_out = load_rows(upstream.out, target, own, head, spec.channels, spec.block_value, spec)
        grad_edge_out = load_rows(upstream.edge_out, target, own, head, spec.features, spec.block_features, spec)

        # For the softmax, the gradient of a score is weight * (grad_weight - delta), with delta the weighted mean of
        # grad_weight. Each grad_x sums such gradients times x, with delta that of the edges so far; each sum_x, the
        # weights times x, is what to take off when delta moves. All shrink when the maximum rises, and are divided by
        # the total in the end.
        maximum = tl.full([1, spec.block_heads], float("-inf"), spec.wide)
        total = tl.full([1, spec.block_heads], 0.0, spec.wide)
        total_grad = tl.full([1, spec.block_heads], 0.0, spec.wide)
        delta = tl.full([1, spec.block_heads], 0.0, spec.wide)
        grad_query = tl.full([1, spec.block_heads, spec.block_key], 0.0, spec.wide)
        sum_query = tl.full([1, spec.block_heads, spec.block_key], 0.0, spec.wide)
        grad_own_att = tl.full([1, spec.block_heads, spec.block_key], 0.0, spec.wide)
        sum_att = tl.full([1, spec.block_heads, spec.block_key], 0.0, spec.wide)
        grad_edge_query = tl.full([1, spec.block_heads, spec.block_features], 0.0, spec.wide)
        sum_edge_query = tl.full([1, spec.block_heads, spec.block_features], 0.0, spec.wide)
        for first in range(start, stop, spec.block_edges):
            key, source, edge, valid, inside = read_incoming(first, stop, own, head, adjacency, tensors, spec)
            features = load_features(edge, valid, tensors, spec)
            score, hidden = score_edges(query, key, att, edge_query, features, edge, valid, head, tensors, spec)
            value = load_values(source, key, inside, head, tensors, spec)
            factor = dropout_factor(tensors.seed, edge, head, spec)
            grad_weight = factor * _weight_gradient(
                grad_out, value, grad_edge_out, features, edge, valid, head, upstream, tensors, spec
            )
            slope = key if spec.score == "dot" else leaky_slope(hidden, spec)
            if spec.normaliser == "softmax":
                higher = tl.maximum(maximum, tl.max(score, 0, keep_dims=True))
                weight = tl.exp(score - finite(higher))
                shrink = tl.exp(maximum - finite(higher))
                maximum = higher
                total = total * shrink + tl.sum(weight, 0, keep_dims=True)
                total_grad = total_grad * shrink + tl.sum(weight * grad_weight, 0, keep_dims=True)
                mean = total_grad / tl.where(total == 0.0, 1.0, total)
                step, shrink = (mean - delta)[:, :, None], shrink[:, :, None]
                delta = mean
                grad_score = weight * (grad_weight - delta)
                grad_query = shrink * (grad_query - step * sum_query)
                sum_query = shrink * sum_query + _sum_edges(weight, slope)
                if tensors.att is not None:
                    grad_own_att = shrink * (grad_own_att - step * sum_att)
                    sum_att = shrink * sum_att + _sum_edges(weight, leaky_relu(hidden, spec))
                if tensors.edge_query is not None:
                    grad_edge_query = shrink * (grad_edge_query - step * sum_edge_query)
                    sum_edge_query = shrink * sum_edge_query + _sum_edges(weight, features)
                _store_record(outputs.records, score, grad_weight, first, valid, head, spec)
            else:
                weight = weigh_edges(score, degree, spec)
                grad_score = _pointwise_gradient(score, weight, grad_weight, degree, spec)
                _store_record(outputs.records, weight * factor, grad_score, first, valid, head, spec)
            grad_query += _sum_edges(grad_score, slope)
            if tensors.att is not None:
                grad_own_att += _sum_edges(grad_score, leaky_relu(hidden, spec))
            if tensors.edge_query is not None:
                grad_edge_query += _sum_edges(grad_score, features)

        if spec.normaliser == "softmax":
            total = tl.where(total == 0.0, 1.0, total)
            tl.debug_barrier()  # until all threads have written their records
            # Where a weight is 1 or gradients are alike, all that is left of them is how their mean was rounded, and
            # that times huge keys is no longer small. So the mean is taken once more, of the rest.
            rest = tl.full([1, spec.block_heads], 0.0, spec.wide)
            for first in range(start, stop, spec.block_edges):
                weight, grad_weight, _ = _load_record(outputs.records, maximum, total, first, stop, head, spec)
                rest += tl.sum(weight * (grad_weight - delta), 0, keep_dims=True)
            tl.debug_barrier()  # until all threads have read them
            for first in range(start, stop, spec.block_edges):
                weight, grad_weight, valid = _load_record(outputs.records, maximum, total, first, stop, head, spec)
                edge = tl.load(adjacency.edge + first + tl.arange(0, spec.block_edges), mask=valid, other=0)
                applied = weight * dropout_factor(tensors.seed, edge.to(tl.int64), head, spec)
                grad_score = weight * ((grad_weight - delta) - rest)
                _store_record(outputs.records, applied, grad_score, first, valid, head, spec)
            total, rest = total[:, :, None], rest[:, :, None]
            grad_query = (grad_query - rest * sum_query) / total
            grad_own_att = (grad_own_att - rest * sum_att) / total
            grad_edge_query = (grad_edge_query - rest * sum_edge_query) / total
        grad_query = _of_hidden(grad_query, att, spec)
        store_row(outputs.query, grad_query, target, own, head, spec.key_channels, spec.block_key, spec)
        grad_att += grad_own_att
        if tensors.edge_query is not None:
            grad_edge_query *= spec.dot_scale
            store_row(outputs.edge_query, grad_edge_query, target, own, head, spec.features, spec.block_features, spec)
    if tensors.att is not None:
        store_row(outputs.att, grad_att, program, own, head, spec.key_channels, spec.block_key, spec)


@triton.jit(do_not_specialize=["num_edges"])
def _walk_by_source(
    outputs: Outputs,
    upstream: Upstream,
    adjacency: Adjacency,
    tensors: Tensors,
    num_edges: tl.tensor,
    spec: tl.constexpr,
) -> None:
    source = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1) * spec.block_heads + tl.arange(0, spec.block_heads)
    own = (head < spec.heads)[None, :, None]
    key = load_rows(tensors.key, source, own, head, spec.key_channels, spec.block_key, spec)
    att = load_rows(tensors.att, 0, own, head, spec.key_channels, spec.block_key, spec)
    grad_key = tl.full([1, spec.block_heads, spec.block_key], 0.0, spec.wide)
    grad_value = tl.full([1, spec.block_heads, spec.block_value], 0.0, spec.wide)
    start, stop = tl.load(adjacency.colptr + source), tl.load(adjacency.colptr + source + 1)
    for first in range(start, stop, spec.block_edges):
        place = first + tl.arange(0, spec.block_edges)
        valid = place < stop
        inside = valid[:, None, None] & own
        target = tl.load(adjacency.row + place, mask=valid, other=0).to(tl.int64)
        slot = tl.load(adjacency.slot + place, mask=valid, other=0)
        edge = tl.load(adjacency.edge + slot, mask=valid, other=0).to(tl.int64)
        target_row = target[:, None, None]
        query = load_rows(tensors.query, target_row, inside, head, spec.key_channels, spec.block_key, spec)
        edge_query = load_rows(tensors.edge_query, target_row, inside, head, spec.features, spec.block_features, spec)
        grad_out = load_rows(upstream.out, target_row, inside, head, spec.channels, spec.block_value, spec)
        grad_edge_out = load_rows(upstream.edge_out, target_row, inside, head, spec.features, spec.block_features, spec)
        applied = load_heads(outputs.records, 2 * slot.to(tl.int64), valid, head, spec)
        grad_score = load_heads(outputs.records, 2 * slot.to(tl.int64) + 1, valid, head, spec)
        slope = query
        if spec.score != "dot":
            slope = leaky_slope(add_hidden(query, key, edge, valid, head, tensors, spec), spec)
        grad_key += _sum_edges(grad_score, slope)
        grad_value += _sum_edges(applied, grad_out)

        if outputs.score is not None:
            store_heads(outputs.score, grad_score, edge, valid, head, spec)
        if outputs.edge_attr is not None:
            if spec.score == "additive":
                grad_attr = grad_score * tl.sum(slope, 2)
                store_heads(outputs.edge_attr, grad_attr, edge, valid, head, spec)
            else:
                grad_features = tl.sum((grad_score * spec.dot_scale)[:, :, None] * edge_query, 1)
                if upstream.edge_out is not None:
                    grad_features += tl.sum(applied[:, :, None] * grad_edge_out, 1)
                feature = tl.arange(0, spec.block_features)[None, :]
                line = tl.program_id(1).to(tl.int64) * num_edges + edge[:, None]
                mask = valid[:, None] & (feature < spec.features)
                tl.store(outputs.edge_attr + line * spec.features + feature, grad_features, mask=mask)

    grad_key = _of_hidden(grad_key, att, spec)
    if spec.shared:
        grad_key += grad_value
    else:
        store_row(outputs.value, grad_value, source, own, head, spec.channels, spec.block_value, spec)
    store_row(outputs.key, grad_key, source, own, head, spec.key_channels, spec.block_key, spec)


@triton.jit
def _weight_gradient(
    grad_out: tl.tensor,
    value: tl.tensor,
    grad_edge_out: tl.tensor,
    features: tl.tensor,
    edge: tl.tensor,
    valid: tl.tensor,
    head: tl.tensor,
    upstream: Upstream,
    tensors: Tensors,
    spec: tl.constexpr,
) -> tl.tensor:
    """With respect to the weights after dropout: [BLOCK_EDGES, BLOCK_HEADS]."""
    grad_weight = tl.sum(grad_out * value, 2)
    if upstream.edge_out is not None:
        grad_weight += tl.sum(grad_edge_out * features, 2)
    if upstream.weights is not None:
        grad_weight += load_heads(upstream.weights, edge, valid, head, spec)
    return grad_weight


@triton.jit
def _store_record(
    records: tl.tensor,
    one: tl.tensor,
    other: tl.tensor,
    first: tl.tensor,
    valid: tl.tensor,
    head: tl.tensor,
    spec: tl.constexpr,
) -> None:
    """Two numbers for each head of the edges in slots from `first` on."""
    slot = first + tl.arange(0, spec.block_edges)
    store_heads(records, one, 2 * slot, valid, head, spec)
    store_heads(records, other, 2 * slot + 1, valid, head, spec)


@triton.jit
def _load_record(
    records: tl.tensor,
    maximum: tl.tensor,
    total: tl.tensor,
    first: tl.tensor,
    stop: tl.tensor,
    head: tl.tensor,
    spec: tl.constexpr,
) -> tuple[tl.tensor, tl.tensor, tl.tensor]:
    """The softmax's weights and their gradients, 0 past the last edge; and which edges there are."""
    slot = first + tl.arange(0, spec.block_edges)
    valid = slot < stop
    score = tl.where(valid[:, None], load_heads(records, 2 * slot, valid, head, spec), float("-inf"))
    weight = tl.exp(score - finite(maximum)) / total
    return weight, load_heads(records, 2 * slot + 1, valid, head, spec), valid


@triton.jit
def _pointwise_gradient(
    score: tl.tensor, weight: tl.tensor, grad_weight: tl.tensor, degree: tl.tensor, spec: tl.constexpr
) -> tl.tensor:
    """Of the scores, where each neighbour is weighed on its own."""
    if spec.normaliser == "sigmoid":
        grad_score = weight * (1.0 - weight) * grad_weight
    else:
        grad_score = tl.where(score > 0, grad_weight / degree, 0.0)
    return grad_score


@triton.jit
def _sum_edges(coefficient: tl.tensor, tile: tl.tensor) -> tl.tensor:
    return tl.sum(coefficient[:, :, None] * tile, 0, keep_dims=True)


@triton.jit
def _of_hidden(row: tl.tensor, att: tl.tensor, spec: tl.constexpr) -> tl.tensor:
    """The factor of the chain rule that all edges have in common."""
    if spec.score == "dot":
        row *= spec.dot_scale
    elif att is not None:
        row *= att
    return row
