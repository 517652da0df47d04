"""A graph attention network for molecules: one prediction per graph."""

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import global_add_pool, global_max_pool, global_mean_pool

from gatlib.nn import GATConv, GATv2Conv, TransformerConv

ConvName = Literal["gat", "gatv2", "transformer"]
Norm = Literal["layer", "batch"]
Pooling = Literal["mean", "sum", "max", "mean_max"]


class Architecture(BaseModel):
    """Settings of a :class:`GraphAttentionNetwork`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    conv: ConvName = "gatv2"
    hidden_channels: int = Field(96, ge=1, description="width of a node vector, over all heads")
    heads: int = Field(6, ge=1)
    num_layers: int = Field(4, ge=1)
    edge_channels: int = Field(32, ge=1, description="width of a bond vector")
    feed_forward: int = Field(2, ge=0, description="width of the feed-forward part, in hidden_channels; 0: none")
    pooling: Pooling = "mean_max"
    jumping_knowledge: bool = Field(True, description="pool the atoms after every block, not after the last alone")
    norm: Norm = "batch"
    dropout: float = Field(0.2, ge=0.0, lt=1.0)

    @model_validator(mode="after")
    def _heads_divide_channels(self) -> "Architecture":
        if self.hidden_channels % self.heads:
            raise ValueError(f"hidden_channels ({self.hidden_channels}) must be a multiple of heads ({self.heads})")
        return self


class FeatureEmbedding(nn.Module):
    """Sum of one learned vector per categorical feature: ``[items, features]`` int64 to ``[items, channels]``.

    Source: OGB's atom and bond encoders (Hu et al., NeurIPS 2020).
    """

    offsets: Tensor

    def __init__(self, dims: Sequence[int], channels: int) -> None:
        super().__init__()
        self.embedding = nn.EmbeddingBag(sum(dims), channels, mode="sum")
        nn.init.normal_(self.embedding.weight, std=len(dims) ** -0.5)
        offsets = torch.tensor([0, *dims[:-1]]).cumsum(0)
        self.register_buffer("offsets", offsets, persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        return self.embedding(features + self.offsets)


class AttentionBlock(nn.Module):
    r"""Pre-norm residual block: edge attention, then a feed-forward network, each added to its input.

    .. math::
        \mathbf{h}' = \mathbf{h} + \mathrm{Attention}(\mathrm{Norm}(\mathbf{h}), \mathbf{e}), \qquad
        \mathbf{h}'' = \mathbf{h}' + \mathrm{FFN}(\mathrm{Norm}(\mathbf{h}'))

    Shapes: ``x`` ``[N, hidden_channels]``, ``edge_index`` ``[2, E]``, ``edge_attr`` ``[E, edge_channels]``.
    """

    def __init__(self, settings: Architecture) -> None:
        super().__init__()
        channels = settings.hidden_channels
        self.norm = _norm(settings)
        self.conv = _conv(settings)
        self.dropout = nn.Dropout(settings.dropout)
        self.feed_forward = (
            nn.Sequential(
                _norm(settings),
                nn.Linear(channels, settings.feed_forward * channels),
                nn.GELU(),
                nn.Dropout(settings.dropout),
                nn.Linear(settings.feed_forward * channels, channels),
                nn.Dropout(settings.dropout),
            )
            if settings.feed_forward
            else None
        )

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor) -> Tensor:
        x = x + self.dropout(self.conv(self.norm(x), edge_index, edge_attr))
        return x if self.feed_forward is None else x + self.feed_forward(x)


def _norm(settings: Architecture) -> nn.Module:
    channels = settings.hidden_channels
    return nn.LayerNorm(channels) if settings.norm == "layer" else nn.BatchNorm1d(channels)


def _conv(settings: Architecture) -> nn.Module:
    channels, heads, edge_dim = settings.hidden_channels, settings.heads, settings.edge_channels
    if settings.conv == "gat":
        return GATConv(channels, channels // heads, heads, edge_dim=edge_dim, add_self_loops=False)
    if settings.conv == "gatv2":
        return GATv2Conv(channels, channels // heads, heads, edge_dim=edge_dim, add_self_loops=False)
    return TransformerConv(channels, channels // heads, heads, edge_dim=edge_dim)


class GraphAttentionNetwork(nn.Module):
    """Atom and bond embeddings, attention blocks over the bonds, pooling over each graph, one output per task.

    With jumping knowledge (Xu et al., ICML 2018) the pooled vectors of every depth are read side by side:
    substructures of every radius, as in circular fingerprints.

    Args:
        settings: the architecture.
        atom_dims: number of values of each atom feature.
        bond_dims: number of values of each bond feature.
        num_tasks: number of outputs per graph.
    """

    def __init__(
        self, settings: Architecture, atom_dims: Sequence[int], bond_dims: Sequence[int], num_tasks: int
    ) -> None:
        super().__init__()
        channels = settings.hidden_channels
        self.pooling = settings.pooling
        # 1. Embed atoms and bonds.
        self.atom_embedding = FeatureEmbedding(atom_dims, channels)
        self.bond_embedding = FeatureEmbedding(bond_dims, settings.edge_channels)
        # 2. Attend over the bonds.
        self.blocks = nn.ModuleList(AttentionBlock(settings) for _ in range(settings.num_layers))
        # 3. Pool each graph into one vector, of the atoms after the embedding and every block, or after the last.
        num_pooled = settings.num_layers + 1 if settings.jumping_knowledge else 1
        self.norms = nn.ModuleList(_norm(settings) for _ in range(num_pooled))
        pooled = num_pooled * (2 * channels if settings.pooling == "mean_max" else channels)
        self.embedding = nn.Sequential(
            nn.Dropout(settings.dropout), nn.Linear(pooled, channels), nn.GELU(), nn.Dropout(settings.dropout)
        )
        # 4. Read out one value per task.
        self.readout = nn.Linear(channels, num_tasks)

    def forward(self, data: Data) -> Tensor:
        """Logits or (scaled) values of a batch of graphs, ``[graphs, tasks]``; see :meth:`embed`."""
        return self.readout(self.embed(data))

    def embed(self, data: Data) -> Tensor:
        """The learned fingerprint that all tasks share, ``[graphs, hidden_channels]``.

        Args:
            data: a batch with ``x`` ``[N, 9]`` and ``edge_attr`` ``[E, 3]`` int64, ``edge_index`` ``[2, E]``,
                ``batch`` ``[N]`` and ``num_graphs``.
        """
        states = [self.atom_embedding(data.x)]
        e = self.bond_embedding(data.edge_attr)
        for block in self.blocks:
            states.append(block(states[-1], data.edge_index, e))
        pooled = [
            self._pool(norm(h), data.batch, data.num_graphs)
            for norm, h in zip(self.norms, states[-len(self.norms) :], strict=True)
        ]
        return self.embedding(torch.cat(pooled, dim=1))

    def _pool(self, h: Tensor, batch: Tensor, num_graphs: int) -> Tensor:
        if self.pooling == "mean":
            return global_mean_pool(h, batch, num_graphs)
        if self.pooling == "sum":
            return global_add_pool(h, batch, num_graphs)
        if self.pooling == "max":
            return global_max_pool(h, batch, num_graphs)
        return torch.cat([global_mean_pool(h, batch, num_graphs), global_max_pool(h, batch, num_graphs)], dim=1)
