"""Attention of all nodes of each graph to each other: no list of pairs, no padding to the largest graph.

One graph and head at a time, small enough for the first caches. Scores have the keys along the lanes, so that nothing
is summed across lanes and the exponential is taken of whole vectors; sums over nodes have the channels along the
lanes. Four queries go together: what is loaded of a key or value serves all four.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gatlib.kernels.cpu.compiled import compiled, inlined
from gatlib.kernels.cpu.lanes import (
    beyond,
    exponential,
    highest,
    load,
    pointer,
    splat,
    store,
    total,
    width,
    zeros,
)
from gatlib.kernels.cpu.normalisers import highest_of
from gatlib.kernels.cpu.spans import for_each_span, spans
from gatlib.kernels.memory import empty

ROWS = 4  # queries that go together
NODE_LANES = 16  # two vectors of most processors: no sum waits for the one before


class Sizes(NamedTuple):
    """What the kernels are told beside addresses."""

    ptr: int  # address of [graphs + 1] int64
    heads: int
    channels: int  # of a head
    scale: np.floating
    zero: np.floating
    one: np.floating
    lowest: np.floating


def forward(table: Tensor, ptr: Tensor, heads: int) -> Tensor:
    """Output [N, C] of a table [N, 3 C] of queries, keys and values."""
    out = empty(table.size(0), table.size(1) // 3, dtype=table.dtype)
    sizes, units, most = _problem(table, ptr, heads)
    lanes = _channel_lanes(sizes.channels)
    kernel, scratch_size = _forward_kernel(lanes), _forward_scratch(most, sizes.channels, lanes)

    def fill(number: int, first: int, last: int) -> None:
        scratch = table.new_empty(scratch_size)
        kernel(first, last, sizes, table.data_ptr(), out.data_ptr(), scratch.data_ptr())

    for_each_span(fill, units)
    return out


def backward(table: Tensor, ptr: Tensor, heads: int, grad_out: Tensor) -> Tensor:
    """The gradient of the table."""
    grad = empty(*table.shape, dtype=table.dtype)
    sizes, units, most = _problem(table, ptr, heads)
    lanes = _channel_lanes(sizes.channels)
    kernel, scratch_size = _backward_kernel(lanes), _backward_scratch(most, sizes.channels, lanes)

    def fill(number: int, first: int, last: int) -> None:
        scratch = table.new_empty(scratch_size)
        addresses = (table.data_ptr(), grad_out.data_ptr(), grad.data_ptr(), scratch.data_ptr())
        kernel(first, last, sizes, *addresses)

    for_each_span(fill, units)
    return grad


def _problem(table: Tensor, ptr: Tensor, heads: int) -> tuple[Sizes, list[tuple[int, int]], int]:
    """Also the spans of units, a unit being one graph and head, and the nodes of the largest graph."""
    number: type[np.floating] = np.float32 if table.dtype == torch.float32 else np.float64
    channels = table.size(1) // (3 * heads)
    nodes = ptr.diff()
    work = torch.nn.functional.pad((nodes * nodes).repeat_interleave(heads).cumsum(dim=0), (1, 0))
    most = int(nodes.max()) if nodes.numel() > 0 else 0
    scale = number(max(channels, 1) ** -0.5)
    sizes = Sizes(ptr.data_ptr(), heads, channels, scale, number(0), number(1), np.finfo(number).min)
    return sizes, spans(work), most


def _channel_lanes(channels: int) -> int:
    return 16 if channels > 8 else 8


def _padded(count: int, lanes: int) -> int:
    return -(-count // lanes) * lanes


def _forward_scratch(most: int, channels: int, lanes: int) -> int:
    nodes, wide = _padded(most, NODE_LANES), _padded(channels, lanes)
    return nodes * (channels + wide) + ROWS * (nodes + 2 * wide + 1)


def _backward_scratch(most: int, channels: int, lanes: int) -> int:
    nodes, wide = _padded(most, NODE_LANES), _padded(channels, lanes)
    return nodes * (2 * channels + 3 * wide) + ROWS * (2 * nodes + 3 * wide)


@inlined
def _copy(source, at, row, count, channels, scale, wide, zero, target):
    """Rows of a table as [count, wide], zeros beyond the channels."""
    for j in range(count):
        for c in range(channels):
            target[j * wide + c] = scale * source[at + j * row + c]
        for c in range(channels, wide):
            target[j * wide + c] = zero


@inlined
def _copy_transposed(source, at, row, count, channels, scale, padded, zero, target):
    """Rows of a table as [channels, padded], zeros beyond the count."""
    for c in range(channels):
        for j in range(count):
            target[c * padded + j] = scale * source[at + j * row + c]
        for j in range(count, padded):
            target[c * padded + j] = zero


@inlined
def _products(like, rows, row_size, count, matrix, matrix_size, result):
    """Of four rows, the first `count` numbers of each, with a matrix [count, matrix_size]."""
    for c in range(0, matrix_size, width(like)):
        first, second, third, fourth = like, like, like, like
        for j in range(count):
            row = load(matrix, j * matrix_size + c, like)
            first = first + splat(rows[j], like) * row
            second = second + splat(rows[row_size + j], like) * row
            third = third + splat(rows[2 * row_size + j], like) * row
            fourth = fourth + splat(rows[3 * row_size + j], like) * row
        store(result, c, first)
        store(result, matrix_size + c, second)
        store(result, 2 * matrix_size + c, third)
        store(result, 3 * matrix_size + c, fourth)


@inlined
def _add_outer(like, weights, padded, count, rows, wide, sums):
    """Adds to each row of sums [count, wide] the four rows, weighted."""
    for c in range(0, wide, width(like)):
        first, second = load(rows, c, like), load(rows, wide + c, like)
        third, fourth = load(rows, 2 * wide + c, like), load(rows, 3 * wide + c, like)
        for j in range(count):
            row = load(sums, j * wide + c, like) + splat(weights[j], like) * first
            row = row + splat(weights[padded + j], like) * second
            row = row + splat(weights[2 * padded + j], like) * third
            row = row + splat(weights[3 * padded + j], like) * fourth
            store(sums, j * wide + c, row)


@inlined
def _close_gap(rows, padded, count, value):
    """Writes a value into the columns of the four rows that only padding made."""
    for r in range(ROWS):
        for j in range(count, padded):
            rows[r * padded + j] = value


@inlined
def _peak(like, scores, at, padded, lowest):
    """The highest score of a row, in every lane."""
    return splat(highest(highest_of(scores, at, width(like), padded // width(like), splat(lowest, like))), like)


@cache
def _forward_kernel(lanes: int) -> Callable[..., None]:
    @compiled
    def full_forward(first, last, sizes, table, out, scratch):
        """Fills what belongs to the units `first` to `last`."""
        zero, one, heads, channels = sizes.zero, sizes.one, sizes.heads, sizes.channels
        like, like_channels = zeros(zero, NODE_LANES), zeros(zero, lanes)
        row_out = heads * channels
        row, wide = 3 * row_out, -(-channels // lanes) * lanes
        ptr, table = pointer(sizes.ptr, np.int64(0)), pointer(table, zero)
        out, keys = pointer(out, zero), pointer(scratch, zero)
        for unit in range(first, last):
            h, begin = unit % heads, ptr[unit // heads]
            count = ptr[unit // heads + 1] - begin
            padded = -(-count // NODE_LANES) * NODE_LANES
            values = beyond(keys, channels * padded)
            weights = beyond(values, count * wide)
            queries = beyond(weights, ROWS * padded)
            sums = beyond(queries, ROWS * wide)
            shares = beyond(sums, ROWS * wide)
            at = begin * row + h * channels
            _copy_transposed(table, at + row_out, row, count, channels, sizes.scale, padded, zero, keys)
            _copy(table, at + 2 * row_out, row, count, channels, one, wide, zero, values)
            for i in range(0, count, ROWS):
                rows = min(ROWS, count - i)  # the others hold what a block before left, and are not read
                _copy(table, at + i * row, row, rows, channels, one, wide, zero, queries)
                _products(like, queries, wide, channels, keys, padded, weights)
                _close_gap(weights, padded, count, sizes.lowest)
                for r in range(rows):
                    peak, summed = _peak(like, weights, r * padded, padded, sizes.lowest), like
                    for j in range(r * padded, (r + 1) * padded, NODE_LANES):
                        weight = exponential(load(weights, j, like) - peak)
                        store(weights, j, weight)
                        summed = summed + weight
                    shares[r] = one / total(summed)
                _products(like_channels, weights, padded, count, values, wide, sums)
                for r in range(rows):
                    target = (begin + i + r) * row_out + h * channels
                    for c in range(channels):
                        out[target + c] = shares[r] * sums[r * wide + c]

    return full_forward


@cache
def _backward_kernel(lanes: int) -> Callable[..., None]:
    @compiled
    def full_backward(first, last, sizes, table, grad_out, grad, scratch):
        """Fills what belongs to the units `first` to `last`."""
        zero, one, scale, heads, channels = sizes.zero, sizes.one, sizes.scale, sizes.heads, sizes.channels
        like, like_channels = zeros(zero, NODE_LANES), zeros(zero, lanes)
        row_out = heads * channels
        row, wide = 3 * row_out, -(-channels // lanes) * lanes
        ptr, table = pointer(sizes.ptr, np.int64(0)), pointer(table, zero)
        grad_out, grad, keys_t = pointer(grad_out, zero), pointer(grad, zero), pointer(scratch, zero)
        for unit in range(first, last):
            h, begin = unit % heads, ptr[unit // heads]
            count = ptr[unit // heads + 1] - begin
            padded = -(-count // NODE_LANES) * NODE_LANES
            values_t = beyond(keys_t, channels * padded)
            keys = beyond(values_t, channels * padded)
            key_sums = beyond(keys, count * wide)
            value_sums = beyond(key_sums, count * wide)
            weights = beyond(value_sums, count * wide)
            grads = beyond(weights, ROWS * padded)
            queries = beyond(grads, ROWS * padded)
            outer = beyond(queries, ROWS * wide)
            sums = beyond(outer, ROWS * wide)
            at, at_out = begin * row + h * channels, begin * row_out + h * channels
            _copy_transposed(table, at + row_out, row, count, channels, scale, padded, zero, keys_t)
            _copy_transposed(table, at + 2 * row_out, row, count, channels, one, padded, zero, values_t)
            _copy(table, at + row_out, row, count, channels, one, wide, zero, keys)
            for c in range(2 * count * wide):
                key_sums[c] = zero
            for i in range(0, count, ROWS):
                rows = min(ROWS, count - i)
                _copy(table, at + i * row, row, rows, channels, one, wide, zero, queries)
                _copy(grad_out, at_out + i * row_out, row_out, rows, channels, one, wide, zero, outer)
                _products(like, queries, wide, channels, keys_t, padded, weights)
                _products(like, outer, wide, channels, values_t, padded, grads)
                _close_gap(weights, padded, count, sizes.lowest)
                for r in range(rows):
                    peak, summed, products = _peak(like, weights, r * padded, padded, sizes.lowest), like, like
                    for j in range(r * padded, (r + 1) * padded, NODE_LANES):
                        weight = exponential(load(weights, j, like) - peak)
                        store(weights, j, weight)
                        summed = summed + weight
                        products = products + weight * load(grads, j, like)
                    share = one / total(summed)
                    lane_share, in_common = splat(share, like), splat(share * total(products), like)
                    for j in range(r * padded, (r + 1) * padded, NODE_LANES):
                        grad_row = load(grads, j, like) - in_common
                        store(grads, j, lane_share * load(weights, j, like) * grad_row)
                    for c in range(r * wide, (r + 1) * wide):  # in place of the weights that it is multiplied with
                        outer[c] *= share
                for c in range(rows * padded, ROWS * padded):  # rows of no query
                    weights[c] = zero
                    grads[c] = zero
                for c in range(rows * wide, ROWS * wide):
                    queries[c] = zero
                    outer[c] = zero
                _products(like_channels, grads, padded, count, keys, wide, sums)
                for r in range(rows):
                    for c in range(channels):
                        grad[at + (i + r) * row + c] = scale * sums[r * wide + c]
                _add_outer(like_channels, grads, padded, count, queries, wide, key_sums)
                _add_outer(like_channels, weights, padded, count, outer, wide, value_sums)
            for j in range(count):
                for c in range(channels):
                    grad[at + row_out + j * row + c] = scale * key_sums[j * wide + c]
                    grad[at + 2 * row_out + j * row + c] = value_sums[j * wide + c]

    return full_backward
