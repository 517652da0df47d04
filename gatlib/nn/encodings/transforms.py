"""The encodings as PyG transforms, of a single graph or of a whole batch at once.

On a batch they are much faster. What a transform adds to a `Batch` belongs to the batch: `Batch.to_data_list` knows
only what was there when the batch was made.
"""

from collections.abc import Sequence

from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from gatlib.nn.encodings.laplacian import heat_kernel_encoding, laplacian_encoding
from gatlib.nn.encodings.random_walk import random_walk_encoding


class AddRandomWalkEncoding(BaseTransform):
    """Adds :func:`~gatlib.nn.encodings.random_walk.random_walk_encoding`, ``[N, num_steps]``.

    Args:
        num_steps: the longest walk.
        attr_name: the attribute that it becomes.
    """

    def __init__(self, num_steps: int, attr_name: str = "random_walk") -> None:
        self.num_steps = num_steps
        self.attr_name = attr_name

    def forward(self, data: Data) -> Data:
        data[self.attr_name] = random_walk_encoding(
            data.edge_index, self.num_steps, data.batch, num_nodes=data.num_nodes
        )
        return data


class AddLaplacianEncoding(BaseTransform):
    """Adds the eigenvectors of :func:`~gatlib.nn.encodings.laplacian.laplacian_encoding`, ``[N, num_vectors]``.

    Their signs are not random, see :func:`~gatlib.nn.encodings.laplacian.flip_signs`.

    Args:
        num_vectors: how many.
        attr_name: the attribute that they become.
    """

    def __init__(self, num_vectors: int, attr_name: str = "laplacian") -> None:
        self.num_vectors = num_vectors
        self.attr_name = attr_name

    def forward(self, data: Data) -> Data:
        data[self.attr_name], _ = laplacian_encoding(
            data.edge_index, self.num_vectors, data.batch, num_nodes=data.num_nodes
        )
        return data


class AddHeatKernelEncoding(BaseTransform):
    """Adds :func:`~gatlib.nn.encodings.laplacian.heat_kernel_encoding`, ``[N, len(times)]``.

    Args:
        times: the times.
        attr_name: the attribute that it becomes.
    """

    def __init__(self, times: Sequence[float], attr_name: str = "heat_kernel") -> None:
        self.times = times
        self.attr_name = attr_name

    def forward(self, data: Data) -> Data:
        data[self.attr_name] = heat_kernel_encoding(data.edge_index, self.times, data.batch, num_nodes=data.num_nodes)
        return data
