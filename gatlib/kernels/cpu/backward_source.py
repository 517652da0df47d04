"""The second half of the backward pass: one walk over the edges by source, for the gradients of key and value.

Every number is the sum over one node's own edges in a fixed order: no two threads write to the same place, and a run is
repeated bit for bit.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from gatlib.kernels.cpu.arguments import ADDITIVE, DOT, DYNAMIC, array_pointers, graph_pointers
from gatlib.kernels.cpu.compiled import compiled
from gatlib.kernels.cpu.lanes import beyond, load, pointer, prefetch, splat, store, where_bits, zeros

AHEAD = 4  # edges between asking for a row and using it


class Outputs(NamedTuple):
    """Addresses; `records` and `signs` are what the walk by target left."""

    grad_out: int
    records: int
    signs: int
    key: int
    value: int  # 0 where key and value are one tensor: `key` then gets the sum of both gradients
    att: int  # this span's own sum of k_j times the gradient of the LeakyReLU


def scratch_size(heads: int, key_channels: int, channels: int) -> int:
    return heads * key_channels + heads * channels


@cache
def backward_source_kernel(score: int, lanes: int) -> Callable[..., None]:
    @compiled
    def backward_source(first, last, arrays, graph, numbers, outputs, scratch):
        """Fills the rows `first` to `last` of the gradients of source nodes."""
        zero = numbers.zero
        like = zeros(zero, lanes)
        heads, channels, key_channels = numbers.heads, numbers.channels, numbers.key_channels
        width, key_width = heads * channels, heads * key_channels
        sign_bytes = key_width // lanes
        arrays, graph = array_pointers(arrays, numbers), graph_pointers(graph, numbers)
        grad_out, records = pointer(outputs.grad_out, zero), pointer(outputs.records, zero)
        signs = pointer(outputs.signs, np.uint8(0))
        key, value, att = pointer(outputs.key, zero), pointer(outputs.value, zero), pointer(outputs.att, zero)
        key_sums = pointer(scratch, zero)
        value_sums = beyond(key_sums, key_width)
        slope = splat(numbers.negative_slope, like)

        for j in range(first, last):
            for c in range(key_width):
                key_sums[c] = zero
            for c in range(0, width, lanes):
                store(value_sums, c, like)

            for t in range(graph.colptr[j], graph.colptr[j + 1]):
                i, slot = np.int64(graph.row[t]), np.int64(graph.slot[t])
                next_t = min(t + AHEAD, numbers.final_slot)
                ahead, slot_ahead = np.int64(graph.row[next_t]), np.int64(graph.slot[next_t])
                prefetch(grad_out, ahead * width, width)
                prefetch(records, slot_ahead * 2 * heads, 2 * heads)
                if score == DYNAMIC:
                    prefetch(signs, slot_ahead * sign_bytes, sign_bytes)
                elif score == DOT:
                    prefetch(arrays.query, ahead * numbers.key_row, key_width)
                for h in range(heads):
                    weight = splat(records[slot * 2 * heads + h], like)
                    score_grad = records[(slot * 2 + 1) * heads + h]
                    for c in range(h * channels, (h + 1) * channels, lanes):
                        store(value_sums, c, load(value_sums, c, like) + weight * load(grad_out, i * width + c, like))
                    if score == ADDITIVE:
                        key_sums[h] += score_grad
                    else:
                        grad = splat(score_grad, like)
                        flat = grad * slope
                        for c in range(h * key_channels, (h + 1) * key_channels, lanes):
                            if score == DYNAMIC:
                                product = where_bits(signs[slot * sign_bytes + c // lanes], grad, flat)
                            else:
                                product = grad * load(arrays.query, i * numbers.key_row + c, like)
                            store(key_sums, c, load(key_sums, c, like) + product)

            if score == ADDITIVE:
                for h in range(heads):
                    key[j * numbers.key_row + h] = key_sums[h]
                    if outputs.value == 0:
                        key[j * numbers.key_row + h] += value_sums[h]
            else:
                for c in range(0, key_width, lanes):
                    row = load(key_sums, c, like)
                    if score == DYNAMIC:
                        store(att, c, load(att, c, like) + row * load(arrays.key, j * numbers.key_row + c, like))
                        row = row * load(arrays.att, c, like)
                    if outputs.value == 0:
                        row = row + load(value_sums, c, like)
                    store(key, j * numbers.key_row + c, row)
            if outputs.value != 0:
                for c in range(0, width, lanes):
                    store(value, j * numbers.value_row + c, load(value_sums, c, like))

    return backward_source
