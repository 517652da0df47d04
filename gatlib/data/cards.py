"""Data set cards: what a data set is, where its file comes from, and what its columns mean."""

from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gatlib.errors import InputError, describe

TaskType = Literal["classification", "regression"]


class Task(BaseModel):
    """One target column."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    column: str
    meaning: str


class DatasetCard(BaseModel):
    """The contents of ``datasets/<name>.yaml``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    title: str
    description: str
    citation: str
    licence: str
    file: str = Field(description="path below the data directory; a .gz of the same bytes is as good")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="of the unpacked file")
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
    known_flaws: list[str]

    @property
    def targets(self) -> list[str]:
        return [task.column for task in self.tasks]


def cards_dir() -> Path:
    """The folder of the cards: inside the installed package, or ``datasets/`` of a source checkout."""
    installed = Path(__file__).parents[1] / "datasets"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "datasets"


def card_names() -> list[str]:
    """The names of all cards."""
    return sorted(path.stem for path in cards_dir().glob("*.yaml"))


def load_card(name: str) -> DatasetCard:
    """The card of a data set.

    Raises:
        InputError: when there is no such card.
    """
    if name not in card_names():
        raise InputError(f"there is no data set {name!r}; there are: {', '.join(card_names())}")
    path = cards_dir() / f"{name}.yaml"
    try:
        return DatasetCard.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        raise InputError(f"data set card {path}: {describe(error)}") from None
