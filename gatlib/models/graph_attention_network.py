"""A graph attention network for molecules: one prediction per graph."""

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch_geometric import nn as pyg
from torch_geometric.data import Data

from gatlib.chem.side_features import num_side_features
from gatlib.models.architecture import Architecture
from gatlib.nn import GATConv, GATv2Conv, TransformerConv
from gatlib.nn.dropout import Dropout
from gatlib.nn.edge_set import adjacent_edges
from gatlib.nn.encodings import (
    ShortestPathEncoding,
    SignInvariantEncoding,
    heat_kernel_encoding,
    laplacian_encoding,
    random_walk_encoding,
)
from gatlib.nn.graph_transformer_block import GraphTransformerBlock
from gatlib.nn.pairs import all_pairs, pairs_of_edges, shortest_path_distances
from gatlib.nn.pooling import GatedAttentionPooling, MultiheadAttentionPooling

_LEAST_HEAT = 1e-12  # rounding may leave zero or less of a very small one
_SUM_SCALE = 0.1  # sums over tens of atoms are then of the size of the means and maxima beside them


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


class SideInput(nn.Module):
    """One learned vector from the side features of each molecule: ``[B, features]`` to ``[B, channels]``.

    They are standardised by the mean and standard deviation of the training molecules, which are kept with the
    weights, and cut off at 5 standard deviations; NaN stands for the mean.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, num_features: int, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(num_features))
        self.register_buffer("std", torch.ones(num_features))
        self.layers = nn.Sequential(nn.Linear(num_features, channels), nn.LayerNorm(channels), nn.GELU())

    def standardize_by(self, side: NDArray[np.float32]) -> None:
        """Take mean and standard deviation from these molecules, ``[molecules, features]``."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # features that are NaN for all of them
            mean = np.nan_to_num(np.nanmean(side, axis=0, dtype=np.float64))
            std = np.nan_to_num(np.nanstd(side, axis=0, dtype=np.float64))
        std = np.where(std > 1e-6 * np.abs(mean), std, 1.0)  # the same for all, but for rounding
        self.mean.copy_(torch.from_numpy(mean))
        self.std.copy_(torch.from_numpy(std))

    def forward(self, side: Tensor) -> Tensor:
        return self.layers(((side - self.mean) / self.std).clamp(-5, 5).nan_to_num(0.0))


