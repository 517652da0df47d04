"""The settings of a graph attention network on one big graph."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

NodeConvName = Literal["gat", "gatv2", "transformer", "gcn", "mlp"]
NodeNorm = Literal["layer", "batch", "none"]
Activation = Literal["relu", "elu"]


class NodeArchitecture(BaseModel):
    """Settings of a :class:`NodeAttentionNetwork`.

    Published networks as settings of it:

    - `GAT <https://arxiv.org/abs/1710.10903>`_ on Cora: ``conv="gat"``, ``hidden_channels=64``, ``heads=8``,
      ``num_layers=2``, ``output_heads=1`` (8 on PubMed), ``activation="elu"``, ``norm="none"``, ``residual=False``, and
      0.6 for ``dropout``, ``feature_dropout`` and ``attention_dropout``
    - the GAT of `tunedGNN <https://arxiv.org/abs/2406.08993>`_ on minesweeper: ``conv="gat"``, ``hidden_channels=64``,
      ``heads=1``, ``num_layers=15``, ``residual=True``, ``norm="batch"``, ``activation="relu"``, ``dropout=0.2``
    - `UniMP <https://arxiv.org/abs/2009.03509>`_ without its label propagation: ``conv="transformer"``
    - `GCN <https://arxiv.org/abs/1609.02907>`_: ``conv="gcn"``, ``num_layers=2``, ``output_heads=1``,
      ``residual=False``, ``norm="none"``
    - attention to all nodes beside that over the edges, as `SGFormer <https://arxiv.org/abs/2306.10759>`_ and
      `Polynormer <https://arxiv.org/abs/2403.01232>`_ have it, at linear cost too: ``global_attention=True``
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    conv: NodeConvName = Field(
        "gatv2", description="attention over the edges, or as baselines gcn (a mean over them) and mlp (none)"
    )
    hidden_channels: int = Field(64, ge=1, description="width of a node vector, over all heads")
    heads: int = Field(8, ge=1)
    num_layers: int = Field(2, ge=1)
    output_heads: int = Field(
        0, ge=0, description="heads, averaged, of a last layer that puts out the classes; 0: a linear layer does"
    )
    residual: bool = Field(True, description="add a linear map of the node's own vector to each hidden layer")
    norm: NodeNorm = "layer"
    activation: Activation = "relu"
    dropout: float = Field(0.5, ge=0.0, lt=1.0)
    feature_dropout: float = Field(0.0, ge=0.0, lt=1.0, description="probability of zeroing an input feature")
    attention_dropout: float = Field(0.0, ge=0.0, lt=1.0, description="probability of ignoring a neighbour")
    jumping_knowledge: bool = Field(False, description="read the classes off all layers side by side, not the last")
    feed_forward: int = Field(0, ge=0, description="width of the feed-forward part, in hidden_channels; 0: none")
    global_attention: bool = Field(False, description="after each hidden layer, attend to all nodes, at linear cost")
    edge_features: int = Field(0, ge=0, description="features per edge, seen by gat, gatv2 and transformer; 0: none")
    self_loops: bool = Field(True, description="let each node attend to itself")
    checkpoint_activations: bool = Field(
        False, description="compute layers again in the backward pass instead of keeping what is inside of them"
    )

    @model_validator(mode="after")
    def _layers_fit_together(self) -> "NodeArchitecture":
        if self.hidden_channels % self.heads:
            raise ValueError(f"hidden_channels ({self.hidden_channels}) must be a multiple of heads ({self.heads})")
        if self.output_heads and self.jumping_knowledge:
            raise ValueError("jumping_knowledge is read by a linear layer: with it output_heads must be 0")
        return self
