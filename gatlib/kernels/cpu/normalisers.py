"""From a score to a weight, for a vector of heads of one edge.

A weight of the softmax is exp(score - highest) / sum, where highest and sum are of the very scores that are weighed,
so that none exceeds 1 and all sum to 1 whatever the scores are. exp(score - log of the sum of exp) does not: a log-sum
of 1e6 is rounded to a sixteenth in float32. Nor does the highest of scores computed elsewhere, in another order.
"""

from gatlib.kernels.cpu.arguments import SIGMOID
from gatlib.kernels.cpu.compiled import inlined
from gatlib.kernels.cpu.lanes import exponential, larger, load, splat, where_positive


@inlined
def highest_of(scores, at, stride, count, before):
    """The highest of `before` and of `count` vectors of scores, `stride` apart."""
    peak = before
    for t in range(count):
        peak = larger(peak, load(scores, at + t * stride, before))
    return peak


@inlined
def pointwise(numbers, scores, share):
    """The weights of those normalisers that look at each neighbour on its own: sigmoid and relu.

    `share` is one over the number of neighbours.
    """
    zero = splat(numbers.zero, scores)
    if numbers.normaliser == SIGMOID:
        one = splat(numbers.one, scores)
        return one / (one + exponential(zero - scores))
    return larger(scores, zero) * splat(share, scores)


@inlined
def pointwise_slope(numbers, weights, scores, share):
    """The derivative of `pointwise` at the scores, of which the weights are known."""
    if numbers.normaliser == SIGMOID:
        return weights * (splat(numbers.one, scores) - weights)
    return where_positive(scores, splat(share, scores), splat(numbers.zero, scores))