class GraphAttentionNetwork(nn.Module):
    """Atom and bond embeddings, attention blocks, pooling over each graph, one output per task.

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
        self.settings = settings
        # 1. Embed atoms and bonds.
        self.atom_embedding = FeatureEmbedding(atom_dims, channels)
        self.bond_embedding = FeatureEmbedding(bond_dims, settings.edge_channels)
        # 2. Say where each atom stands.
        self.random_walk = nn.Linear(settings.random_walk, channels) if settings.random_walk else None
        self.laplacian = SignInvariantEncoding(settings.laplacian, channels) if settings.laplacian else None
        self.heat_kernel = nn.Linear(settings.heat_kernel, channels) if settings.heat_kernel else None
        self.shortest_path = (
            ShortestPathEncoding(settings.heads, settings.shortest_path) if settings.shortest_path else None
        )
        # Attention over the edges sees the bonds. Where there is none, bonds are a bias of full attention.
        sees_bonds = settings.attention != "full" or settings.tokens == "edges"
        self.bond_bias = None if sees_bonds else nn.Linear(settings.edge_channels, settings.heads)
        self.edge_token = (
            nn.Linear(2 * channels + settings.edge_channels, channels) if settings.tokens == "edges" else None
        )
        # 3. Attend.
        self.blocks = nn.ModuleList(_block(settings, layer) for layer in range(settings.num_layers))
        # 4. Pool each graph into one vector, of the tokens after the embedding and every block, or after the last.
        num_pooled = settings.num_layers + 1 if settings.jumping_knowledge else 1
        self.norms = nn.ModuleList(_norm(settings)(channels) for _ in range(num_pooled))
        self.poolings = nn.ModuleList(_learned_pooling(settings) for _ in range(num_pooled))
        pooled = num_pooled * {"mean_max": 2, "mean_max_sum": 3}.get(settings.pooling, 1) * channels
        # Beside it, what is known of the whole molecule.
        num_side = num_side_features(settings.side_features)
        self.side = SideInput(num_side, channels) if num_side else None
        pooled += channels if num_side else 0
        self.embedding = nn.Sequential(
            Dropout(settings.dropout), nn.Linear(pooled, channels), nn.GELU(), Dropout(settings.dropout)
        )
        # 5. Read out one value per task.
        self.readout = nn.Linear(channels, num_tasks)

    def forward(self, data: Data) -> Tensor:
        """Logits or (scaled) values of a batch of graphs, ``[graphs, tasks]``; see :meth:`embed`."""
        return self.readout(self.embed(data))

    def embed(self, data: Data) -> Tensor:
        """The learned fingerprint that all tasks share, ``[graphs, hidden_channels]``.

        Args:
            data: a batch with ``x`` ``[N, 9]`` and ``edge_attr`` ``[E, 3]`` int64, ``edge_index`` ``[2, E]``,
                ``batch`` ``[N]`` and ``num_graphs``; with side features ``side`` ``[graphs, F]`` too.

        Raises:
            ValueError: the batch lacks the side features of this network.
        """
        if self.side is not None and ("side" not in data or data.side.size(1) != len(self.side.mean)):
            raise ValueError(
                f"this network wants side features: featurise with side_features={self.settings.side_features!r}"
            )
        states, batch = self.states(data)
        pooled = [
            self._pool(norm(h, batch) if isinstance(norm, pyg.GraphNorm) else norm(h), pooling, batch, data.num_graphs)
            for norm, pooling, h in zip(self.norms, self.poolings, states[-len(self.norms) :], strict=True)
        ]
        if self.side is not None:
            pooled.append(self.side(data.side))
        return self.embedding(torch.cat(pooled, dim=1))

    def states(self, data: Data) -> tuple[list[Tensor], Tensor]:
        """The vectors of all tokens after the embedding and after every block, ``[tokens, hidden_channels]`` each.

        Tokens are the nodes, or with ``tokens="edges"`` the edges and a self-loop for each node; the graph that each
        belongs to comes second.
        """
        # 1. Atoms and bonds.
        x, edge_attr = self.atom_embedding(data.x), self.bond_embedding(data.edge_attr)
        edge_index, batch, num_nodes = data.edge_index, data.batch, data.x.size(0)
        # 2. Where each atom stands.
        if self.random_walk is not None:
            steps = self.settings.random_walk
            x = x + self.random_walk(random_walk_encoding(edge_index, steps, batch, num_nodes=num_nodes))
        if self.laplacian is not None:
            vectors, _ = laplacian_encoding(edge_index, self.settings.laplacian, batch, num_nodes=num_nodes)
            x = x + self.laplacian(vectors, edge_index)
        if self.heat_kernel is not None:
            times = [2.0**power for power in range(self.settings.heat_kernel)]
            heat = heat_kernel_encoding(edge_index, times, batch, num_nodes=num_nodes)
            x = x + self.heat_kernel(heat.clamp(min=_LEAST_HEAT).log())
        pair_bias = None
        if self.shortest_path is not None:
            pair_bias = self.shortest_path(shortest_path_distances(edge_index, batch, num_nodes))
        if self.bond_bias is not None:
            if pair_bias is None:
                pair_bias = x.new_zeros(all_pairs(batch, num_nodes).size(1), self.settings.heads)
            of_edges = pairs_of_edges(edge_index, batch, num_nodes)
            pair_bias = pair_bias.index_add(0, of_edges, self.bond_bias(edge_attr))
        features: Tensor | None = edge_attr
        if self.edge_token is not None:
            x, edge_index, batch = self._edge_tokens(x, edge_index, edge_attr, batch)
            features = None
        # 3. Blocks.
        states = [x]
        for block in self.blocks:
            bias = pair_bias if block.full is not None else None
            states.append(block(states[-1], edge_index, batch, edge_attr=features, pair_bias=bias))
        return states, batch

    def _edge_tokens(
        self, x: Tensor, edge_index: Tensor, edge_attr: Tensor, batch: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Edges as tokens, and which share a node. Self-loops, without features, stand for nodes without edges too."""
        assert self.edge_token is not None
        loops = torch.arange(x.size(0), device=x.device).expand(2, -1)
        edge_index = torch.cat([edge_index, loops], dim=1)
        edge_attr = torch.cat([edge_attr, edge_attr.new_zeros(x.size(0), edge_attr.size(1))])
        of_graph, order = batch[edge_index[0]].sort(stable=True)
        (source, target), edge_attr = edge_index[:, order], edge_attr[order]
        tokens = self.edge_token(torch.cat([x[source], x[target], edge_attr], dim=1))
        return tokens, adjacent_edges(torch.stack([source, target]), num_nodes=x.size(0)), of_graph

    def _pool(self, h: Tensor, pooling: nn.Module, batch: Tensor, num_graphs: int) -> Tensor:
        name = self.settings.pooling
        if name in ("mean_max", "mean_max_sum"):
            pooled = [pyg.global_mean_pool(h, batch, num_graphs), pyg.global_max_pool(h, batch, num_graphs)]
            if name == "mean_max_sum":
                pooled.append(_SUM_SCALE * pyg.global_add_pool(h, batch, num_graphs))
            return torch.cat(pooled, dim=1)
        if name == "mean":
            return pyg.global_mean_pool(h, batch, num_graphs)
        if name == "sum":
            return pyg.global_add_pool(h, batch, num_graphs)
        if name == "max":
            return pyg.global_max_pool(h, batch, num_graphs)
        return pooling(h, batch, num_graphs)


