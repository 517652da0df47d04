"""Remembers the sorted edges of each graph.

Sorting costs about as much as a forward pass, and the same `edge_index` comes again at every layer and every step. So
the result is kept for as long as that very tensor lives, and made anew if it was written to since. What is kept has
copies of its own of everything: whatever happens to the caller's memory, a kernel never reads an edge out of range.
"""

from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

_sorted_edges: Any = WeakTensorKeyDictionary()


def sorted_edges(
    kernels: ModuleType, edge_index: Tensor, num_sources: int, num_targets: int, add_self_loops: bool
) -> Any:
    """What `kernels.sort_edges` makes of this graph."""
    sizes = (num_sources, num_targets, add_self_loops)
    if edge_index.is_inference():  # has no record of having been written to
        return kernels.sort_edges(edge_index, *sizes)
    state = _state(edge_index)
    state_before, graphs = _sorted_edges.get(edge_index, (None, {}))
    if state != state_before:
        graphs = {}
    if sizes not in graphs:
        graphs[sizes] = kernels.sort_edges(edge_index, *sizes)
        _sorted_edges[edge_index] = (state, graphs)
    return graphs[sizes]


def remember_sorted(edge_index: Tensor, num_sources: int, num_targets: int, graph: Any) -> None:
    """For edges that were made in order: what the kernels of their device would make of them."""
    _sorted_edges[edge_index] = (_state(edge_index), {(num_sources, num_targets, False): graph})


def _state(edge_index: Tensor) -> tuple[int, int, torch.Size]:
    """What tells that a tensor was written to; `edge_index.data = ...` leaves the version as it is."""
    return edge_index._version, edge_index.data_ptr(), edge_index.shape
