"""A recipe for learning the classes of the nodes of one big graph, as flat YAML that is validated."""

from typing import Literal

from pydantic import ConfigDict, Field, model_validator

from gatlib.models import NodeArchitecture


class NodeRecipe(NodeArchitecture):
    """The keys of a ``recipe.yaml``: those of the architecture and these.

    The optimiser is Adam with L2 regularisation, as that of GAT (Veličković et al., ICLR 2018) and of tunedGNN (Luo et
    al., NeurIPS 2024). GAT on Cora: ``learning_rate=0.005``, ``weight_decay=0.0005``, ``patience=100``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str | None = Field(None, description="name of a data set card; None for the user's own files")
    split: str = Field("random", description="random, random:48/32/20, public, given, a column, or a csv file of nodes")
    seed: int = Field(0, ge=0, lt=2**32, description="of the weights, the order of the nodes and the dropout")
    learning_rate: float = Field(5e-3, gt=0)
    weight_decay: float = Field(5e-4, ge=0)
    max_epochs: int = Field(1000, ge=1)
    patience: int = Field(
        100, ge=1, description="stop after this many epochs without a better score or a lower loss on valid"
    )
    label_reuse: float = Field(
        0.0,
        ge=0.0,
        lt=1.0,
        description="share of the labels that a step shows to the network as features, while it learns the others; "
        "0: labels are no features",
    )
    label_steps: int = Field(
        0,
        ge=0,
        le=16,
        description="with label_reuse: the labels that are shown are also walked along the edges for so many steps, "
        "and what arrives at a node is further features of it",
    )
    consistency: float = Field(
        0.0,
        ge=0.0,
        description="weight of the difference of two predictions of every node, with dropout of their own, from what "
        "they say together, reached after 100 epochs; 0: one prediction",
    )
    label_smoothing: float = Field(0.0, ge=0.0, lt=1.0)
    metric: Literal["accuracy", "roc_auc"] = Field("accuracy", description="chooses the best epoch")
    transfer: list[str] = Field(
        [], description="data sets that an experiment tests on whole, in place of the test nodes of its own"
    )
    batch_nodes: int = Field(0, ge=0, description="nodes per training step, with the edges among them; 0: all nodes")
    neighbours: int = Field(
        0, ge=0, description="drawn for each node and layer, for batch_nodes of the nodes to learn from; 0: not drawn"
    )
    devices: int = Field(
        1, ge=1, description="GPUs, or processes on a CPU, that train together, each on batches of its own"
    )

    @model_validator(mode="after")
    def _keys_fit_together(self) -> "NodeRecipe":
        if self.norm == "batch" and self.batch_nodes == 1:
            raise ValueError("norm 'batch' needs batch_nodes of at least 2, or 0 for all nodes")
        if self.neighbours and not self.batch_nodes:
            raise ValueError("neighbours are drawn for batch_nodes at a time: set it too, to 1024 for instance")
        if self.neighbours and self.conv in ("gcn", "mlp"):
            raise ValueError(f"neighbours are drawn for attention and conv is {self.conv!r}: leave the key out")
        if self.label_steps and not self.label_reuse:
            raise ValueError("label_steps are those of known labels: set label_reuse too, to 0.5 for instance")
        if self.devices > 1 and not self.batch_nodes:
            raise ValueError("the whole graph is learned by one process: with devices set batch_nodes too")
        return self

    def architecture(self) -> NodeArchitecture:
        return NodeArchitecture(**{key: getattr(self, key) for key in NodeArchitecture.model_fields})