def _block(settings: Architecture, layer: int) -> GraphTransformerBlock:
    # One after the other: the edges first, then all nodes, and so on.
    attention = settings.attention
    if attention == "interleaved":
        attention = "edges" if layer % 2 == 0 else "full"
    return GraphTransformerBlock(
        settings.hidden_channels,
        _conv(settings) if attention in ("edges", "both") else None,
        attention in ("full", "both"),
        heads=settings.heads,
        feed_forward=settings.feed_forward,
        norm=_norm(settings),
        norm_first=settings.norm_first,
        gated=settings.gated,
        dropout=settings.dropout,
        attention_dropout=settings.attention_dropout,
        drop_path=settings.drop_path,
    )


def _norm(settings: Architecture) -> Callable[[int], nn.Module]:
    return {"layer": nn.LayerNorm, "batch": nn.BatchNorm1d, "graph": pyg.GraphNorm, "none": nn.Identity}[settings.norm]


def _learned_pooling(settings: Architecture) -> nn.Module:
    if settings.pooling == "attention":
        return GatedAttentionPooling(settings.hidden_channels)
    if settings.pooling == "multihead":
        return MultiheadAttentionPooling(settings.hidden_channels, settings.heads)
    return nn.Identity()


def _conv(settings: Architecture) -> nn.Module:
    channels, heads, dropout = settings.hidden_channels, settings.heads, settings.attention_dropout
    edge_dim = settings.edge_channels if settings.tokens == "nodes" else None
    if settings.conv == "transformer":
        return TransformerConv(channels, channels // heads, heads, dropout=dropout, edge_dim=edge_dim)
    conv = GATConv if settings.conv == "gat" else GATv2Conv
    return conv(channels, channels // heads, heads, dropout=dropout, edge_dim=edge_dim, add_self_loops=False)
