"""Fused edge attention on the CPU: `sort_edges`, `forward` and `backward`, for `gatlib.kernels.operators`.

Nothing here holds a number per edge and channel: `forward` saves nothing, and `backward` holds two numbers per edge and
head between its two walks. See `forward.py`, `backward_target.py`, `backward_source.py`
for the kernels, `lanes.py` for the vectors they are written in, and `spans.py` for the threads.
"""

from functools import cache
from math import gcd

import torch
from torch import Tensor

from gatlib.kernels.columns import columns_of, node_columns, table_of
from gatlib.kernels.cpu import backward_source, backward_target
from gatlib.kernels.cpu import forward as forward_module
from gatlib.kernels.cpu.arguments import DYNAMIC, SCORES, address, addresses, numbers_of
from gatlib.kernels.cpu.lanes import lanes_for
from gatlib.kernels.cpu.sorting import SortedGraph, sort_edges
from gatlib.kernels.cpu.spans import for_each_span
from gatlib.kernels.interface import Attention, Forward, Gradients
from gatlib.kernels.memory import empty

__all__ = ["backward", "forward", "sort_edges"]


def forward(attention: Attention, graph: SortedGraph, return_weights: bool) -> Forward:
    query, value = attention.query, attention.value
    (num_targets, heads, key_channels), channels = query.shape, value.size(2)
    adjacency = graph.adjacency
    numbers = numbers_of(attention, adjacency)
    edge_weight_t = _transposed(attention.edge_weight)
    arrays, edges = addresses(attention, edge_weight_t), graph.addresses

    out = empty(num_targets, heads, channels, dtype=value.dtype)
    weights = value.new_zeros(graph.num_edges, heads) if return_weights else None
    outputs = forward_module.Outputs(address(out), address(weights))
    kernel = forward_module.forward_kernel(SCORES[attention.score], *_lanes(attention))
    scratch_size = forward_module.scratch_size(heads, key_channels, channels, numbers.edge_channels)

    def fill(number: int, first: int, last: int) -> None:
        scratch = value.new_empty(scratch_size)
        kernel(first, last, arrays, edges, numbers, outputs, scratch.data_ptr())

    for_each_span(fill, graph.target_spans)
    return Forward(out, None, weights)


