"""Data set cards: what a data set is, where its file comes from, and what its columns mean."""

from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from gatlib.errors import InputError, describe

TaskType = Literal["classification", "regression"]


class Task(BaseModel):
    """One target column."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    column: str
    meaning: str


class DataFile(BaseModel):
    """One file of a data set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str = Field(description="path below the data directory; a .gz of the same bytes is as good")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="of the unpacked file")
    urls: list[str] = Field(description="of these bytes, packed or not; none where they stand nowhere")


class Card(BaseModel):
    """What every data set card says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    title: str
    description: str
    citation: str
    licence: str
    known_flaws: list[str]


class DatasetCard(Card, DataFile):
    """The contents of ``datasets/<name>.yaml`` for a table of molecules."""

    urls: list[str] = Field(min_length=1)
    num_rows: int = Field(ge=1)
    smiles_column: str
    id_column: str | None = None
    task_type: TaskType
    tasks: list[Task] = Field(min_length=1)
    labels: str = Field(description="what a cell of a target column holds")
    unit: str = Field(description="of a prediction")
    metric: Literal["roc_auc", "pr_auc", "rmse", "mae"]
    split: Literal["scaffold", "random"]
    ogb: str | None = Field(None, description="name of the same set in OGB, for its official split")

    @property
    def targets(self) -> list[str]:
        return [task.column for task in self.tasks]


NetworkFormat = Literal["tables", "planetoid", "heterophilous"]
#: What the files of each format are called in a card; those after the bar may be missing.
ROLES: dict[NetworkFormat, tuple[set[str], set[str]]] = {
    "tables": ({"edges", "labels"}, {"features"}),
    "planetoid": ({"x", "tx", "allx", "y", "ty", "ally", "graph", "test.index"}, set()),
    "heterophilous": ({"npz"}, set()),
}


class NetworkCard(Card):
    """The contents of ``datasets/<name>.yaml`` for one graph whose nodes have a class."""

    kind: Literal["network"]
    format: NetworkFormat = Field(description="how the files are read, see :mod:`gatlib.network.datasets`")
    files: dict[str, DataFile] = Field(description="each by its role, of :data:`ROLES`")
    source: str = Field(description="page on which the data can be had, or was")
    num_nodes: int = Field(ge=2)
    num_edges: int = Field(ge=1, description="each counted once, without self-loops and repetitions")
    num_features: int = Field(ge=0, description="0: structural features take their place")
    features: str = Field(description="what the features are")
    target: str = Field(description="column of the labels, or what they are called where there is no column")
    id_column: str | None = Field(None, description="of the labels, where there is a choice")
    classes: dict[str, str] = Field(min_length=2, description="what each label means")
    metric: Literal["accuracy", "roc_auc"]
    split: str = Field(pattern=r"^(public|given|random(:\d+/\d+/\d+)?)$", description="as in a recipe")

    @model_validator(mode="after")
    def _has_the_files_of_its_format(self) -> "NetworkCard":
        needed, optional = ROLES[self.format]
        if not needed <= set(self.files) <= needed | optional:
            raise ValueError(
                f"files must be {', '.join(sorted(needed))} in the format {self.format!r}; "
                f"found {', '.join(sorted(self.files))}"
            )
        return self


def cards_dir() -> Path:
    """The folder of the cards: inside the installed package, or ``datasets/`` of a source checkout."""
    installed = Path(__file__).parents[1] / "datasets"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "datasets"


def card_names() -> list[str]:
    """The names of all cards."""
    return sorted(path.stem for path in cards_dir().glob("*.yaml"))


def load_card(name: str) -> DatasetCard:
    """The card of a data set of molecules.

    Raises:
        InputError: when there is no such card, or it is that of a network.
    """
    card = load_any_card(name)
    if isinstance(card, NetworkCard):
        raise InputError(f"{name} is a network, not a set of molecules: use 'gatlib network train {name}'")
    return card


def load_network_card(name: str) -> NetworkCard:
    """The card of a network.

    Raises:
        InputError: when there is no such card, or it is that of molecules.
    """
    card = load_any_card(name)
    if not isinstance(card, NetworkCard):
        raise InputError(f"{name} is a set of molecules, not a network: use 'gatlib train {name}'")
    return card


def load_any_card(name: str) -> DatasetCard | NetworkCard:
    """The card of a data set of either kind.

    Raises:
        InputError: when there is no such card.
    """
    if name not in card_names():
        raise InputError(f"there is no data set {name!r:.60}; there are: {', '.join(card_names())}")
    path = cards_dir() / f"{name}.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    kind = NetworkCard if "kind" in content else DatasetCard
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise InputError(f"data set card {path}: {describe(error)}") from None
