"""What the kernels share: how tensors become tiles, and the mathematics of one block of edges.

A tile of [BLOCK_EDGES, BLOCK_HEADS, BLOCK_CHANNELS] holds a row per edge, and one of [1, BLOCK_HEADS, BLOCK_CHANNELS]
the row of the node whose edges are walked. They broadcast, so the same functions serve walks by target and by source.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from gatlib.kernels.dropout import threshold
from gatlib.kernels.interface import Adjacency, Attention

# All unmeasured. A row is what one edge brings: a block of heads times the widest of its channels. Only rows of more
# than MAX_ROW numbers are cut, between heads. With BYTES_PER_WARP, each thread loads 16 bytes of each row, so that
# sums over channels stay within a warp and sums over edges within a thread.
MAX_ROW = 1024
BYTES_PER_WARP = 512
MAX_WARPS = 8
MIN_BLOCK_EDGES, MAX_BLOCK_EDGES = 4, 32


class Tensors(NamedTuple):
    """The tensors of an `Attention`, contiguous."""

    query: Tensor
    key: Tensor
    value: Tensor
    att: Tensor | None
    edge_attr: Tensor | None
    edge_weight: Tensor | None  # transposed: [D, H * K], so that neighbouring channels are neighbours in memory
    edge_query: Tensor | None
    bias: Tensor | None
    seed: Tensor


@dataclass(frozen=True)
class Spec:
    """What a kernel is compiled for. Floats are here because arguments of a kernel are float32, even for float64."""

    score: str
    normaliser: str
    negative_slope: float
    dot_scale: float
    keep_threshold: int  # 0 without dropout
    keep_scale: float
    heads: int
    key_channels: int
    channels: int
    features: int  # D, the edge features that a kernel projects or sums; 0 if there are none
    shared: bool  # key and value are one tensor
    wide: tl.dtype  # of all arithmetic
    block_edges: int
    block_heads: int
    block_key: int
    block_value: int
    block_features: int


def tensors_of(attention: Attention) -> Tensors:
    weight = attention.edge_weight
    return Tensors(
        query=attention.query,
        key=attention.key,
        value=attention.value,
        att=attention.att,
        edge_attr=attention.edge_attr,
        edge_weight=None if weight is None else weight.t().contiguous(),
        edge_query=attention.edge_query,
        bias=attention.bias,
        seed=attention.seed,
    )


def wide_dtype(attention: Attention) -> torch.dtype:
    return torch.float64 if attention.query.dtype == torch.float64 else torch.float32


def specify(attention: Attention, mean_degree: int, numbers_per_thread: int) -> tuple[Spec, int]:
    """The variant of a kernel for these arguments, and its number of warps.

    `mean_degree` is that of the nodes whose edges are walked: a molecule's few neighbours need no large block.
    `numbers_per_thread` bounds how much of a tile a thread holds in its registers.
    """
    heads, key_channels, channels = *attention.query.shape[1:], attention.value.size(2)
    has_features = attention.score != "additive" and attention.edge_attr is not None
    features = attention.edge_attr.size(1) if has_features and attention.edge_attr is not None else 0
    block_key, block_value = _power_of_two(key_channels), _power_of_two(channels)
    block_features = _power_of_two(features)

    widest = max(block_key, block_value, block_features if attention.score == "dot" else 1)
    block_heads = min(_power_of_two(heads), max(MAX_ROW // widest, 1))
    row = block_heads * widest
    wide = wide_dtype(attention)
    num_warps = min(max(row * attention.query.element_size() // BYTES_PER_WARP, 1), MAX_WARPS)
    if wide == torch.float64:
        numbers_per_thread //= 2
    block_edges = min(numbers_per_thread * 32 * num_warps // row, MAX_BLOCK_EDGES)
    block_edges = max(min(block_edges, max(_power_of_two(mean_degree), MIN_BLOCK_EDGES)), 1)

    spec = Spec(
        score=attention.score,
        normaliser=attention.normaliser,
        negative_slope=attention.negative_slope,
        dot_scale=1 / math.sqrt(key_channels),
        keep_threshold=threshold(attention.dropout),
        keep_scale=1 / (1 - attention.dropout) if attention.dropout < 1 else 0.0,
        heads=heads,
        key_channels=key_channels,
        channels=channels,
        features=features,
        shared=attention.value is attention.key,
        wide=tl.float64 if wide == torch.float64 else tl.float32,
        block_edges=block_edges,
        block_heads=block_heads,
        block_key=block_key,
        block_value=block_value,
        block_features=block_features,
    )
    return spec, num_warps


def _power_of_two(number: int) -> int:
    """The next power of two: no tile can have another size."""
    return triton.next_power_of_2(max(number, 1))


@triton.jit
def load_rows(
    rows: tl.tensor,  # [nodes, H, channels]
    node: tl.tensor,  # a scalar, or [BLOCK_EDGES, 1, 1]
    inside: tl.tensor,  # [1 or BLOCK_EDGES, BLOCK_HEADS, 1]
    head: tl.tensor,  # [BLOCK_HEADS]
    channels: tl.constexpr,
    block_channels: tl.constexpr,
    spec: tl.constexpr,
) -> tl.tensor:
    """A tile [1 or BLOCK_EDGES, BLOCK_HEADS, block_channels]; None for None."""
    tile = None
    if rows is not None:
        channel = tl.arange(0, block_channels)[None, None, :]
        offset = (node * spec.heads + head[None, :, None]) * channels + channel
        tile = tl.load(rows + offset, mask=inside & (channel < channels), other=0.0).to(spec.wide)
    return tile


@triton.jit
def store_row(
    rows: tl.tensor,  # [nodes, H, channels]
    row: tl.tensor,  # [1, BLOCK_HEADS, block_channels]
    node: tl.tensor,
    own: tl.tensor,  # [1, BLOCK_HEADS, 1]
    head: tl.tensor,
    channels: tl.constexpr,
    block_channels: tl.constexpr,
    spec: tl.constexpr,
) -> None:
    channel = tl.arange(0, block_channels)[None, None, :]
    offset = (node * spec.heads + head[None, :, None]) * channels + channel
    tl.store(rows + offset, row, mask=own & (channel < channels))


@triton.jit
def load_heads(
    numbers: tl.tensor,  # [nodes or edges, H]
    index: tl.tensor,  # [BLOCK_EDGES]
    valid: tl.tensor,  # [BLOCK_EDGES]
    head: tl.tensor,
    spec: tl.constexpr,
) -> tl.tensor:
    """A tile [BLOCK_EDGES, BLOCK_HEADS]."""
    mask = valid[:, None] & (head < spec.heads)[None, :]
    return tl.load(numbers + index[:, None] * spec.heads + head[None, :], mask=mask, other=0.0).to(spec.wide)


@triton.jit
def store_heads(
    numbers: tl.tensor, tile: tl.tensor, index: tl.tensor, valid: tl.tensor, head: tl.tensor, spec: tl.constexpr
) -> None:
    mask = valid[:, None] & (head < spec.heads)[None, :]
    tl.store(numbers + index[:, None] * spec.heads + head[None, :], tile, mask=mask)


@triton.jit
def load_values(
    source: tl.tensor, key: tl.tensor, inside: tl.tensor, head: tl.tensor, tensors: Tensors, spec: tl.constexpr
) -> tl.tensor:
    """The rows of the value; where it is the key, those that are there already."""
    value = key
    if not spec.shared:
        value = load_rows(tensors.value, source, inside, head, spec.channels, spec.block_value, spec)
    return value


@triton.jit
def leaky_relu(hidden: tl.tensor, spec: tl.constexpr) -> tl.tensor:
    return tl.where(hidden > 0, hidden, hidden * spec.negative_slope)


@triton.jit
def leaky_slope(hidden: tl.tensor, spec: tl.constexpr) -> tl.tensor:
    """The derivative of `leaky_relu`, at 0 as in PyTorch."""
    return tl.where(hidden > 0, 1.0, tl.full(hidden.shape, spec.negative_slope, spec.wide))


@triton.jit
def read_incoming(
    first: tl.tensor,
    stop: tl.tensor,
    own: tl.tensor,
    head: tl.tensor,
    adjacency: Adjacency,
    tensors: Tensors,
    spec: tl.constexpr,
) -> tuple[tl.tensor, ...]:
    """The next block of a target node's edges, up to `stop`."""
    slot = first + tl.arange(0, spec.block_edges)
    valid = slot < stop
    source = tl.load(adjacency.col + slot, mask=valid, other=0).to(tl.int64)[:, None, None]
    edge = tl.load(adjacency.edge + slot, mask=valid, other=0).to(tl.int64)
    inside = valid[:, None, None] & own
    key = load_rows(tensors.key, source, inside, head, spec.key_channels, spec.block_key, spec)
    return key, source, edge, valid, inside


