"""The values that options choose from."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Task(StrEnum):
    """Kind of the targets."""

    classification = "classification"
    regression = "regression"


class NetworkTask(StrEnum):
    """What a model of a network predicts."""

    node = "node"
    link = "link"


class Split(StrEnum):
    """Named splits; any other value is time:COLUMN, file:PATH or the name of a column."""

    scaffold = "scaffold"
    scaffold_balanced = "scaffold_balanced"
    random = "random"
    butina = "butina"


DataDir = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the data files. Default: $GATLIB_DATA_DIR, else the user's cache.", show_default=False
    ),
]
