"""From a molecule's graph to its SMILES: attention over the bonds, then a sequence readout."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from smiles_data import END, PAD, START, is_atom
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.utils import to_dense_batch

from gatlib.chem import feature_dims
from gatlib.models.graph_attention_network import FeatureEmbedding
from gatlib.nn import all_pairs, random_walk_encoding, shortest_path_distances
from gatlib.nn.gatv2_conv import GATv2Conv
from gatlib.nn.graph_transformer_block import GraphTransformerBlock
from gatlib.nn.sequence_readout import SequenceReadout


class Sizes(BaseModel):
    """Settings of a :class:`GraphToSmiles`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    channels: int = Field(ge=2, description="width of the network")
    heads: int = Field(ge=1)
    encoder_layers: int = Field(ge=1)
    encoder_feed_forward: int = Field(ge=0, description="in channels")
    edge_channels: int = Field(ge=1, description="width of a bond vector")
    walk_steps: int = Field(ge=1, description="length of the walks that say where an atom stands")
    decoder_layers: int = Field(ge=1)
    decoder_feed_forward: int = Field(ge=1, description="in channels")
    dropout: float = Field(ge=0, lt=1)
    max_length: int = Field(ge=1, description="tokens after which decoding is cut off")


class GraphToSmiles(nn.Module):
    """Atoms and bonds as vectors, attention blocks over the bonds, and a :class:`SequenceReadout` of the atoms.

    Args:
        sizes: the settings.
        vocabulary: the tokens of the sequences.
    """

    names_atom: Tensor

    def __init__(self, sizes: Sizes, vocabulary: Sequence[str]) -> None:
        super().__init__()
        atom_dims, bond_dims = feature_dims()
        self.walk_steps = sizes.walk_steps
        self.atom_embedding = FeatureEmbedding(atom_dims, sizes.channels)
        self.walk_embedding = nn.Linear(2 * sizes.walk_steps, sizes.channels)
        self.bond_embedding = FeatureEmbedding(bond_dims, sizes.edge_channels)
        self.blocks = nn.ModuleList(_block(sizes) for _ in range(sizes.encoder_layers))
        self.norm = nn.LayerNorm(sizes.channels)
        self.readout = SequenceReadout(
            sizes.channels,
            len(vocabulary),
            heads=sizes.heads,
            num_layers=sizes.decoder_layers,
            feed_forward=sizes.decoder_feed_forward,
            dropout=sizes.dropout,
            max_length=sizes.max_length,
            start=START,
            end=END,
            pad=PAD,
        )
        self.pointer = nn.Linear(sizes.channels, sizes.channels)
        self.register_buffer("names_atom", torch.tensor([is_atom(token) for token in vocabulary]), persistent=False)

    def encode(self, data: Data) -> Tensor:
        """A vector for every atom, ``[N, channels]``."""
        walks = walk_encoding(data.edge_index, data.batch, self.walk_steps)
        x = self.atom_embedding(data.x) + self.walk_embedding(walks)
        e = self.bond_embedding(data.edge_attr)
        for block in self.blocks:
            x = block(x, data.edge_index, data.batch, edge_attr=e)
        return self.norm(x)

    def losses(self, data: Data, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Two mean negative log likelihoods: of the tokens, and of the atoms that they name.

        A state that writes an atom must know which one of the graph it is. The second loss asks for that: the
        states are compared with the atom vectors, and the right one must win. Only training uses it; for it the
        atoms of each graph must lie in the order in which the sequence names them.
        """
        x = self.encode(data)
        states = self.readout.hidden_states(x, data.batch, tokens)
        logits = self.readout.output(states)
        of_tokens = F.cross_entropy(logits.flatten(0, 1), tokens.flatten(), ignore_index=PAD)

        atoms, exists = to_dense_batch(x, data.batch, batch_size=data.num_graphs)
        scores = self.pointer(states) @ atoms.transpose(1, 2) * x.size(1) ** -0.5
        scores = scores.masked_fill(~exists.unsqueeze(1), -torch.inf)
        names_atom = self.names_atom[tokens]
        named = torch.where(names_atom, names_atom.cumsum(dim=1) - 1, -1)
        of_atoms = F.cross_entropy(scores.flatten(0, 1), named.flatten(), ignore_index=-1)
        return of_tokens, of_atoms


def _block(sizes: Sizes) -> GraphTransformerBlock:
    """Attention over the bonds and a feed-forward network, normalised first."""
    channels, heads = sizes.channels, sizes.heads
    conv = GATv2Conv(channels, channels // heads, heads, edge_dim=sizes.edge_channels, add_self_loops=False)
    return GraphTransformerBlock(
        channels, conv, full=False, feed_forward=sizes.encoder_feed_forward, dropout=sizes.dropout
    )


def walk_encoding(edge_index: Tensor, batch: Tensor, steps: int) -> Tensor:
    r"""Where a node stands in its graph: returns of random walks, and how many nodes are how far away.

    .. math::
        \left( (\mathbf{D}^{-1} \mathbf{A})^k_{ii}, \; \tfrac{1}{4} |\{ j : d(i, j) = k \}| \right)_{k = 1 \ldots K}

    The first half is the random walk encoding of `Dwivedi et al. <https://arxiv.org/abs/2110.07875>`_.

    Shapes: ``edge_index`` ``[2, E]``, ``batch`` ``[N]``; the result is ``[N, 2 K]``.
    """
    num_nodes = batch.size(0)
    returns = random_walk_encoding(edge_index, steps, batch, num_nodes=num_nodes)
    distance, (_, node) = shortest_path_distances(edge_index, batch, num_nodes), all_pairs(batch, num_nodes)
    near = (distance >= 1) & (distance <= steps)
    shells = returns.new_zeros(num_nodes, steps).index_put(
        (node[near], distance[near] - 1), returns.new_tensor(0.25), accumulate=True
    )
    return torch.cat([returns, shells], dim=1)