@triton.jit
def load_features(edge: tl.tensor, valid: tl.tensor, tensors: Tensors, spec: tl.constexpr) -> tl.tensor:
    """Of edges, where "dot" sums them: [BLOCK_EDGES, 1, BLOCK_FEATURES], else None."""
    features = None
    if tensors.edge_query is not None:
        feature = tl.arange(0, spec.block_features)[None, None, :]
        mask = valid[:, None, None] & (feature < spec.features)
        offset = edge[:, None, None] * spec.features + feature
        features = tl.load(tensors.edge_attr + offset, mask=mask, other=0.0).to(spec.wide)
    return features


@triton.jit
def score_edges(
    query: tl.tensor,
    key: tl.tensor,
    att: tl.tensor,
    edge_query: tl.tensor,
    features: tl.tensor,
    edge: tl.tensor,
    valid: tl.tensor,
    head: tl.tensor,
    tensors: Tensors,
    spec: tl.constexpr,
) -> tuple[tl.tensor, tl.tensor]:
    """Scores [BLOCK_EDGES, BLOCK_HEADS], -inf past the last edge; and hidden, the terms they sum over channels.

    Those of additive scores are before the LeakyReLU.
    """
    if spec.score == "dot":
        hidden = query * key
        score = tl.sum(hidden, 2)
        if tensors.edge_query is not None:
            score += tl.sum(edge_query * features, 2)
        score *= spec.dot_scale
    else:
        hidden = add_hidden(query, key, edge, valid, head, tensors, spec)
        if tensors.att is not None:
            score = tl.sum(att * leaky_relu(hidden, spec), 2)
        else:
            score = tl.sum(leaky_relu(hidden, spec), 2)
    if tensors.bias is not None:
        score += load_heads(tensors.bias, edge, valid, head, spec)
    return tl.where(valid[:, None], score, float("-inf")), hidden


