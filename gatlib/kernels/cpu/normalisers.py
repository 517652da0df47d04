"""From a score to a weight, for a vector of heads of one edge."""

from gatlib.kernels.cpu.arguments import SIGMOID, SOFTMAX
from gatlib.kernels.cpu.compiled import inlined
from gatlib.kernels.cpu.lanes import exponential, larger, splat, where_positive


@inlined
def normalised(numbers, scores, lse, share):
    """The weights of the scores; `share` is one over the number of neighbours."""
    if numbers.normaliser == SOFTMAX:
        return exponential(scores - lse)
    return pointwise(numbers, scores, share)


@inlined
def pointwise(numbers, scores, share):
    """The weights of those normalisers that look at each neighbour on its own: sigmoid and relu."""
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
