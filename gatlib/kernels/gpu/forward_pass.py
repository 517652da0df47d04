"""The forward pass: one program per target node and block of heads."""

import torch
import triton
import triton.language as tl

from gatlib.kernels.gpu.sort import SortedGraph
from gatlib.kernels.gpu.tiles import (
    Tensors,
    dropout_factor,
    finite,
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
from gatlib.kernels.interface import Adjacency, Attention, Forward

# Unmeasured: a tile of keys and one of values are 64 registers.
NUMBERS_PER_THREAD = 32


def forward(attention: Attention, graph: SortedGraph, return_weights: bool) -> Forward:
    (num_targets, heads, _), channels = attention.query.shape, attention.value.size(2)
    adjacency = graph.adjacency
    out = attention.value.new_empty(num_targets, heads, channels)
    edge_out = None if attention.edge_query is None else torch.empty_like(attention.edge_query)
    weights = attention.query.new_zeros(graph.num_edges, heads) if return_weights else None
    scores = None
    if return_weights and attention.normaliser == "softmax":
        scores = attention.query.new_empty(adjacency.col.numel(), heads, dtype=wide_dtype(attention))
    if num_targets > 0:
        spec, num_warps = specify(attention, adjacency.col.numel() // num_targets, NUMBERS_PER_THREAD)
        grid = (num_targets, triton.cdiv(heads, spec.block_heads))
        with torch.cuda.device_of(out):
            _forward[grid](out, edge_out, weights, scores, adjacency, tensors_of(attention), spec, num_warps=num_warps)
    return Forward(out, edge_out, weights)


@triton.jit
def _forward(
    out: tl.tensor,
    edge_out: tl.tensor,
    weights: tl.tensor,
    scores: tl.tensor,  # [slots, H], of which the weights of a softmax are made when the sum is known
    adjacency: Adjacency,
    tensors: Tensors,
    spec: tl.constexpr,
) -> None:
    target = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1) * spec.block_heads + tl.arange(0, spec.block_heads)
    own = (head < spec.heads)[None, :, None]
    start, stop = tl.load(adjacency.rowptr + target), tl.load(adjacency.rowptr + target + 1)
    degree = (stop - start).to(spec.wide)
    query = load_rows(tensors.query, target, own, head, spec.key_channels, spec.block_key, spec)
    att = load_rows(tensors.att, 0, own, head, spec.key_channels, spec.block_key, spec)
    edge_query = load_rows(tensors.edge_query, target, own, head, spec.features, spec.block_features, spec)

    maximum = tl.full([1, spec.block_heads], float("-inf"), spec.wide)
    total = tl.full([1, spec.block_heads], 0.0, spec.wide)
    out_row = tl.full([1, spec.block_heads, spec.block_value], 0.0, spec.wide)
    edge_out_row = tl.full([1, spec.block_heads, spec.block_features], 0.0, spec.wide)
    for first in range(start, stop, spec.block_edges):
        key, source, edge, valid, inside = read_incoming(first, stop, own, head, adjacency, tensors, spec)
        features = load_features(edge, valid, tensors, spec)
        score, _ = score_edges(query, key, att, edge_query, features, edge, valid, head, tensors, spec)
        if scores is not None:
            store_heads(scores, score, first + tl.arange(0, spec.block_edges), valid, head, spec)
        if spec.normaliser == "softmax":
            higher = tl.maximum(maximum, tl.max(score, 0, keep_dims=True))
            weight = tl.exp(score - finite(higher))
            shrink = tl.exp(maximum - finite(higher))
            total = total * shrink + tl.sum(weight, 0, keep_dims=True)
            out_row *= shrink[:, :, None]
            edge_out_row *= shrink[:, :, None]
            maximum = higher
        else:
            weight = weigh_edges(score, degree, spec)
        weight *= dropout_factor(tensors.seed, edge, head, spec)
        value = load_values(source, key, inside, head, tensors, spec)
        out_row += tl.sum(weight[:, :, None] * value, 0, keep_dims=True)
        if edge_out is not None:
            edge_out_row += tl.sum(weight[:, :, None] * features, 0, keep_dims=True)
        if weights is not None and spec.normaliser != "softmax":
            store_heads(weights, weight, edge, valid, head, spec)

    if spec.normaliser == "softmax":
        total = tl.where(total == 0.0, 1.0, total)
        out_row /= total[:, :, None]
        edge_out_row /= total[:, :, None]
        if scores is not None:
            tl.debug_barrier()  # until all threads have written their scores
            for first in range(start, stop, spec.block_edges):
                slot = first + tl.arange(0, spec.block_edges)
                valid = slot < stop
                edge = tl.load(adjacency.edge + slot, mask=valid, other=0).to(tl.int64)
                score = tl.where(valid[:, None], load_heads(scores, slot, valid, head, spec), float("-inf"))
                weight = tl.exp(score - finite(maximum)) / total
                weight *= dropout_factor(tensors.seed, edge, head, spec)
                store_heads(weights, weight, edge, valid, head, spec)

    store_row(out, out_row, target, own, head, spec.channels, spec.block_value, spec)
    if edge_out is not None:
        store_row(edge_out, edge_out_row, target, own, head, spec.features, spec.block_features, spec)
