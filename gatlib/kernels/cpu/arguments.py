"""What the kernels are given: addresses and numbers.

Numba counts references to arrays wherever they are touched, which in inner loops costs as much as the arithmetic.
So kernels get bare addresses; whoever calls them keeps the tensors alive.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gatlib.kernels.cpu.compiled import inlined
from gatlib.kernels.cpu.lanes import pointer
from gatlib.kernels.dropout import threshold
from gatlib.kernels.interface import Adjacency, Attention, Normaliser, Score

# Numba sees these as numbers known when it compiles.
ADDITIVE, DYNAMIC, DOT = range(3)
SCORES: dict[Score, int] = {"additive": ADDITIVE, "additive-dynamic": DYNAMIC, "dot": DOT}
SOFTMAX, SIGMOID, RELU = range(3)
NORMALISERS: dict[Normaliser, int] = {"softmax": SOFTMAX, "sigmoid": SIGMOID, "relu": RELU}


class Arrays(NamedTuple):
    """Addresses of the tensors of an `Attention`, 0 for None; inside a kernel, pointers."""

    query: int
    key: int
    value: int
    att: int
    edge_attr: int
    edge_weight: int  # [H * K, D]
    edge_weight_t: int  # transposed, [D, H * K]: the lanes run along the channels
    bias: int


class Graph(NamedTuple):
    """Addresses of the tensors of an `Adjacency`; inside a kernel, pointers."""

    rowptr: int
    col: int
    edge: int
    colptr: int
    row: int
    slot: int


class Numbers(NamedTuple):
    heads: int
    key_channels: int
    channels: int
    key_row: int  # from one node's query, or key, to that of the next
    value_row: int
    edge_channels: int  # D; for additive, where the features arrive as [E, H], 0
    final_slot: int  # the last edge of the graph
    has_edge_attr: bool
    has_bias: bool
    normaliser: int
    negative_slope: np.floating
    scale: np.floating  # 1 / sqrt(K)
    lowest: np.floating  # where a running maximum starts: below every score but -inf
    drop_below: int  # weights whose 32 random bits are less are dropped; 0 for no dropout
    keep_scale: np.floating  # 1 / (1 - dropout)
    seed: int
    zero: np.floating  # of the kind of number that all arrays hold
    one: np.floating
    no_edge: np.signedinteger  # a zero of the kind that the numbers of edges are


def addresses(attention: Attention, edge_weight_t: Tensor | None) -> Arrays:
    return Arrays(
        address(attention.query),
        address(attention.key),
        address(attention.value),
        address(attention.att),
        address(attention.edge_attr),
        address(attention.edge_weight),
        address(edge_weight_t),
        address(attention.bias),
    )


def graph_addresses(adjacency: Adjacency) -> Graph:
    return Graph(*(address(tensor) for tensor in adjacency))


def address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


def numbers_of(attention: Attention, adjacency: Adjacency) -> Numbers:
    number, lowest, zero, one = _CONSTANTS[attention.value.dtype]
    _, heads, key_channels = attention.query.shape
    edge_attr, dropout = attention.edge_attr, attention.dropout
    key_row, value_row = heads * key_channels, heads * attention.value.size(2)
    if not attention.key.is_contiguous():  # columns of one table
        key_row = value_row = attention.key.stride(0)
    return Numbers(
        heads,
        key_channels,
        attention.value.size(2),
        key_row,
        value_row,
        0 if edge_attr is None or attention.score == "additive" else edge_attr.size(1),
        adjacency.col.numel() - 1,
        edge_attr is not None,
        attention.bias is not None,
        NORMALISERS[attention.normaliser],
        number(attention.negative_slope),
        number(max(key_channels, 1) ** -0.5),
        lowest,
        threshold(dropout) if dropout > 0 else 0,
        one if dropout == 0 else number(1 / (1 - dropout) if dropout < 1 else 0),
        int(attention.seed) if dropout > 0 else 0,
        zero,
        one,
        _NO_EDGE[adjacency.edge.dtype],
    )


_CONSTANTS = {
    dtype: (number, np.finfo(number).min, number(0), number(1))
    for dtype, number in ((torch.float32, np.float32), (torch.float64, np.float64))
}
_NO_EDGE: dict[torch.dtype, np.signedinteger] = {torch.int32: np.int32(0), torch.int64: np.int64(0)}


@inlined
def array_pointers(arrays, numbers):
    return Arrays(
        pointer(arrays.query, numbers.zero),
        pointer(arrays.key, numbers.zero),
        pointer(arrays.value, numbers.zero),
        pointer(arrays.att, numbers.zero),
        pointer(arrays.edge_attr, numbers.zero),
        pointer(arrays.edge_weight, numbers.zero),
        pointer(arrays.edge_weight_t, numbers.zero),
        pointer(arrays.bias, numbers.zero),
    )


@inlined
def graph_pointers(graph, numbers):
    return Graph(
        pointer(graph.rowptr, np.int64(0)),
        pointer(graph.col, np.int32(0)),
        pointer(graph.edge, numbers.no_edge),
        pointer(graph.colptr, np.int64(0)),
        pointer(graph.row, np.int32(0)),
        pointer(graph.slot, numbers.no_edge),
    )
