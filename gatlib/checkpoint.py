"""A trained model on disk: a folder with weights, a description that is validated, and a model card.

The files are those of :mod:`gatlib.model_files`, and ``README.md``, the card for people.
"""

from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from gatlib.chem import feature_dims
from gatlib.data.cards import TaskType
from gatlib.errors import InputError, describe
from gatlib.model_files import FORMAT_VERSION, read_model_json, read_weights, sha256, write_model_files
from gatlib.models import Architecture, GraphAttentionNetwork

ALL: Final = "all"  # in place of a split: nothing was held out
Metrics = dict[str, dict[str, dict[str, float | None]]]  # split -> task (or "mean") -> metric -> value
FEATURIZATION: Final = "ogb-v2"  # of gatlib.chem.graphs; a change of them is a new name


class TrainingSummary(BaseModel):
    """What the model was trained on: the chemistry that it has seen."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str
    split: str
    seed: int
    pretrained: str | None = Field(None, description="name of the network that it started from")
    molecules: dict[str, int] = Field(description="number of molecules in train, valid and test")
    rejected: int = Field(description="rows set aside because they have no graph")
    elements: dict[str, int] = Field(description="number of training molecules with each element")
    atoms: tuple[int, int] = Field(description="smallest and largest number of atoms in a training molecule")


class ModelDescription(BaseModel):
    """The contents of ``model.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: Literal[1] = FORMAT_VERSION
    name: str
    task_type: TaskType
    tasks: list[str] = Field(min_length=1)
    unit: str
    featurization: Literal["ogb-v2"] = FEATURIZATION
    architecture: Architecture
    target_mean: list[float] = Field(description="output x target_std + target_mean is the value (0 and 1 for classes)")
    target_std: list[float]
    training: TrainingSummary
    metrics: Metrics = Field(
        description="split -> task (or 'mean') -> metric -> value; None where a split has one class only"
    )
    metrics_of: str | None = Field(None, description="whose metrics they are, where they are not those of this network")
    versions: dict[str, str]
    weights_sha256: str

    @model_validator(mode="after")
    def _one_of_each_per_task(self) -> "ModelDescription":
        if not len(self.tasks) == len(self.target_mean) == len(self.target_std):
            raise ValueError("tasks, target_mean and target_std must have the same length")
        return self

    def build(self) -> GraphAttentionNetwork:
        """The network, with untrained weights."""
        atom_dims, bond_dims = feature_dims()
        return GraphAttentionNetwork(self.architecture, atom_dims, bond_dims, len(self.tasks))


def save_model(folder: Path, network: GraphAttentionNetwork, **fields: Any) -> ModelDescription:
    """Write ``model.safetensors`` and ``model.json``; ``fields`` are those of :class:`ModelDescription`."""
    import safetensors.torch

    weights = safetensors.torch.save(network.state_dict())
    description = ModelDescription(weights_sha256=sha256(weights), **fields)
    write_model_files(folder, weights, description)
    return description


def read_description(folder: Path) -> ModelDescription:
    """The validated ``model.json`` of a model folder.

    Raises:
        InputError: no such file, not JSON, of a model of nodes, edited, from a newer gatlib, or trained on other
            features of molecules.
    """
    content = read_model_json(folder, None)
    if (found := content.get("featurization", FEATURIZATION)) != FEATURIZATION:
        raise InputError(
            f"{folder} was trained on other features of molecules ({found!r:.40}, this gatlib has {FEATURIZATION!r}): "
            "train it again, or predict with the gatlib that it was trained with"
        )
    try:
        return ModelDescription.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{folder / 'model.json'}: {describe(error)}") from None


def load_model(folder: Path) -> tuple[GraphAttentionNetwork, ModelDescription]:
    """The trained network of a model folder, in evaluation mode, and its description.

    Raises:
        InputError: see :func:`read_description`; also when the weights are missing, truncated or edited.
    """
    import safetensors
    import safetensors.torch

    description = read_description(folder)
    path = folder / "model.safetensors"
    weights = read_weights(folder, description.weights_sha256)
    network = description.build()
    try:
        network.load_state_dict(safetensors.torch.load(weights))
    except (RuntimeError, safetensors.SafetensorError):
        raise InputError(
            f"the weights {path} do not fit the architecture in model.json: copy the folder again"
        ) from None
    return network.eval(), description