def backward(
    attention: Attention,
    graph: SortedGraph,
    edge_out: Tensor | None,
    grad_out: Tensor,
    grad_weights: Tensor | None,
    needs_edge_attr: bool,
) -> Gradients:
    query, key, value = attention.query, attention.key, attention.value
    heads, key_channels = query.shape[1:]
    adjacency = graph.adjacency
    num_slots = adjacency.col.numel()
    numbers = numbers_of(attention, adjacency)
    edge_weight_t = _transposed(attention.edge_weight)
    arrays, edges = addresses(attention, edge_weight_t), graph.addresses
    score, (lanes, head_lanes, edge_lanes) = SCORES[attention.score], _lanes(attention)
    one_tensor = key is value

    records = empty(num_slots, 2, heads, dtype=value.dtype)
    signs = empty(num_slots, heads * key_channels // lanes if score == DYNAMIC else 0, dtype=torch.uint8)
    if one_tensor:
        grad_key, grad_query = _laid_out_like(node_columns(query, key, value))
        grad_value = None
    else:
        grad_query, grad_key, grad_value = _laid_out_like(node_columns(query, key, value))
    # What edges are left out for self-loops gets no gradient.
    grad_edge_attr = None
    if attention.edge_attr is not None and needs_edge_attr:
        grad_edge_attr = torch.zeros_like(attention.edge_attr)
    grad_bias = None if attention.bias is None else torch.zeros_like(attention.bias)
    att_of_targets, att_of_sources, grad_edge_weight = None, None, None
    if attention.att is not None:
        att_of_targets = value.new_zeros(len(graph.target_spans), *attention.att.shape)
        att_of_sources = value.new_zeros(len(graph.source_spans), *attention.att.shape)
    if attention.edge_weight is not None and edge_weight_t is not None:
        shape = (edge_weight_t if score == DYNAMIC else attention.edge_weight).shape
        grad_edge_weight = value.new_zeros(len(graph.target_spans), *shape)

    target_kernel = backward_target.backward_target_kernel(score, lanes, head_lanes, edge_lanes)
    target_scratch = backward_target.scratch_size(heads, key_channels, numbers.edge_channels, graph.max_degree)

    def fill_targets(number: int, first: int, last: int) -> None:
        scratch = value.new_empty(target_scratch)
        outputs = backward_target.Outputs(
            grad_out=address(grad_out),
            grad_weights=address(grad_weights),
            records=address(records),
            signs=address(signs),
            query=address(grad_query),
            edge_attr=address(grad_edge_attr),
            bias=address(grad_bias),
            att=0 if att_of_targets is None else address(att_of_targets[number]),
            edge_weight=0 if grad_edge_weight is None else address(grad_edge_weight[number]),
        )
        target_kernel(first, last, arrays, edges, numbers, outputs, scratch.data_ptr())

    for_each_span(fill_targets, graph.target_spans)

    source_kernel = backward_source.backward_source_kernel(score, lanes)
    source_scratch = backward_source.scratch_size(heads, key_channels, value.size(2))

    def fill_sources(number: int, first: int, last: int) -> None:
        scratch = value.new_empty(source_scratch)
        outputs = backward_source.Outputs(
            grad_out=address(grad_out),
            records=address(records),
            signs=address(signs),
            key=address(grad_key),
            value=address(grad_value),
            att=0 if att_of_sources is None else address(att_of_sources[number]),
        )
        source_kernel(first, last, arrays, edges, numbers, outputs, scratch.data_ptr())

    for_each_span(fill_sources, graph.source_spans)

    grad_att = None
    if att_of_targets is not None and att_of_sources is not None:
        # LeakyReLU(x) is x times its own slope, so a sum over edges of att's gradient is one over nodes:
        # the slopes summed over a node's edges, times the node's own share of x.
        grad_att = _summed(att_of_targets) + _summed(att_of_sources)
    if grad_edge_weight is not None:
        grad_edge_weight = _summed(grad_edge_weight)
        if grad_att is not None and attention.att is not None and edge_weight_t is not None:
            grad_att += (grad_edge_weight * edge_weight_t).sum(dim=0).view_as(grad_att)
            grad_edge_weight = (grad_edge_weight * attention.att.flatten()).t().contiguous()
    return Gradients(
        query=grad_query,
        key=grad_key,
        value=grad_value,
        att=grad_att,
        edge_attr=grad_edge_attr,
        edge_weight=grad_edge_weight,
        edge_query=None,
        bias=grad_bias,
    )


def _summed(of_spans: Tensor) -> Tensor:
    return of_spans[0] if of_spans.size(0) == 1 else of_spans.sum(dim=0)


def _laid_out_like(nodes: list[Tensor]) -> list[Tensor]:
    table = table_of(nodes)
    if table is None:
        return [empty(*tensor.shape, dtype=tensor.dtype) for tensor in nodes]
    return columns_of(empty(*table.shape, dtype=table.dtype), like=nodes)


def _lanes(attention: Attention) -> tuple[int, int, int]:
    """Vectors of how many channels, heads and edge features the kernels should use."""
    (heads, key_channels), channels = attention.query.shape[1:], attention.value.size(2)
    edge_channels = 1 if attention.score != "dot" or attention.edge_attr is None else attention.edge_attr.size(1)
    channels = channels if attention.score == "additive" else gcd(channels, key_channels)
    return _lanes_of(channels, heads, edge_channels)


@cache
def _lanes_of(channels: int, heads: int, edge_channels: int) -> tuple[int, int, int]:
    return lanes_for(channels), lanes_for(heads), lanes_for(edge_channels)


def _transposed(edge_weight: Tensor | None) -> Tensor | None:
    return None if edge_weight is None else edge_weight.t().contiguous()
