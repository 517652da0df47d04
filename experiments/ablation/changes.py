"""The changes to base.yaml, one thing each: keys of the recipe or, for what no recipe has, Lightning callbacks."""

from collections.abc import Callable
from typing import Any, NamedTuple

import lightning
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging
from torch import Tensor, nn
from torch_geometric import nn as pyg
from torch_geometric.data import Data


class VirtualNode(nn.Module):
    r"""A node that hears all others and that all others hear, in place of full attention.

    .. math::
        \mathbf{h}'_i = \mathrm{MLP} \left( \frac{1}{N} \sum_{j} \mathbf{h}_j \right)

    Shapes: `x` ``[N, C]``, `batch` ``[N]``, output ``[N, C]``, the same for all nodes of a graph.

    Source: Gilmer et al., "Neural message passing for quantum chemistry", ICML 2017, as in OGB's baselines, but for a
    state of its own beside those of the nodes.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels))

    def forward(self, x: Tensor, batch: Tensor) -> Tensor:
        return self.layers(pyg.global_mean_pool(x, batch))[batch]


class WithVirtualNodes(lightning.Callback):
    """Put a virtual node where the blocks attend over all nodes."""

    def setup(self, trainer: lightning.Trainer, module: Any, stage: str) -> None:
        for block in module.network.blocks:
            block.full = VirtualNode(module.network.settings.hidden_channels)


class WithoutSomeBonds(lightning.Callback):
    """Leave out bonds at random while it learns, both directions of a bond together.

    Source: bond deletion of Wang et al., "Molecular contrastive learning of representations via graph neural networks"
    (MolCLR), Nature Machine Intelligence 2022.
    """

    def __init__(self, probability: float) -> None:
        self.probability = probability

    def on_train_batch_start(self, trainer: lightning.Trainer, module: Any, batch: Data, batch_idx: int) -> None:
        low, high = batch.edge_index.sort(dim=0).values
        _, bond = torch.unique(low * batch.x.size(0) + high, return_inverse=True)
        kept = (torch.rand(len(bond), device=bond.device) >= self.probability)[bond]
        batch.edge_index, batch.edge_attr = batch.edge_index[:, kept], batch.edge_attr[kept]


class Change(NamedTuple):
    """Keys of the recipe, and callbacks beside those of every training."""

    keys: dict[str, object]
    callbacks: Callable[[], list[lightning.Callback]] = list


BASE = "base"
LARGER = {"hidden_channels": 128, "heads": 8, "num_layers": 5}  # as the pretrained networks are
CHANGES: dict[str, Change] = {
    BASE: Change({}),
    # what attends
    "GAT's attention": Change({"conv": "gat"}),
    "dot-product attention": Change({"conv": "transformer"}),
    "full attention beside the edges": Change({"attention": "both"}),
    "GPS: full attention beside the edges, random walks": Change({"attention": "both", "random_walk": 16}),
    "Graphormer: full attention, shortest paths": Change({"attention": "full", "shortest_path": 8}),
    "edge-set attention": Change({"tokens": "edges", "attention": "interleaved", "pooling": "multihead"}),
    "virtual node": Change({"attention": "both"}, lambda: [WithVirtualNodes()]),
    # where an atom stands
    "random walks, 16 steps": Change({"random_walk": 16}),
    "Laplacian, 8 eigenvectors": Change({"laplacian": 8}),
    "heat kernels, 8 times": Change({"heat_kernel": 8}),
    # from atoms to the molecule
    "sum beside mean and maximum": Change({"pooling": "mean_max_sum"}),
    "heat kernels, and sum beside mean and maximum": Change({"heat_kernel": 8, "pooling": "mean_max_sum"}),
    "sum alone": Change({"pooling": "sum"}),
    "attention pooling": Change({"pooling": "attention"}),
    "no jumping knowledge": Change({"jumping_knowledge": False}),
    "Morgan counts beside the graph": Change({"side_features": "morgan"}),
    "descriptors beside the graph": Change({"side_features": "descriptors"}),
    # how it learns
    "layer normalisation": Change({"norm": "layer"}),
    "gates": Change({"gated": True}),
    "attention dropout 0.1": Change({"attention_dropout": 0.1}),
    "stochastic depth 0.1": Change({"drop_path": 0.1}),
    "a tenth of the bonds left out": Change({}, lambda: [WithoutSomeBonds(0.1)]),
    "moving average of the weights, 0.99": Change({}, lambda: [EMAWeightAveraging(decay=0.99)]),
    "128 channels, 5 blocks": Change(LARGER),
    "the same from the pretrained network molecules": Change({**LARGER, "pretrained": "molecules"}),
    "the same from molecules_sums, with its pooling": Change(
        {**LARGER, "pretrained": "molecules_sums", "pooling": "mean_max_sum"}
    ),
}
