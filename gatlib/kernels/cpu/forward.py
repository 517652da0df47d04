"""The forward kernel: one walk over the edges by target.

Each node takes its edges in blocks small enough to stay in the first-level cache, so that a neighbour's row is fetched
from memory once for its score and its value. A running maximum per head keeps the softmax safe: when a block raises it,
what was summed so far is scaled down.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from gatlib.kernels.cpu.arguments import ADDITIVE, DOT, DYNAMIC, SOFTMAX, array_pointers, graph_pointers
from gatlib.kernels.cpu.compiled import compiled
from gatlib.kernels.cpu.lanes import beyond, exponential, load, pointer, prefetch, splat, store, zeros
from gatlib.kernels.cpu.normalisers import highest_of, pointwise
from gatlib.kernels.cpu.scores import (
    add_bias,
    add_by_channel,
    add_features,
    additive_scores,
    by_feature,
    dot_scores,
    dynamic_scores,
    keep_scale,
    project_edge,
)

BLOCK = 32  # edges
AHEAD = 4  # edges between asking for a row and using it


class Outputs(NamedTuple):
    """Addresses of the tensors of a `Forward`, 0 for those not asked for."""

    out: int
    weights: int


def scratch_size(heads: int, key_channels: int, channels: int, edge_channels: int) -> int:
    return BLOCK * heads + 3 * heads + heads * channels + heads * max(key_channels, 2 * edge_channels)


@cache
def forward_kernel(score: int, lanes: int, head_lanes: int, edge_lanes: int) -> Callable[..., None]:
    """The kernel for one score, and for vectors of so many channels, heads and edge features."""

    @compiled
    def forward(first, last, arrays, graph, numbers, outputs, scratch):
        """Fills the rows `first` to `last` of the outputs, and the weights of their edges."""
        zero = numbers.zero
        like, like_heads, like_edges = zeros(zero, lanes), zeros(zero, head_lanes), zeros(zero, edge_lanes)
        heads, channels, edge_channels = numbers.heads, numbers.channels, numbers.edge_channels
        width, key_width = heads * channels, heads * numbers.key_channels
        edge_sum_channels = edge_channels if score == DOT else 0
        arrays, graph = array_pointers(arrays, numbers), graph_pointers(graph, numbers)
        out = pointer(outputs.out, zero)
        weights = pointer(outputs.weights, zero)
        scores = pointer(scratch, zero)
        highest = beyond(scores, BLOCK * heads)
        sums, shrinks = beyond(highest, heads), beyond(highest, 2 * heads)
        gathered = beyond(highest, 3 * heads)
        projected = beyond(gathered, width)
        edge_query, edge_sums = projected, beyond(projected, heads * edge_sum_channels)
        no_signs = pointer(0, np.uint8(0))

        for i in range(first, last):
            begin, end = graph.rowptr[i], graph.rowptr[i + 1]
            share = numbers.one / max(end - begin, 1)
            for h in range(heads):
                highest[h] = numbers.lowest
                sums[h] = zero
            for c in range(0, width, lanes):
                store(gathered, c, like)
            if edge_sum_channels > 0:
                by_feature(like_edges, arrays, numbers, arrays.query, i * numbers.key_row, edge_query)
                for d in range(heads * edge_sum_channels):
                    edge_sums[d] = zero

            for start in range(begin, end, BLOCK):
                count = min(BLOCK, end - start)

                # 1. Scores, while the rows of the edges to come are on their way.
                for t in range(count):
                    j, edge = np.int64(graph.col[start + t]), np.int64(graph.edge[start + t])
                    slot_ahead = min(start + t + AHEAD, numbers.final_slot)
                    ahead = np.int64(graph.col[slot_ahead])
                    prefetch(arrays.value, ahead * numbers.value_row, width)
                    if numbers.has_edge_attr:
                        edge_width = heads if score == ADDITIVE else edge_channels
                        prefetch(arrays.edge_attr, np.int64(graph.edge[slot_ahead]) * edge_width, edge_width)
                    if score == ADDITIVE:
                        prefetch(arrays.key, ahead * numbers.key_row, heads)
                        additive_scores(arrays, numbers, i, j, edge, scores, t * heads)
                    elif score == DYNAMIC:
                        if edge_channels > 0:
                            project_edge(like, arrays, numbers, edge, projected)
                        dynamic_scores(like, arrays, numbers, i, j, projected, scores, t * heads, no_signs, -1)
                    else:
                        prefetch(arrays.key, ahead * numbers.key_row, key_width)
                        dot_scores(like, like_edges, arrays, numbers, i, j, edge, edge_query, scores, t * heads)
                    add_bias(arrays, numbers, edge, scores, t * heads)
                    if outputs.weights != 0:
                        for h in range(heads):
                            weights[edge * heads + h] = scores[t * heads + h]

                # 2. From scores to weights; those of a softmax are divided by their sum at the end.
                for h in range(0, heads, head_lanes):
                    if numbers.normaliser == SOFTMAX:
                        before = load(highest, h, like_heads)
                        peak = highest_of(scores, h, heads, count, before)
                        shrink = exponential(before - peak)
                        summed = shrink * load(sums, h, like_heads)
                        for t in range(count):
                            weight = exponential(load(scores, t * heads + h, like_heads) - peak)
                            store(scores, t * heads + h, weight)
                            summed = summed + weight
                        store(highest, h, peak)
                        store(shrinks, h, shrink)
                        store(sums, h, summed)
                    else:
                        for t in range(count):
                            weight = pointwise(numbers, load(scores, t * heads + h, like_heads), share)
                            store(scores, t * heads + h, weight)
                if numbers.normaliser == SOFTMAX and start > begin:
                    for h in range(heads):
                        shrink = splat(shrinks[h], like)
                        for c in range(h * channels, (h + 1) * channels, lanes):
                            store(gathered, c, shrink * load(gathered, c, like))
                        for d in range(h * edge_sum_channels, (h + 1) * edge_sum_channels):
                            edge_sums[d] *= shrinks[h]

                # 3. The weighted sum.
                for t in range(count):
                    j, edge = np.int64(graph.col[start + t]), np.int64(graph.edge[start + t])
                    for h in range(heads):
                        weight = scores[t * heads + h]
                        if numbers.drop_below > 0:
                            weight *= keep_scale(numbers, edge, h)
                            scores[t * heads + h] = weight
                        lane_weight = splat(weight, like)
                        for c in range(h * channels, (h + 1) * channels, lanes):
                            product = lane_weight * load(arrays.value, j * numbers.value_row + c, like)
                            store(gathered, c, load(gathered, c, like) + product)

                if edge_sum_channels > 0:
                    add_features(like_edges, arrays, numbers, graph, start, count, scores, heads, edge_sums)
            if edge_sum_channels > 0:
                add_by_channel(like, arrays, numbers, edge_sums, gathered)

            # 4. Divide by the sum, which is zero where there is no edge, or none that a bias of -inf leaves.
            for h in range(heads):
                if numbers.normaliser == SOFTMAX:
                    sums[h] = zero if sums[h] == zero else numbers.one / sums[h]
                else:
                    sums[h] = numbers.one
                lane_factor = splat(sums[h], like)
                for c in range(h * channels, (h + 1) * channels, lanes):
                    store(out, i * width + c, lane_factor * load(gathered, c, like))
            if outputs.weights != 0:
                for slot in range(begin, end):
                    edge = np.int64(graph.edge[slot])
                    for h in range(0, heads, head_lanes):
                        row = load(weights, edge * heads + h, like_heads)
                        if numbers.normaliser == SOFTMAX:
                            row = exponential(row - load(highest, h, like_heads)) * load(sums, h, like_heads)
                        else:
                            row = pointwise(numbers, row, share)
                        store(weights, edge * heads + h, row)
                    if numbers.drop_below > 0:
                        for h in range(heads):
                            weights[edge * heads + h] *= keep_scale(numbers, edge, h)

    return forward
