"""Gradients of the edge features of an "additive-dynamic" score, and of the matrix that projects them.

With hidden = q + k + W a, both are products with the gradient of hidden, [edges, H * K]: G W and G^T a. That gradient
is made again where it is needed, a block of edges and channels at a time. Edges come in the order of slots, whose
targets lie together. Heads and channels are one axis here: channel c belongs to head c // K.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from gatlib.kernels.gpu.tiles import Spec, Tensors, leaky_slope
from gatlib.kernels.interface import Adjacency

# All unmeasured. `tl.dot` needs blocks of 16 or more.
BLOCK_EDGES, BLOCK_CHANNELS, MAX_BLOCK_FEATURES = 32, 64, 64
NUM_WARPS = 4
# So many share the gradient of the matrix. A constant and no property of the device, because how the edges are shared
# out decides how their sum is rounded.
PROGRAMS = 2048


def edge_attr_gradient(tensors: Tensors, adjacency: Adjacency, grad_score: Tensor, spec: Spec) -> Tensor:
    """[E, D], in the wide dtype, from the gradient of the scores [E, H]."""
    num_slots, block_features = adjacency.col.numel(), _block_features(spec)
    grad_attr = grad_score.new_zeros(grad_score.size(0), spec.features)
    if num_slots > 0 and spec.features > 0:
        grid = (triton.cdiv(num_slots, BLOCK_EDGES), triton.cdiv(spec.features, block_features))
        blocks = (BLOCK_EDGES, BLOCK_CHANNELS, block_features)
        targets, blocks = _targets(adjacency), (BLOCK_EDGES, BLOCK_CHANNELS, block_features)
        _edge_attr_gradient[grid](
            grad_attr, grad_score, targets, adjacency, tensors, num_slots, spec, *blocks, num_warps=NUM_WARPS
        )
    return grad_attr


def edge_weight_gradient(tensors: Tensors, adjacency: Adjacency, grad_score: Tensor, spec: Spec) -> Tensor:
    """[H * K, D], in the wide dtype, from the gradient of the scores [E, H]."""
    num_slots, block_features = adjacency.col.numel(), _block_features(spec)
    width = spec.heads * spec.key_channels
    channel_blocks, feature_blocks = triton.cdiv(width, BLOCK_CHANNELS), triton.cdiv(spec.features, block_features)
    parts = max(PROGRAMS // max(channel_blocks * feature_blocks, 1), 1)
    span = max(triton.cdiv(num_slots, parts * BLOCK_EDGES), 1) * BLOCK_EDGES
    parts = triton.cdiv(num_slots, span)
    partial_sums = grad_score.new_empty(parts, width, spec.features)
    if num_slots > 0 and spec.features > 0:
        grid = (parts, channel_blocks, feature_blocks)
        targets, blocks = _targets(adjacency), (BLOCK_EDGES, BLOCK_CHANNELS, block_features)
        _edge_weight_gradient[grid](
            partial_sums, grad_score, targets, adjacency, tensors, num_slots, span, spec, *blocks, num_warps=NUM_WARPS
        )
    return partial_sums.sum(0)


def _block_features(spec: Spec) -> int:
    return min(max(spec.block_features, 16), MAX_BLOCK_FEATURES)


def _targets(adjacency: Adjacency) -> Tensor:
    """The target of the edge in each slot."""
    degree = adjacency.rowptr.diff()
    nodes = torch.arange(degree.numel(), device=degree.device)
    return nodes.repeat_interleave(degree, output_size=adjacency.col.numel())


@triton.jit(do_not_specialize=["num_slots"])
def _edge_attr_gradient(
    grad_attr: tl.tensor,  # [E, D]
    grad_score: tl.tensor,
    targets: tl.tensor,  # [slots]: the target of the edge in each slot
    adjacency: Adjacency,
    tensors: Tensors,
    num_slots: tl.tensor,
    spec: tl.constexpr,
    block_edges: tl.constexpr,
    block_channels: tl.constexpr,
    block_features: tl.constexpr,
) -> None:
    slot = tl.program_id(0).to(tl.int64) * block_edges + tl.arange(0, block_edges)
    feature = tl.program_id(1) * block_features + tl.arange(0, block_features)
    edge = tl.load(adjacency.edge + slot, mask=slot < num_slots, other=0).to(tl.int64)
    summed = tl.full([block_edges, block_features], 0.0, spec.wide)
    for first in range(0, spec.heads * spec.key_channels, block_channels):
        channel = first + tl.arange(0, block_channels)
        grad_hidden = _hidden_gradient(
            slot, channel, num_slots, grad_score, targets, adjacency, tensors, spec, block_features
        )
        weight = _load_weight(tensors.edge_weight, feature, channel, spec)
        summed = tl.dot(grad_hidden, tl.trans(weight), summed, input_precision="ieee", out_dtype=spec.wide)
    mask = (slot < num_slots)[:, None] & (feature < spec.features)[None, :]
    tl.store(grad_attr + edge[:, None] * spec.features + feature[None, :], summed, mask=mask)


@triton.jit(do_not_specialize=["num_slots", "span"])
def _edge_weight_gradient(
    grad_weight: tl.tensor,  # [parts, H * K, D], to be summed
    grad_score: tl.tensor,
    targets: tl.tensor,
    adjacency: Adjacency,
    tensors: Tensors,
    num_slots: tl.tensor,
    span: tl.tensor,  # slots to each program, one after the other
    spec: tl.constexpr,
    block_edges: tl.constexpr,
    block_channels: tl.constexpr,
    block_features: tl.constexpr,
) -> None:
    program = tl.program_id(0).to(tl.int64)
    channel = tl.program_id(1) * block_channels + tl.arange(0, block_channels)
    feature = tl.program_id(2) * block_features + tl.arange(0, block_features)
    summed = tl.full([block_channels, block_features], 0.0, spec.wide)
    for first in range(program * span, tl.minimum((program + 1) * span, num_slots), block_edges):
        slot = first + tl.arange(0, block_edges)
        edge = tl.load(adjacency.edge + slot, mask=slot < num_slots, other=0).to(tl.int64)
        grad_hidden = _hidden_gradient(
            slot, channel, num_slots, grad_score, targets, adjacency, tensors, spec, block_features
        )
        attr = _load_attr(tensors.edge_attr, edge, slot < num_slots, feature, spec)
        summed = tl.dot(tl.trans(grad_hidden), attr, summed, input_precision="ieee", out_dtype=spec.wide)
    width = spec.heads * spec.key_channels
    line = program * width + channel[:, None]
    mask = (channel < width)[:, None] & (feature < spec.features)[None, :]
    tl.store(grad_weight + line * spec.features + feature[None, :], summed, mask=mask)


@triton.jit
def _hidden_gradient(
    slot: tl.tensor,
    channel: tl.tensor,
    num_slots: tl.tensor,
    grad_score: tl.tensor,
    targets: tl.tensor,
    adjacency: Adjacency,
    tensors: Tensors,
    spec: tl.constexpr,
    block_features: tl.constexpr,
) -> tl.tensor:
    """The gradient of q + k + W a, 0 past the last slot and the last channel: [block_edges, block_channels]."""
    width = spec.heads * spec.key_channels
    valid = slot < num_slots
    mask = valid[:, None] & (channel < width)[None, :]
    target = tl.load(targets + slot, mask=valid, other=0)[:, None]
    source = tl.load(adjacency.col + slot, mask=valid, other=0).to(tl.int64)[:, None]
    edge = tl.load(adjacency.edge + slot, mask=valid, other=0).to(tl.int64)
    hidden = tl.load(tensors.query + target * width + channel[None, :], mask=mask, other=0.0).to(spec.wide)
    hidden += tl.load(tensors.key + source * width + channel[None, :], mask=mask, other=0.0).to(spec.wide)
    for first in range(0, spec.features, block_features):
        feature = first + tl.arange(0, block_features)
        attr = _load_attr(tensors.edge_attr, edge, valid, feature, spec)
        weight = _load_weight(tensors.edge_weight, feature, channel, spec)
        hidden = tl.dot(attr, weight, hidden, input_precision="ieee", out_dtype=spec.wide)
    att = tl.load(tensors.att + channel, mask=channel < width, other=0.0).to(spec.wide)
    head = channel // spec.key_channels
    grad = tl.load(grad_score + edge[:, None] * spec.heads + head[None, :], mask=mask, other=0.0)
    return grad * att[None, :] * leaky_slope(hidden, spec)


@triton.jit
def _load_attr(
    edge_attr: tl.tensor, edge: tl.tensor, valid: tl.tensor, feature: tl.tensor, spec: tl.constexpr
) -> tl.tensor:
    mask = valid[:, None] & (feature < spec.features)[None, :]
    return tl.load(edge_attr + edge[:, None] * spec.features + feature[None, :], mask=mask, other=0.0).to(spec.wide)


@triton.jit
def _load_weight(edge_weight: tl.tensor, feature: tl.tensor, channel: tl.tensor, spec: tl.constexpr) -> tl.tensor:
    width = spec.heads * spec.key_channels
    mask = (feature < spec.features)[:, None] & (channel < width)[None, :]
    return tl.load(edge_weight + feature[:, None] * width + channel[None, :], mask=mask, other=0.0).to(spec.wide)
