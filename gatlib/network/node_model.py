"""A trained model of the nodes of a network on disk: the files of :mod:`gatlib.model_files`, and a card."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from gatlib.errors import InputError, describe
from gatlib.model_files import FORMAT_VERSION, NODES, read_model_json
from gatlib.models import NodeArchitecture, NodeAttentionNetwork
from gatlib.network.encoding import AttributeRule
from gatlib.network.saved_model import check_network_folder, fill_weights

NodeMetrics = dict[str, dict[str, float | None]]  # split -> metric -> value


class NodeTrainingSummary(BaseModel):
    """What the model was trained on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    network: str = Field(description="the files or the example that it was read from")
    nodes: int
    edges: int = Field(description="each counted once, whether it leads one way or both")
    labelled: dict[str, int] = Field(description="number of labelled nodes in train, valid and test")
    split: str
    seed: int


class NodeModelDescription(BaseModel):
    """The contents of ``model.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: Literal[1] = FORMAT_VERSION
    kind: Literal["nodes"] = NODES
    name: str
    target: str
    classes: list[str] = Field(min_length=2, description="in the order of the outputs")
    rule: AttributeRule = Field(description="how attributes become the input")
    directed: bool = Field(description="whether edges lead one way")
    mean_weight: float | None = Field(gt=0, description="of the edges; None where weights are not used")
    architecture: NodeArchitecture
    in_channels: int = Field(ge=1)
    temperature: float = Field(gt=0, description="softmax(outputs / temperature) are the probabilities")
    training: NodeTrainingSummary
    metrics: NodeMetrics = Field(description="split -> metric -> value; None where there is none")
    versions: dict[str, str]
    weights_sha256: str

    @model_validator(mode="after")
    def _parts_fit_together(self) -> "NodeModelDescription":
        if self.rule.width != self.in_channels:
            raise ValueError(f"the rule gives {self.rule.width} features and in_channels is {self.in_channels}")
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("classes must differ from each other")
        if self.architecture.edge_features != (self.mean_weight is not None):
            raise ValueError("architecture.edge_features must be 1 with a mean_weight, else 0")
        return self


@dataclass(frozen=True)
class NodeModel:
    """A trained network, in evaluation mode, and what there is to know of it."""

    network: NodeAttentionNetwork
    description: NodeModelDescription


def sorted_classes(labels: set[str]) -> list[str]:
    """Numbers in the order of numbers, when all are, else text in that of text."""
    try:
        numbers = {label: float(label) for label in labels}
    except ValueError:
        return sorted(labels)
    if not all(map(math.isfinite, numbers.values())):
        return sorted(labels)
    return sorted(labels, key=lambda label: (numbers[label], label))


def read_node_description(folder: Path) -> NodeModelDescription:
    """The validated ``model.json`` of a model of nodes.

    Raises:
        InputError: no such file, not JSON, of a model of molecules, edited, or from a newer gatlib.
    """
    content = read_model_json(folder, NODES)
    try:
        return NodeModelDescription.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{folder / 'model.json'}: {describe(error)}") from None


def load_node_model(folder: Path) -> NodeModel:
    """The model in a folder that ``gatlib network train`` wrote.

    Raises:
        InputError: no such folder; see :func:`read_node_description`; the weights are missing, truncated or edited.
    """
    check_network_folder(folder)
    description = read_node_description(folder)
    network = NodeAttentionNetwork(description.architecture, description.in_channels, len(description.classes))
    fill_weights(network, folder, description.weights_sha256)
    return NodeModel(network, description)
