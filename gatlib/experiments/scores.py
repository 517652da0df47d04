"""Figures of a run: from its predictions, and what it cost."""

import math
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gatlib.data.cards import DatasetCard
from gatlib.data.ogb import ogb_score
from gatlib.metrics import metrics_with_mean

PREDICTED = "_pred"
Scores = dict[str, dict[str, float | None]]  # part of the split -> metric -> value


class Cost(NamedTuple):
    """Seconds on the clock, and of all processors together, of this process and those it has waited for."""

    seconds: float
    cpu_seconds: float

    @classmethod
    def now(cls) -> "Cost":
        times = os.times()
        cpu = times.user + times.system + times.children_user + times.children_system
        return cls(time.perf_counter(), cpu)

    def since(self, start: "Cost") -> "Cost":
        return Cost(self.seconds - start.seconds, self.cpu_seconds - start.cpu_seconds)


def predicted_tasks(table: pd.DataFrame) -> list[str]:
    """The tasks of a table of predictions."""
    return [name.removesuffix(PREDICTED) for name in map(str, table) if name.endswith(PREDICTED)]


def parts_predicted(folder: Path) -> list[str]:
    """Test, and valid unless it is the mean of runs on different ones."""
    return [part for part in ("valid", "test") if part == "test" or (folder / f"{part}_predictions.csv").exists()]


def scores_of(folder: Path, card: DatasetCard, split: str) -> Scores:
    """Means over tasks, from ``valid_predictions.csv`` and ``test_predictions.csv``.

    On OGB's split its own evaluator gives the figure of test.
    """
    scores = {}
    for part in parts_predicted(folder):
        table = pd.read_csv(folder / f"{part}_predictions.csv")
        tasks = predicted_tasks(table)
        targets = table[tasks].to_numpy(dtype=np.float64)
        predictions = table[[task + PREDICTED for task in tasks]].to_numpy(dtype=np.float64)
        scores[part] = _means(targets, predictions, tasks, card)
        if part == "test" and split == "ogb":
            assert card.ogb is not None  # else there were no such split
            scores[part][card.metric] = ogb_score(card.ogb, targets, predictions)
    return scores


def _means(
    targets: NDArray[np.float64], predictions: NDArray[np.float64], tasks: Sequence[str], card: DatasetCard
) -> dict[str, float | None]:
    mean = metrics_with_mean(targets, predictions, tasks, card.task_type).iloc[-1]
    found = mean.drop(["task", "labels", "positives"], errors="ignore")
    return {str(name): None if math.isnan(value) else float(value) for name, value in found.items()}
