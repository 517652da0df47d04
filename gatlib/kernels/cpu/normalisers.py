"""From a score to a weight, for a vector of heads of one edge."""

from gatlib.kernels.cpu.arguments import SIGMOID, SOFTMAX
from gatlib.kernels.cpu.compiled import inlined
from gatlib.kernels.cpu.lanes import exponential, splat, where_positive


@inlined
def normalised(numbers, scores, lse, share):
    """The weights of the scores; `share` is one over the number of neighbours."""
    if numbers.normaliser == SOFTMAX:
        return exponential(scores - lse)
    return pointwise(numbers, scores, share)


@inlined
def pointwise(numbers, scores, share):
    """The weights of those normalisers that look at each neighbour on its own: sigmoid and relu."""
    zero = scores - scores
    if numbers.normaliser == SIGMOID:
        one = exponential(zero)
        return one / (one + exponential(zero - scores))
    return where_positive(scores, scores, zero) * splat(share, scores)


@inlined
def pointwise_slope(numbers, weights, scores, share):
    """The derivative of `pointwise` at the scores, of which the weights are known."""
    zero = scores - scores
    if numbers.normaliser == SIGMOID:
        return weights * (exponential(zero) - weights)
    return where_positive(scores, splat(share, scores), zero)
