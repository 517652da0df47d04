"""What every fused kernel is given and gives back: the contract between `cpu`, `gpu` and the operators.

A fused kernel is a pair of functions,

    forward(attention, adjacency, return_weights) -> Forward
    backward(attention, adjacency, edge_out, grad_out, grad_weights, needs_edge_attr) -> Gradients

that may take every argument as valid: the functional front door has checked them.

`backward` makes the scores again and, for the softmax, takes their highest and their sum again too: what the forward
pass found is of scores that may be rounded otherwise, and beside large scores no log of a sum is exact enough.
"""

from typing import Literal, NamedTuple

from torch import Tensor

Score = Literal["additive", "additive-dynamic", "dot"]
Normaliser = Literal["softmax", "sigmoid", "relu", "sparsemax"]


class Adjacency(NamedTuple):
    """One graph, its edges sorted by target (CSR) and by source (CSC); both sorts are stable.

    With self-loops added, `edge` counts on: edges 0 to E - 1 are the caller's, of which self-loops are left out,
    and edge E + i is the self-loop of node i.
    """

    rowptr: Tensor  # [N_target + 1], int64: the slots of target node i are rowptr[i] to rowptr[i + 1]
    col: Tensor  # [slots], int32: the source of the edge in each slot
    edge: Tensor  # [slots], int32 or int64: which of the caller's edges it is
    colptr: Tensor  # [N_source + 1], int64: the same by source
    row: Tensor  # [slots], int32: the target of each edge by source
    slot: Tensor  # [slots], int32 or int64: where each edge by source stands in the order by target


class Attention(NamedTuple):
    """The arguments of one attention, contiguous, all of one floating dtype and on one device.

    On the CPU, query, key and value may also be the columns of one table; see `columns.py`.

    Projected edge features would be [E, H, K]. No kernel holds that: they come in the smallest form each score allows.
    """

    score: Score
    normaliser: Normaliser
    query: Tensor  # [N_target, H, K]
    key: Tensor  # [N_source, H, K]
    value: Tensor  # [N_source, H, C]
    att: Tensor | None  # [H, K], additive-dynamic
    edge_attr: Tensor | None  # [E, H] for additive: the share of the edge in q + k + e; else [E, D]
    edge_weight: Tensor | None  # [H * K, D], additive-dynamic and dot: e = W a
    edge_query: Tensor | None  # [N_target, H, D], dot, among the kernels of the GPU: q W, in place of W
    bias: Tensor | None  # [E, H], added to the score
    negative_slope: float
    dropout: float
    seed: Tensor  # [], int64; see `gatlib.kernels.dropout`


class Forward(NamedTuple):
    out: Tensor  # [N_target, H, C]: the weighted sum of the values
    edge_out: Tensor | None  # [N_target, H, D], where `backward` wants it: dot's weighted sum of edge_attr
    weights: Tensor | None  # [E, H], after dropout; exactly zero for a caller's edge that was left out


class Gradients(NamedTuple):
    """With respect to the fields of `Attention` of the same name; None where there was None.

    Also None for `edge_attr` unless `needs_edge_attr`, and for `value` where value and key are one tensor: the gradient
    of `key` is then that of both.
    """

    query: Tensor
    key: Tensor
    value: Tensor | None
    att: Tensor | None
    edge_attr: Tensor | None
    edge_weight: Tensor | None
    edge_query: Tensor | None
    bias: Tensor | None
