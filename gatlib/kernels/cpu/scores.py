"""The score of one edge, for every head; and what dropout does to its weights.

Scores of up to `BLOCK` edges of a node lie in one flat buffer, from `at` on. Offsets point into the flat arrays.
"""

import numpy as np

from gatlib.kernels.cpu.compiled import inlined
from gatlib.kernels.cpu.lanes import leaky_relu, load, positive_bits, splat, store, total, total_of_both, width


@inlined
def additive_scores(arrays, numbers, i, j, edge, scores, at):
    heads, row = numbers.heads, numbers.key_row
    for h in range(heads):
        hidden = arrays.query[i * row + h] + arrays.key[j * row + h]
        if numbers.has_edge_attr:
            hidden += arrays.edge_attr[edge * heads + h]
        scores[at + h] = hidden if hidden > 0 else hidden * numbers.negative_slope


@inlined
def dynamic_scores(like, arrays, numbers, i, j, projected, scores, at, signs, signs_at):
    """With the projected features of the edge in `projected`, if it has any.

    Where the LeakyReLU was in its steep half goes to `signs`, a byte per vector, unless `signs_at` is negative.
    """
    channels = numbers.key_channels
    query, key = i * numbers.key_row, j * numbers.key_row
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
def dot_scores(like, like_edges, arrays, numbers, i, j, edge, edge_query, scores, at):
    """With what `by_feature` made of the query in `edge_query`, if edges have features."""
    channels, edge_channels = numbers.key_channels, numbers.edge_channels
    query, key = i * numbers.key_row, j * numbers.key_row
    for h in range(numbers.heads):
        products = like
        for c in range(h * channels, (h + 1) * channels, width(like)):
            products = products + load(arrays.query, query + c, like) * load(arrays.key, key + c, like)
        of_features = dot(
            like_edges, edge_query, h * edge_channels, arrays.edge_attr, edge * edge_channels, edge_channels
        )
        scores[at + h] = total_of_both(products, of_features) * numbers.scale


@inlined
def dot(like, a, a_offset, b, b_offset, count):
    """The product of `count` numbers, still to be summed over the lanes."""
    products = like
    for d in range(0, count, width(like)):
        products = products + load(a, a_offset + d, like) * load(b, b_offset + d, like)
    return products


@inlined
def project_edge(like, arrays, numbers, edge, projected):
    """W a, the features of one edge as [H * K]."""
    lanes, channels = width(like), numbers.heads * numbers.key_channels
    features = edge * numbers.edge_channels
    # Four vectors at a time: a sum of its own each, for a processor need not wait for one to begin with the next.
    in_fours = channels - channels % (4 * lanes)
    for c in range(0, in_fours, 4 * lanes):
        first, second, third, fourth = like, like, like, like
        for d in range(numbers.edge_channels):
            feature, at = splat(arrays.edge_attr[features + d], like), d * channels + c
            first = first + feature * load(arrays.edge_weight_t, at, like)
            second = second + feature * load(arrays.edge_weight_t, at + lanes, like)
            third = third + feature * load(arrays.edge_weight_t, at + 2 * lanes, like)
            fourth = fourth + feature * load(arrays.edge_weight_t, at + 3 * lanes, like)
        store(projected, c, first)
        store(projected, c + lanes, second)
        store(projected, c + 2 * lanes, third)
        store(projected, c + 3 * lanes, fourth)
    for c in range(in_fours, channels, lanes):
        products = like
        for d in range(numbers.edge_channels):
            feature = splat(arrays.edge_attr[features + d], like)
            products = products + feature * load(arrays.edge_weight_t, d * channels + c, like)
        store(projected, c, products)


@inlined
def by_feature(like_edges, arrays, numbers, row, at, result):
    """For each head, r W, the row [H, K] of a node times the matrix of the edge features, as [H, D].

    q (W a) = (q W) a: a dot score need not project the features of edges, only the rows of nodes.
    """
    channels, edge_channels = numbers.key_channels, numbers.edge_channels
    in_twos = channels - channels % 2
    for h in range(numbers.heads):
        for d in range(0, edge_channels, width(like_edges)):
            even, odd = like_edges, like_edges
            for c in range(h * channels, h * channels + in_twos, 2):
                weights = load(arrays.edge_weight, c * edge_channels + d, like_edges)
                even = even + splat(row[at + c], like_edges) * weights
                weights = load(arrays.edge_weight, (c + 1) * edge_channels + d, like_edges)
                odd = odd + splat(row[at + c + 1], like_edges) * weights
            if in_twos < channels:
                c = (h + 1) * channels - 1
                weights = load(arrays.edge_weight, c * edge_channels + d, like_edges)
                even = even + splat(row[at + c], like_edges) * weights
            store(result, h * edge_channels + d, even + odd)


@inlined
def add_by_channel(like, arrays, numbers, sums, row):
    """Adds W s for each head to a row [H, K], of sums [H, D] over edges: the way back of `by_feature`."""
    channels, edge_channels = numbers.key_channels, numbers.edge_channels
    key_width = numbers.heads * channels
    in_twos = edge_channels - edge_channels % 2
    for h in range(numbers.heads):
        for c in range(h * channels, (h + 1) * channels, width(like)):
            even, odd = load(row, c, like), like
            for d in range(0, in_twos, 2):
                feature, at = splat(sums[h * edge_channels + d], like), d * key_width + c
                even = even + feature * load(arrays.edge_weight_t, at, like)
                feature = splat(sums[h * edge_channels + d + 1], like)
                odd = odd + feature * load(arrays.edge_weight_t, at + key_width, like)
            if in_twos < edge_channels:
                d = edge_channels - 1
                feature = splat(sums[h * edge_channels + d], like)
                even = even + feature * load(arrays.edge_weight_t, d * key_width + c, like)
            store(row, c, even + odd)


@inlined
def add_features(like_edges, arrays, numbers, graph, begin, count, factors, stride, sums):
    """Adds the features of edges, each times a factor for each head, to sums [H, D]."""
    edge_channels = numbers.edge_channels
    for h in range(numbers.heads):
        for d in range(0, edge_channels, width(like_edges)):
            summed = load(sums, h * edge_channels + d, like_edges)
            for t in range(count):
                features = np.int64(graph.edge[begin + t]) * edge_channels
                factor = splat(factors[t * stride + h], like_edges)
                summed = summed + factor * load(arrays.edge_attr, features + d, like_edges)
            store(sums, h * edge_channels + d, summed)


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
