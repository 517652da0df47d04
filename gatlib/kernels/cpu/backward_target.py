"""The first half of the backward pass: one walk over the edges by target.

It makes scores and weights again, and from them everything that belongs to a target node or to an edge. For the second
half, the walk by source, it leaves a record per edge: weights and gradients of the scores, [2, H], and
for the dynamic score on which side of zero the LeakyReLU was, a bit per channel.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from gatlib.kernels.cpu.arguments import ADDITIVE, DOT, DYNAMIC, SOFTMAX, array_pointers, graph_pointers
from gatlib.kernels.cpu.compiled import compiled
from gatlib.kernels.cpu.lanes import (
    beyond,
    exponential,
    load,
    pointer,
    prefetch,
    splat,
    store,
    total,
    total_of_both,
    where_bits,
    where_positive,
    zeros,
)
from gatlib.kernels.cpu.normalisers import highest_of, pointwise, pointwise_slope
from gatlib.kernels.cpu.scores import (
    add_bias,
    add_by_channel,
    add_features,
    additive_scores,
    by_feature,
    dot,
    dot_scores,
    dynamic_scores,
    keep_scale,
    project_edge,
)

AHEAD = 4  # edges between asking for a row and using it


class Outputs(NamedTuple):
    """Addresses of what comes in from above and goes out, 0 for what there is not."""

    grad_out: int
    grad_weights: int
    records: int  # [slots, 2, H]
    signs: int  # [slots, H * K / lanes], bytes
    query: int
    edge_attr: int
    bias: int
    att: int  # this span's own sum of q_i times the gradient of the LeakyReLU
    edge_weight: int  # this span's own sum; additive-dynamic: [D, H * K], still without the factor att; dot: [H * K, D]


def scratch_size(heads: int, key_channels: int, edge_channels: int, max_degree: int) -> int:
    return 2 * max_degree * heads + 2 * heads + 2 * heads * key_channels + 4 * heads * edge_channels


@cache
def backward_target_kernel(score: int, lanes: int, head_lanes: int, edge_lanes: int) -> Callable[..., None]:
    @compiled
    def backward_target(first, last, arrays, graph, numbers, outputs, scratch):
        """Fills the rows `first` to `last` of the gradients of target nodes, and those of their edges."""
        zero = numbers.zero
        like, like_heads, like_edges = zeros(zero, lanes), zeros(zero, head_lanes), zeros(zero, edge_lanes)
        heads, channels, key_channels = numbers.heads, numbers.channels, numbers.key_channels
        edge_channels = numbers.edge_channels
        width, key_width = heads * channels, heads * key_channels
        sign_bytes = key_width // lanes
        arrays, graph = array_pointers(arrays, numbers), graph_pointers(graph, numbers)
        grad_out, grad_weights = pointer(outputs.grad_out, zero), pointer(outputs.grad_weights, zero)
        records, signs = pointer(outputs.records, zero), pointer(outputs.signs, np.uint8(0))
        query, edge_attr = pointer(outputs.query, zero), pointer(outputs.edge_attr, zero)
        bias = pointer(outputs.bias, zero)
        att, edge_weight = pointer(outputs.att, zero), pointer(outputs.edge_weight, zero)
        # Of the softmax: what is left of the mean of the gradients, and one over the sum of the exponentials.
        rests = pointer(scratch, zero)
        shares = beyond(rests, heads)
        projected = beyond(shares, heads)
        gathered = beyond(projected, key_width)
        # Of a dot score with edge features, [H, D] each: what query and gradient are to a feature, and what the
        # gradients of scores and the weights, times the features, sum up to.
        edge_query = beyond(gathered, key_width)
        edge_grad = beyond(edge_query, heads * edge_channels)
        query_sums = beyond(edge_grad, heads * edge_channels)
        value_sums = beyond(query_sums, heads * edge_channels)
        scores = beyond(value_sums, heads * edge_channels)
        slope = splat(numbers.negative_slope, like)

        for i in range(first, last):
            begin, end = graph.rowptr[i], graph.rowptr[i + 1]
            degree = end - begin
            share = numbers.one / max(degree, 1)
            grads = beyond(scores, degree * heads)
            for c in range(key_width):
                gathered[c] = zero
            if score == DOT and edge_channels > 0:
                by_feature(like_edges, arrays, numbers, arrays.query, i * numbers.key_row, edge_query)
                by_feature(like_edges, arrays, numbers, grad_out, i * width, edge_grad)
                for d in range(heads * edge_channels):
                    query_sums[d] = zero
                    value_sums[d] = zero

            # 1. Scores again, and the gradient of each weight.
            for t in range(degree):
                j, edge = np.int64(graph.col[begin + t]), np.int64(graph.edge[begin + t])
                slot_ahead = min(begin + t + AHEAD, numbers.final_slot)
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
                    signs_at = (begin + t) * sign_bytes
                    dynamic_scores(like, arrays, numbers, i, j, projected, scores, t * heads, signs, signs_at)
                else:
                    prefetch(arrays.key, ahead * numbers.key_row, key_width)
                    dot_scores(like, like_edges, arrays, numbers, i, j, edge, edge_query, scores, t * heads)
                add_bias(arrays, numbers, edge, scores, t * heads)
                for h in range(heads):
                    products = like
                    for c in range(h * channels, (h + 1) * channels, lanes):
                        value = load(arrays.value, j * numbers.value_row + c, like)
                        products = products + load(grad_out, i * width + c, like) * value
                    if score == DOT and edge_channels > 0:
                        features = edge * edge_channels
                        share_d = dot(
                            like_edges, edge_grad, h * edge_channels, arrays.edge_attr, features, edge_channels
                        )
                        grad = total_of_both(products, share_d)
                    else:
                        grad = total(products)
                    if outputs.grad_weights != 0:
                        grad += grad_weights[edge * heads + h]
                    grads[t * heads + h] = grad

            # 2. Exponentials, and what gradients are beside their weighted mean.
            if numbers.drop_below > 0:
                for t in range(degree):
                    edge = np.int64(graph.edge[begin + t])
                    for h in range(heads):
                        grads[t * heads + h] *= keep_scale(numbers, edge, h)
            for h in range(0, heads, head_lanes):
                if numbers.normaliser == SOFTMAX:
                    peak = highest_of(scores, h, heads, degree, splat(numbers.lowest, like_heads))
                    summed, delta = like_heads, like_heads
                    for t in range(degree):
                        weight = exponential(load(scores, t * heads + h, like_heads) - peak)
                        store(scores, t * heads + h, weight)
                        summed = summed + weight
                        delta = delta + weight * load(grads, t * heads + h, like_heads)
                    # The sum is zero where there is no edge, or none that a bias of -inf leaves.
                    one = splat(numbers.one, like_heads)
                    share_row = one / where_positive(summed, summed, one)
                    store(shares, h, share_row)
                    # Where a weight is 1 or gradients are alike, all that is left of them is how their mean was
                    # rounded, and that times huge keys is no longer small. So the mean is taken once more, of the rest.
                    delta, rest = delta * share_row, like_heads
                    for t in range(degree):
                        grad = load(grads, t * heads + h, like_heads) - delta
                        store(grads, t * heads + h, grad)
                        rest = rest + load(scores, t * heads + h, like_heads) * grad
                    store(rests, h, rest * share_row)

            # 3. Gradients of the scores, and of what they were made of.
            for t in range(degree):
                j, edge = np.int64(graph.col[begin + t]), np.int64(graph.edge[begin + t])
                record = (begin + t) * 2 * heads
                for h in range(0, heads, head_lanes):
                    row, grad = load(scores, t * heads + h, like_heads), load(grads, t * heads + h, like_heads)
                    if numbers.normaliser == SOFTMAX:
                        weight = row * load(shares, h, like_heads)
                        grad = weight * (grad - load(rests, h, like_heads))
                    else:
                        weight = pointwise(numbers, row, share)
                        grad = grad * pointwise_slope(numbers, weight, row, share)
                    store(records, record + h, weight)
                    if outputs.bias != 0:
                        store(bias, edge * heads + h, grad)
                    if score == ADDITIVE:
                        hidden = load(arrays.query, i * numbers.key_row + h, like_heads) + load(
                            arrays.key, j * numbers.key_row + h, like_heads
                        )
                        if numbers.has_edge_attr:
                            hidden = hidden + load(arrays.edge_attr, edge * heads + h, like_heads)
                        grad = where_positive(hidden, grad, grad * splat(numbers.negative_slope, like_heads))
                        store(gathered, h, load(gathered, h, like_heads) + grad)
                        if outputs.edge_attr != 0:
                            store(edge_attr, edge * heads + h, grad)
                    elif score == DOT:
                        grad = grad * splat(numbers.scale, like_heads)
                    store(records, record + heads + h, grad)
                if numbers.drop_below > 0:
                    for h in range(heads):
                        records[record + h] *= keep_scale(numbers, edge, h)
                if score == DYNAMIC:
                    signs_at = (begin + t) * sign_bytes
                    for h in range(heads):
                        grad = splat(records[record + heads + h], like)
                        flat = grad * slope
                        for c in range(h * key_channels, (h + 1) * key_channels, lanes):
                            hidden_grad = where_bits(signs[signs_at + c // lanes], grad, flat)
                            store(gathered, c, load(gathered, c, like) + hidden_grad)
                            if edge_channels > 0:
                                store(projected, c, hidden_grad)
                    for d in range(edge_channels):
                        feature = splat(arrays.edge_attr[edge * edge_channels + d], like)
                        for c in range(0, key_width, lanes):
                            at = d * key_width + c
                            store(edge_weight, at, load(edge_weight, at, like) + feature * load(projected, c, like))
                    if outputs.edge_attr != 0:
                        for d in range(edge_channels):
                            sums = like
                            for c in range(0, key_width, lanes):
                                weight = load(arrays.edge_weight_t, d * key_width + c, like) * load(arrays.att, c, like)
                                sums = sums + weight * load(projected, c, like)
                            edge_attr[edge * edge_channels + d] = total(sums)
                elif score == DOT:
                    for h in range(heads):
                        grad = splat(records[record + heads + h], like)
                        for c in range(h * key_channels, (h + 1) * key_channels, lanes):
                            key = load(arrays.key, j * numbers.key_row + c, like)
                            store(gathered, c, load(gathered, c, like) + grad * key)
                    if outputs.edge_attr != 0:
                        for d in range(0, edge_channels, edge_lanes):
                            grads_d = like_edges
                            for h in range(heads):
                                at = h * edge_channels + d
                                weight = splat(records[record + h], like_edges)
                                grad = splat(records[record + heads + h], like_edges)
                                grads_d = grads_d + grad * load(edge_query, at, like_edges)
                                grads_d = grads_d + weight * load(edge_grad, at, like_edges)
                            store(edge_attr, edge * edge_channels + d, grads_d)

            # 4. The node's own gradient, and its share in that of the matrix of the edge features.
            if score == DOT and edge_channels > 0:
                weights_of_node = beyond(records, begin * 2 * heads)
                grads_of_node = beyond(weights_of_node, heads)
                add_features(like_edges, arrays, numbers, graph, begin, degree, weights_of_node, 2 * heads, value_sums)
                add_features(like_edges, arrays, numbers, graph, begin, degree, grads_of_node, 2 * heads, query_sums)
                add_by_channel(like, arrays, numbers, query_sums, gathered)
                for h in range(heads):
                    for d in range(0, edge_channels, edge_lanes):
                        of_query = load(query_sums, h * edge_channels + d, like_edges)
                        of_value = load(value_sums, h * edge_channels + d, like_edges)
                        for c in range(h * key_channels, (h + 1) * key_channels):
                            at = c * edge_channels + d
                            share_d = splat(arrays.query[i * numbers.key_row + c], like_edges) * of_query
                            share_d = share_d + splat(grad_out[i * width + c], like_edges) * of_value
                            store(edge_weight, at, load(edge_weight, at, like_edges) + share_d)
            if score == ADDITIVE:
                for h in range(heads):
                    query[i * numbers.key_row + h] = gathered[h]
            else:
                for c in range(0, key_width, lanes):
                    row = load(gathered, c, like)
                    if score == DYNAMIC:
                        store(att, c, load(att, c, like) + row * load(arrays.query, i * numbers.key_row + c, like))
                        row = row * load(arrays.att, c, like)
                    store(query, i * numbers.key_row + c, row)

    return backward_target
