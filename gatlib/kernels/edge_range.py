"""Do the edges stay within the nodes? Asked before a kernel reads memory by them."""

import torch
from torch import Tensor


def check_range(edge_index: Tensor, num_sources: int, num_targets: int) -> None:
    """Raises ValueError if `edge_index` [2, E] names a source or target node that there is not.

    The range is data, not shape: a graph compiler must not be made to wait for it, so nothing is checked there.
    """
    if torch.compiler.is_compiling() or edge_index.numel() == 0:
        return
    for row, name, num_nodes in ((0, "source", num_sources), (1, "target", num_targets)):
        lowest, highest = (int(bound) for bound in edge_index[row].aminmax())
        if lowest < 0 or highest >= num_nodes:
            raise ValueError(
                f"edge_index must hold {name} nodes from 0 to {num_nodes - 1} in row {row}; "
                f"found {lowest} to {highest}."
            )
