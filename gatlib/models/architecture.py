"""The settings of a graph attention network."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gatlib.chem import SideFeatures

ConvName = Literal["gat", "gatv2", "transformer"]
Attention = Literal["edges", "full", "both", "interleaved"]
Tokens = Literal["nodes", "edges"]
Norm = Literal["layer", "batch", "graph", "none"]
Pooling = Literal["mean", "sum", "max", "mean_max", "mean_max_sum", "attention", "multihead"]


class Architecture(BaseModel):
    """Settings of a :class:`GraphAttentionNetwork`.

    Published networks as settings of it:

    - `GAT <https://arxiv.org/abs/1710.10903>`_: ``conv="gat"``; `GATv2 <https://arxiv.org/abs/2105.14491>`_:
      ``conv="gatv2"``
    - graph transformer over the edges (`UniMP <https://arxiv.org/abs/2009.03509>`_): ``conv="transformer"``
    - `Graphormer <https://arxiv.org/abs/2106.05234>`_: ``attention="full"`` with ``shortest_path``
    - `GPS <https://arxiv.org/abs/2205.12454>`_: ``attention="both"`` with ``random_walk``, ``norm_first=False``
    - `edge-set attention <https://doi.org/10.1038/s41467-025-60252-z>`_: ``tokens="edges"``,
      ``attention="interleaved"``, ``pooling="multihead"``
    - the tricks of `GNN+ <https://arxiv.org/abs/2502.09263>`_ around edge attention: edge features, norm, dropout,
      residual connections and feed-forward networks are there by default, encodings with ``random_walk``
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    conv: ConvName = "gatv2"
    attention: Attention = Field(
        "edges", description="what blocks attend over: the edges, all nodes, both at once, or one after the other"
    )
    tokens: Tokens = Field("nodes", description="what attends: nodes, or edges to edges with which they share a node")
    hidden_channels: int = Field(96, ge=1, description="width of a node vector, over all heads")
    heads: int = Field(6, ge=1)
    num_layers: int = Field(4, ge=1)
    edge_channels: int = Field(32, ge=1, description="width of a bond vector")
    feed_forward: int = Field(2, ge=0, description="width of the feed-forward part, in hidden_channels; 0: none")
    random_walk: int = Field(0, ge=0, description="steps of the random walk encoding; 0: none")
    laplacian: int = Field(
        0,
        ge=0,
        description="eigenvectors of the Laplacian encoding; 0: none. Where an eigenvalue is repeated, as in a ring, "
        "they depend on how the atoms are numbered (molecules are numbered as in their canonical SMILES then); heat "
        "kernels do not",
    )
    heat_kernel: int = Field(
        0, ge=0, le=16, description="times of the heat kernel encoding, 1, 2, 4 and so on; 0: none"
    )
    shortest_path: int = Field(
        0, ge=0, description="distance up to which full attention has a bias for each shortest path; 0: none"
    )
    pooling: Pooling = Field(
        "mean_max",
        description="of the atoms of a graph; mean and max do not tell how many of a kind there are, a sum does",
    )
    jumping_knowledge: bool = Field(True, description="pool the atoms after every block, not after the last alone")
    side_features: SideFeatures = Field(
        "none",
        description="what the readout sees beside the graph: counts of circular substructures (Morgan, radius 2, "
        "2048 bits), RDKit's descriptors, or both",
    )
    norm: Norm = "batch"
    norm_first: bool = Field(True, description="normalise what goes into each part of a block, or each sum")
    gated: bool = Field(False, description="let each node turn down what it hears")
    dropout: float = Field(0.2, ge=0.0, lt=1.0)
    attention_dropout: float = Field(0.0, ge=0.0, lt=1.0, description="probability of ignoring a neighbour")
    drop_path: float = Field(0.0, ge=0.0, lt=1.0, description="probability of leaving out a part of a block")

    @property
    def atom_order_matters(self) -> bool:
        """Whether two numberings of one graph may have different predictions."""
        return self.laplacian > 0

    @model_validator(mode="after")
    def _fits_together(self) -> "Architecture":
        if self.hidden_channels % self.heads:
            raise ValueError(f"hidden_channels ({self.hidden_channels}) must be a multiple of heads ({self.heads})")
        if self.shortest_path and (self.attention == "edges" or self.tokens == "edges"):
            raise ValueError(
                "shortest_path is a bias of full attention over nodes: with attention 'edges' or tokens "
                "'edges' it must be 0"
            )
        return self
