"""The score of one edge, for every head; and what dropout does to its weights.

Scores of up to `BLOCK` edges of a node lie in one flat buffer, from `at` on. Offsets point into the flat arrays.
"""

import numpy as np

from gatlib.kernels.cpu.compiled import inlined
from gatlib.kernels.cpu.lanes import leaky_relu, load, positive_bits, splat, store, total, width


@inlined
def additive_scores(arrays, numbers, i, j, edge, scores, at):
    heads = numbers.heads
    for h in range(heads):
        hidden = arrays.query[i * heads + h] + arrays.key[j * heads + h]
        if numbers.has_edge_attr:
            hidden += arrays.edge_attr[edge * heads + h]
        scores[at + h] = hidden if hidden > 0 else hidden * numbers.negative_slope


@inlined
def dynamic_scores(like, arrays, numbers, i, j, projected, scores, at, signs, signs_at):
    """With the projected features of the edge in `projected`, if it has any.

    Where the LeakyReLU was in its steep half goes to `signs`, a byte per vector, unless `signs_at` is negative.
    """
    channels = numbers.key_channels
    query, key = i * numbers.heads * channels, j * numbers.heads * channels
    for h in range(numbers.heads):
        score = like
        for c in range(h * channels, (h + 1) * channels, width(like)):
            hidden = load(arrays.query, query + c, like) + load(arrays.key, key + c, like)
            if numbers.edge_channels > 0:
                hidden = hidden + load(projected, c, like)
            score = score + load(arrays.att, c, like) * leaky_relu(hidden, numbers.negative_slope)
            if signs_at >= 0:
                signs[signs_at + c // width(like)] = positive_bits(hidden)
        scores[at + h] = total(score)


@inlined
def dot_scores(like, like_edges, arrays, numbers, i, j, edge, scores, at):
    channels, edge_channels = numbers.key_channels, numbers.edge_channels
    query, key = i * numbers.heads * channels, j * numbers.heads * channels
    for h in range(numbers.heads):
        products = like
        for c in range(h * channels, (h + 1) * channels, width(like)):
            products = products + load(arrays.query, query + c, like) * load(arrays.key, key + c, like)
        score = total(products)
        if edge_channels > 0:
            edge_head = (i * numbers.heads + h) * edge_channels
            score += dot(
                like_edges, arrays.edge_query, edge_head, arrays.edge_attr, edge * edge_channels, edge_channels
            )
        scores[at + h] = score * numbers.scale


@inlined
def dot(like, a, a_offset, b, b_offset, count):
    products = like
    for d in range(0, count, width(like)):
        products = products + load(a, a_offset + d, like) * load(b, b_offset + d, like)
    return total(products)


@inlined
def project_edge(like, arrays, numbers, edge, projected):
    """W a, the features of one edge as [H * K]."""
    channels = numbers.heads * numbers.key_channels
    features = edge * numbers.edge_channels
    for c in range(0, channels, width(like)):
        products = like
        for d in range(numbers.edge_channels):
            feature = splat(arrays.edge_attr[features + d], like)
            products = products + feature * load(arrays.edge_weight, d * channels + c, like)
        store(projected, c, products)


@inlined
def add_bias(arrays, numbers, edge, scores, at):
    if numbers.has_bias:
        for h in range(numbers.heads):
            scores[at + h] += arrays.bias[edge * numbers.heads + h]


@inlined
def keep_scale(numbers, edge, head):
    """What dropout multiplies this weight by: `gatlib.kernels.dropout` in unsigned arithmetic."""
    number = np.uint64(edge * numbers.heads + head)
    seed = np.uint64(numbers.seed)
    bits = mix(np.uint32(number) ^ np.uint32(seed))
    bits = mix(bits ^ np.uint32(number >> np.uint64(32)) ^ np.uint32(seed >> np.uint64(32)))
    return numbers.keep_scale if np.int64(bits) >= numbers.drop_below else numbers.keep_scale * 0


@inlined
def mix(bits):
    bits = bits ^ (bits >> np.uint32(16))
    bits = np.uint32(bits * np.uint32(0x85EBCA6B))
    bits = bits ^ (bits >> np.uint32(13))
    bits = np.uint32(bits * np.uint32(0xC2B2AE35))
    return bits ^ (bits >> np.uint32(16))
