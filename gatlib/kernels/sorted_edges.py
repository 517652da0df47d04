"""Remembers the sorted edges of each graph.

Sorting costs about as much as a forward pass, and the same `edge_index` comes again at every layer and every step. So
the result is kept for as long as that very tensor lives, and made anew if its content changed. What is kept has
copies of its own of everything: whatever happens to the caller's memory, a kernel never reads an edge out of range.
"""

from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from gatlib.kernels.content import Content, digest_of
from gatlib.kernels.remembered import remember, remembered, remembered_with_content


def sorted_edges(
    kernels: ModuleType, edge_index: Tensor, num_sources: int, num_targets: int, add_self_loops: bool
) -> Any:
    """What `kernels.sort_edges` makes of this graph."""
    return remembered(kernels.sort_edges, edge_index, num_sources, num_targets, add_self_loops)


def sorted_edges_and_content(
    kernels: ModuleType, edge_index: Tensor, num_sources: int, num_targets: int, add_self_loops: bool
) -> tuple[Any, Content]:
    """The same, and what tells the graph from any other."""
    return remembered_with_content(kernels.sort_edges, edge_index, num_sources, num_targets, add_self_loops)


def check_same_graph(content: Content, digest_of_forward_pass: Tensor) -> None:
    """Raises RuntimeError if the graph of a backward pass is not that of its forward pass."""
    if not torch.equal(digest_of(content), digest_of_forward_pass):
        raise RuntimeError(
            "edge_index was written to between the forward and the backward pass, which needs it as it was. "
            "Write to it after the backward pass, or give the layer a clone."
        )


def remember_sorted(kernels: ModuleType, edge_index: Tensor, num_sources: int, num_targets: int, graph: Any) -> None:
    """For edges that were made in order: what the kernels of their device would make of them."""
    remember(kernels.sort_edges, edge_index, num_sources, num_targets, False, result=graph)
