"""A trained model of the edges of a network on disk: the files of :mod:`gatlib.model_files`, and a card."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from gatlib.errors import InputError, describe
from gatlib.model_files import FORMAT_VERSION, LINKS, read_model_json
from gatlib.models import LinkAttentionNetwork, NodeArchitecture
from gatlib.network.encoding import AttributeRule
from gatlib.network.saved_model import check_network_folder, fill_weights

LinkMetrics = dict[str, dict[str, dict[str, float | None]]]  # split -> "network" or a heuristic -> metric -> value


class LinkTrainingSummary(BaseModel):
    """What the model was trained on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    network: str = Field(description="the files or the example that it was read from")
    nodes: int
    edges: dict[str, int] = Field(description="number of edges in train, valid and test, each counted once")
    missing: dict[str, int] = Field(description="number of pairs without an edge that valid and test are judged by")
    seed: int


class LinkModelDescription(BaseModel):
    """The contents of ``model.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: Literal[1] = FORMAT_VERSION
    kind: Literal["links"] = LINKS
    name: str
    rule: AttributeRule = Field(description="how attributes become the input")
    directed: bool = Field(description="whether edges lead one way")
    mean_weight: float | None = Field(gt=0, description="of the training edges; None where weights are not used")
    architecture: NodeArchitecture
    in_channels: int = Field(ge=1)
    training: LinkTrainingSummary
    metrics: LinkMetrics = Field(
        description="split -> 'network' or a heuristic -> metric -> value; None: there is none"
    )
    versions: dict[str, str]
    weights_sha256: str

    @model_validator(mode="after")
    def _parts_fit_together(self) -> "LinkModelDescription":
        if self.rule.width != self.in_channels:
            raise ValueError(f"the rule gives {self.rule.width} features and in_channels is {self.in_channels}")
        if self.architecture.edge_features != (self.mean_weight is not None):
            raise ValueError("architecture.edge_features must be 1 with a mean_weight, else 0")
        return self


@dataclass(frozen=True)
class LinkModel:
    """A trained network, in evaluation mode, and what there is to know of it."""

    network: LinkAttentionNetwork
    description: LinkModelDescription


def load_link_model(folder: Path) -> LinkModel:
    """The model in a folder that ``gatlib network train --task link`` wrote.

    Raises:
        InputError: no such folder or file; of another kind of model; truncated, edited, or from a newer gatlib.
    """
    check_network_folder(folder)
    content = read_model_json(folder, LINKS)
    try:
        description = LinkModelDescription.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{folder / 'model.json'}: {describe(error)}") from None
    network = LinkAttentionNetwork(description.architecture, description.in_channels, description.directed)
    fill_weights(network, folder, description.weights_sha256)
    return LinkModel(network, description)
