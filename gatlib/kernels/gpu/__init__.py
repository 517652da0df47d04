"""Edge attention in Triton, for GPUs: forward and backward without a tensor of [edges, heads, channels].

Forward. One program per target node and block of heads walks the node's incoming edges (CSR) a block at a time. The
row of a neighbour is loaded, scored, weighed and forgotten: the softmax keeps a running maximum and rescales what it
has summed when that rises. Nothing is kept for the backward pass.

Backward recomputes the scores and walks the edges twice.

1. By target (CSR): the gradients of `query`, `edge_query` and `att`, and for the softmax delta, the weighted mean of a
   node's gradients of weights, to which the gradient of each score is relative. It is known only when the walk ends,
   so the sums are kept relative to the mean so far and corrected as it moves, much as the maximum is treated, here as
   in the forward pass. That saves a second pass over the rows, and nothing large cancels at the end. For the second
   walk it leaves two numbers per edge and head: the weight, and the gradient of the score.
2. By source (CSC): the gradients of `key`, `value` and, each edge being met exactly once, of all that belongs to edges.

No weight of the softmax is made of a score and the maximum or sum of scores that were computed elsewhere: compiled
otherwise, a score of 1e9 may be another by 64, and its weight exp(64). So each pass takes its own.

Only the features of edges in an "additive-dynamic" score need more, for they pass through a matrix: two products of
matrices over all edges, in `edge_features`. Those of a "dot" score need products over nodes, in `dot_features`.

No atomics anywhere: every sum has one owner and a fixed order, so the same inputs give the same bits. Gradients of
parameters are partial sums of a fixed number of programs, and PyTorch adds those. Half precision is for storage: all
sums are float32 (float64 for float64). Offsets are 64-bit.

A tensor that is None and everything in `tiles.Spec` is known to the compiler, so that a kernel has no code for what
is not asked of it.
"""

from gatlib.kernels.gpu.dot_features import backward, forward
from gatlib.kernels.gpu.sort import sort_edges

__all__ = ["backward", "forward", "sort_edges"]
