"""Metrics per task, over the known labels only."""

import math
import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    f1_score,
    log_loss,
    mean_absolute_error,
    r2_score,
    roc_auc_score,
    root_mean_squared_error,
)

from gatlib.data.cards import TaskType

#: The metrics of each kind of task; the first chooses the best epoch.
METRICS = {"classification": ("roc_auc", "pr_auc"), "regression": ("rmse", "mae", "r2")}
#: What a metric is called where people read.
METRIC_NAMES = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "roc_auc": "ROC-AUC",
    "pr_auc": "PR-AUC",
    "average_precision": "average precision",
    "rmse": "RMSE",
    "mae": "MAE",
    "r2": "R²",
    "log_loss": "log-loss",
}
#: Metrics where more is better.
HIGHER_IS_BETTER = {"roc_auc", "pr_auc", "r2", "accuracy", "macro_f1", "average_precision"}
#: K of Hits@K, the share of the edges that are ranked above the K-th best pair without an edge.
HITS_AT = (10, 50, 100)


def metrics_per_task(
    targets: NDArray[np.floating], predictions: NDArray[np.floating], tasks: Sequence[str], task_type: TaskType
) -> pd.DataFrame:
    """One row per task: number of known labels, of positives, and each metric of :data:`METRICS`.

    A task with one class, or without labels, has no ranking: its metrics are NaN and it does not count in
    the mean, as OGB and MoleculeNet do. Neither has one with a prediction that is no number.

    Args:
        targets: ``[molecules, tasks]``, NaN where unknown.
        predictions: ``[molecules, tasks]``, probabilities or values.
    """
    rows = []
    for column, task in enumerate(tasks):
        known = ~np.isnan(targets[:, column])
        truth, prediction = targets[known, column], predictions[known, column]
        finite = bool(np.isfinite(prediction).all())
        row: dict[str, object] = {"task": task, "labels": int(known.sum())}
        if task_type == "classification":
            row["positives"] = int(truth.sum())
            ranked = 0 < truth.sum() < len(truth) and finite
            row["roc_auc"] = float(roc_auc_score(truth, prediction)) if ranked else math.nan
            row["pr_auc"] = float(average_precision_score(truth, prediction)) if ranked else math.nan
        else:
            some = len(truth) > 0 and finite
            row["rmse"] = float(root_mean_squared_error(truth, prediction)) if some else math.nan
            row["mae"] = float(mean_absolute_error(truth, prediction)) if some else math.nan
            row["r2"] = float(r2_score(truth, prediction)) if len(truth) > 1 and finite else math.nan
        rows.append(row)
    return pd.DataFrame(rows)


def mean_metrics(per_task: pd.DataFrame, task_type: TaskType) -> dict[str, float]:
    """The mean over tasks of each metric; tasks without a value are left out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # no task has a value: NaN
        return {name: float(np.nanmean(per_task[name])) for name in METRICS[task_type]}


def metrics_with_mean(
    targets: NDArray[np.floating], predictions: NDArray[np.floating], tasks: Sequence[str], task_type: TaskType
) -> pd.DataFrame:
    """:func:`metrics_per_task`, and a last row with the task ``mean``."""
    per_task = metrics_per_task(targets, predictions, tasks, task_type)
    mean = {name: per_task[name].sum() for name in ("labels", "positives") if name in per_task}
    return pd.concat(
        [per_task, pd.DataFrame([{"task": "mean", **mean, **mean_metrics(per_task, task_type)}])], ignore_index=True
    )


def node_metrics(y: NDArray[np.integer], probabilities: NDArray[np.floating]) -> dict[str, float]:
    """Accuracy, macro F1, ROC-AUC and mean log-loss of one class per node.

    Macro F1 is the mean over the classes that occur, be it as truth or as prediction. ROC-AUC is NaN unless there are
    two classes, both of which occur; all are NaN where no class is known, or a probability is no number.

    Args:
        y: ``[nodes]`` from 0 to C - 1, -1 where unknown.
        probabilities: ``[nodes, C]``, rows that sum to 1.
    """
    known = y >= 0
    y, probabilities = y[known], probabilities[known].astype(np.float64)
    num_classes = probabilities.shape[1]
    names = ("accuracy", "macro_f1", "roc_auc", "log_loss")
    if len(y) == 0 or not np.isfinite(probabilities).all():
        return dict.fromkeys(names, math.nan)
    predicted = probabilities.argmax(axis=1)
    ranked = num_classes == 2 and 0 < y.sum() < len(y)
    probabilities = probabilities / probabilities.sum(axis=1, keepdims=True)  # exactly, after float32
    values = (
        accuracy_score(y, predicted),
        f1_score(y, predicted, average="macro", zero_division=0.0),
        roc_auc_score(y, probabilities[:, 1]) if ranked else math.nan,
        log_loss(y, probabilities, labels=range(num_classes)),
    )
    return {name: float(value) for name, value in zip(names, values, strict=True)}


def link_metrics(edges: NDArray[np.floating], missing: NDArray[np.floating]) -> dict[str, float]:
    """ROC-AUC, average precision and Hits@K of scores of pairs of nodes, K of :data:`HITS_AT`.

    Hits@K is the share of the edges whose score is above that of the K-th best pair without an edge, as OGB defines it
    (Hu et al., "Open Graph Benchmark", NeurIPS 2020). It is NaN where there are fewer than K such pairs; all are NaN
    where there are no edges, no other pairs, or a score that is no number.

    Args:
        edges: scores ``[P]`` of pairs that are edges.
        missing: scores ``[M]`` of pairs that are not.
    """
    scores = np.concatenate([edges, missing])
    names = ("roc_auc", "average_precision", *(f"hits@{k}" for k in HITS_AT))
    if not len(edges) or not len(missing) or not np.isfinite(scores).all():
        return dict.fromkeys(names, math.nan)
    truth = np.arange(len(scores)) < len(edges)
    best = np.sort(missing)[::-1]
    hits = [float(np.mean(edges > best[k - 1])) if k <= len(best) else math.nan for k in HITS_AT]
    values = (float(roc_auc_score(truth, scores)), float(average_precision_score(truth, scores)), *hits)
    return dict(zip(names, values, strict=True))
