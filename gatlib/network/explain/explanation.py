"""What is said of a node, as it is written into ``explanation.json`` and the two tables."""

import math
from typing import Final, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION: Final = 1
_STRICT = ConfigDict(extra="forbid", frozen=True)


class LayerAttention(BaseModel):
    """The weight of one edge into the node in one layer."""

    model_config = _STRICT
    mean: float = Field(description="over the heads")
    heads: list[float]


class Neighbour(BaseModel):
    """A node that the prediction can depend on."""

    model_config = _STRICT
    node: str
    hops: int = Field(ge=1, description="steps along the edges to the explained node")
    importance: float | None = Field(
        description="log-probability of the predicted class, minus that without the edges between the two nodes or, "
        "from two hops on, without all edges of this node; None where it was not measured"
    )
    probability_without: float | None = Field(description="of the predicted class, without those edges")
    weight: float | None = Field(description="of the edge to the explained node")
    attention: list[LayerAttention] = Field(description="of the edge to the explained node, layer by layer")
    prediction: str
    probability: float = Field(description="of its own predicted class")
    known: str | None = Field(description="its label, where the network holds it")

    @property
    def mean_attention(self) -> float | None:
        """Over heads and layers."""
        return _mean([layer.mean for layer in self.attention])


class AttributeImportance(BaseModel):
    """What an attribute, or one of its values, adds to the log-probability of the predicted class."""

    model_config = _STRICT
    attribute: str
    value: str | None = Field(description="which value; of a number, the one of the node; None where there is none")
    own: float = Field(description="integrated gradients of the node's own attribute")
    neighbourhood: float = Field(description="the sum of those of all other nodes")

    @property
    def importance(self) -> float:
        return self.own + self.neighbourhood

    @property
    def label(self) -> str:
        """``job = teacher``."""
        return self.attribute if self.value is None else f"{self.attribute} = {self.value}"


class NodeExplanation(BaseModel):
    """The contents of ``explanation.json``. Importances are differences of natural logarithms of probabilities."""

    model_config = _STRICT
    schema_version: Literal[1] = SCHEMA_VERSION
    kind: Literal["node explanation"] = "node explanation"
    model: str
    target: str
    node: str
    known: str | None = Field(description="its label, where the network holds it")
    prediction: str
    probabilities: dict[str, float] = Field(description="of each class, calibrated")
    neighbours: list[Neighbour] = Field(description="the most important first, then those that were not measured")
    num_direct: int = Field(description="nodes with an edge to the node")
    num_within_reach: int = Field(description="nodes within as many hops as the model has layers")
    self_attention: list[LayerAttention] = Field(description="of the node to itself, layer by layer")
    attributes: list[AttributeImportance] = Field(description="the most important first; those of importance 0 are not")
    probability_without_attributes: float = Field(
        description="of the predicted class, where the input of all nodes is zero: means, and no known value"
    )
    completeness_gap: float = Field(
        description="importances of all attributes, minus the change of the log-probability that they must add up to"
    )
    notes: list[str]

    @property
    def probability(self) -> float:
        """Of the predicted class."""
        return self.probabilities[self.prediction]


def neighbours_table(explanation: NodeExplanation) -> pd.DataFrame:
    """A row per neighbour; the attention of each layer is the mean over its heads."""
    num_layers = len(explanation.self_attention) or max(
        (len(neighbour.attention) for neighbour in explanation.neighbours), default=0
    )
    columns = ["node", "hops", "importance", "probability_without", "weight", "attention"]
    columns += [f"attention_layer_{layer + 1}" for layer in range(num_layers)]
    columns += [f"{explanation.target}_pred", "probability", "known"]
    rows = []
    for neighbour in explanation.neighbours:
        layers = [layer.mean for layer in neighbour.attention] or [math.nan] * num_layers
        measured = [neighbour.importance, neighbour.probability_without, neighbour.weight, neighbour.mean_attention]
        predicted = [neighbour.prediction, neighbour.probability, neighbour.known]
        rows.append([neighbour.node, neighbour.hops, *measured, *layers, *predicted])
    return pd.DataFrame(rows, columns=columns)


def attributes_table(explanation: NodeExplanation) -> pd.DataFrame:
    """A row per attribute and value."""
    rows = [
        (each.attribute, each.value, each.importance, each.own, each.neighbourhood) for each in explanation.attributes
    ]
    return pd.DataFrame(rows, columns=["attribute", "value", "importance", "own", "neighbourhood"])


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
