"""The values that options choose from."""

from enum import StrEnum


class Task(StrEnum):
    """Kind of the targets."""

    classification = "classification"
    regression = "regression"


class Split(StrEnum):
    """Named splits; any other value is the name of a column."""

    scaffold = "scaffold"
    random = "random"