@triton.jit
def add_hidden(
    query: tl.tensor,
    key: tl.tensor,
    edge: tl.tensor,
    valid: tl.tensor,
    head: tl.tensor,
    tensors: Tensors,
    spec: tl.constexpr,
) -> tl.tensor:
    """q + k + e of an additive score, of which the LeakyReLU is taken: [BLOCK_EDGES, BLOCK_HEADS, BLOCK_KEY]."""
    hidden = query + key
    if tensors.edge_attr is not None:
        if spec.score == "additive":
            hidden += load_heads(tensors.edge_attr, edge, valid, head, spec)[:, :, None]
        else:
            hidden += _project(tensors.edge_attr, tensors.edge_weight, edge, valid, head, spec)
    return hidden


@triton.jit
def _project(
    edge_attr: tl.tensor, edge_weight: tl.tensor, edge: tl.tensor, valid: tl.tensor, head: tl.tensor, spec: tl.constexpr
) -> tl.tensor:
    """W a, a feature at a time: [BLOCK_EDGES, BLOCK_HEADS, BLOCK_KEY]."""
    channel = tl.arange(0, spec.block_key)[None, None, :]
    column = head[None, :, None] * spec.key_channels + channel
    real = (head < spec.heads)[None, :, None] & (channel < spec.key_channels)
    projected = tl.full([spec.block_edges, spec.block_heads, spec.block_key], 0.0, spec.wide)
    for feature in range(spec.features):
        weight = tl.load(edge_weight + feature * spec.heads * spec.key_channels + column, mask=real, other=0.0)
        attr = tl.load(edge_attr + edge * spec.features + feature, mask=valid, other=0.0)
        projected += attr.to(spec.wide)[:, None, None] * weight.to(spec.wide)
    return projected


@triton.jit
def finite(maximum: tl.tensor) -> tl.tensor:
    """What to subtract from scores. All may be -inf so far, and -inf - -inf is not a number."""
    return tl.where(maximum == float("-inf"), 0.0, maximum)


@triton.jit
def weigh_edges(score: tl.tensor, degree: tl.tensor, spec: tl.constexpr) -> tl.tensor:
    """The weights of sigmoid and relu before dropout. Edges past the last one, of score -inf, get 0, NaN stays NaN."""
    return 1.0 / (1.0 + tl.exp(-score)) if spec.normaliser == "sigmoid" else tl.where(score <= 0, 0.0, score) / degree


@triton.jit
def dropout_factor(seed: tl.tensor, edge: tl.tensor, head: tl.tensor, spec: tl.constexpr) -> tl.tensor:
    """0 where dropout zeroes a weight, else 1 / (1 - dropout); see `gatlib.kernels.dropout`."""
    factor = tl.full([spec.block_edges, spec.block_heads], spec.keep_scale, spec.wide)
    if spec.keep_threshold > 0:
        number = edge[:, None] * spec.heads + head[None, :]
        start = tl.load(seed)
        bits = _mix(_low_half(number) ^ _low_half(start))
        bits = _mix(bits ^ _low_half(number >> 32) ^ _low_half(start >> 32))
        factor = tl.where(bits.to(tl.int64) >= spec.keep_threshold, factor, 0.0)
    return factor


@triton.jit
def _low_half(number: tl.tensor) -> tl.tensor:
    return (number & 0xFFFFFFFF).to(tl.uint32)


@triton.jit
def _mix(bits: tl.tensor) -> tl.tensor:
    """The finaliser of MurmurHash3."""
    bits ^= bits >> 16
    bits *= 0x85EBCA6B
    bits ^= bits >> 13
    bits *= 0xC2B2AE35
    return bits ^ (bits >> 16)
