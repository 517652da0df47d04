"""A recipe for learning the edges of one big graph, as flat YAML that is validated."""

from pydantic import ConfigDict, Field

from gatlib.models import NodeArchitecture


class LinkRecipe(NodeArchitecture):
    """The keys of a ``recipe.yaml``: those of the architecture, which here makes the vectors of nodes, and these."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = Field(0, ge=0, lt=2**32, description="of the split, the weights, the pairs without an edge, dropout")
    learning_rate: float = Field(1e-2, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    max_epochs: int = Field(200, ge=1)
    patience: int = Field(
        20, ge=1, description="stop after this many epochs without a better score or a lower loss on valid"
    )
    edge_parts: int = Field(
        5, ge=2, description="parts of the training edges, each of which is predicted from the graph of the others"
    )
    batch_edges: int = Field(65_536, ge=1, description="at most so many edges are predicted per training step")

    def architecture(self) -> NodeArchitecture:
        return NodeArchitecture(**{key: getattr(self, key) for key in NodeArchitecture.model_fields})
