"""Pictures of runs: curves of the test predictions, and the seeds of all models as dots."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from gatlib.data.cards import TaskType
from gatlib.experiments.results import is_identity
from gatlib.experiments.scores import predicted_tasks
from gatlib.metrics import HIGHER_IS_BETTER, METRIC_NAMES

_BINS = 10  # of a calibration curve
_MOST_LABELS = 12  # tasks with a colour and a name of their own

_Ranked = tuple[NDArray[np.float64], NDArray[np.float64]]  # labels and predictions of a task


def draw_test_predictions(predictions: Path, task_type: TaskType) -> Path:
    """Draw what a run's ``test_predictions.csv`` shows, into ``test.png`` beside it.

    Classes: ROC, precision-recall and calibration curves of every task, or the spread of those of many tasks. Values:
    predicted against measured.
    """
    table, picture = pd.read_csv(predictions), predictions.with_name("test.png")
    tasks = predicted_tasks(table)
    if task_type == "classification":
        draw_curves(table, tasks, picture)
    else:
        figure = Figure(figsize=(4.6 * min(len(tasks), 3), 4.4 * -(-len(tasks) // 3)), layout="constrained")
        _draw_parity(figure, table, tasks)
        figure.savefig(picture, dpi=120)
    return picture


def draw_curves(table: pd.DataFrame, tasks: list[str], picture: Path) -> None:
    """Draw ROC, precision-recall and calibration curves of columns ``<task>``, 0 or 1, and ``<task>_pred``."""
    figure = Figure(figsize=(13, 4.4), layout="constrained")
    _draw_curves(figure, table, tasks)
    figure.savefig(picture, dpi=120)


def draw_seeds(results: pd.DataFrame, metric: str, title: str, picture: Path) -> None:
    """For each split a row of dots for each model, a dot for each seed, with their mean; the best on top."""
    test = results[(results["part"] == "test") & (results["metric"] == metric)].dropna(subset=["value"])
    if test.empty:
        return
    of_splits = [(str(split), _rows_of_dots(runs, metric)) for split, runs in test.groupby("split", sort=False)]
    heights = [0.9 + 0.32 * len(rows) for _, rows in of_splits]
    figure = Figure(figsize=(9, 0.4 + sum(heights)), layout="constrained")
    all_axes = figure.subplots(len(of_splits), squeeze=False, height_ratios=heights)[:, 0]
    for axes, (split, rows) in zip(all_axes, of_splits, strict=True):
        for place, (_, values) in enumerate(rows):
            axes.plot(values, [place] * len(values), "o", color="tab:blue", alpha=0.5, markersize=6)
            axes.plot([values.mean()] * 2, [place - 0.3, place + 0.3], color="black", linewidth=1.5)
        axes.set_yticks(range(len(rows)), [name for name, _ in rows])
        axes.invert_yaxis()
        axes.set_title(f"{split} split, test {METRIC_NAMES[metric]}", fontsize="medium")
        axes.grid(axis="x", alpha=0.3)
    figure.suptitle(f"{title}. A dot for each seed, a line for the mean")
    figure.savefig(picture, dpi=120)


def _rows_of_dots(runs: pd.DataFrame, metric: str) -> list[tuple[str, pd.Series]]:
    """The name of each model on one split and the figures of its seeds, from the best to the worst."""
    rows = []
    for model, of_model in runs.groupby("model", sort=False):
        recipes = of_model.groupby(["recipe", "featurization"], sort=False)["value"]
        for (recipe, featurization), values in recipes:
            # What a baseline's settings are takes a line; the tables have it.
            tells = len(recipes) > 1 and is_identity(str(recipe))
            rows.append((f"{model} · {recipe} {featurization}".strip() if tells else str(model), values))
    return sorted(rows, key=lambda row: row[1].mean(), reverse=metric in HIGHER_IS_BETTER)


def _draw_curves(figure: Figure, table: pd.DataFrame, tasks: list[str]) -> None:
    roc, precision, calibration = figure.subplots(1, 3)
    ranked = {}
    for task in tasks:
        known = table[task].notna()
        truth, score = table.loc[known, task].to_numpy(), table.loc[known, f"{task}_pred"].to_numpy()
        if len(np.unique(truth)) > 1:  # else there is nothing to rank
            ranked[task] = truth, score
    roc.plot([0, 1], [0, 1], color="0.8", linewidth=1)
    roc.set(xlabel="false positive rate", ylabel="true positive rate", title="ROC, with the area")
    precision.set(xlabel="recall", ylabel="precision", title="Precision and recall, with the average precision")
    (_draw_each if len(tasks) <= _MOST_LABELS else _draw_band)(roc, precision, ranked)
    labels, found = table[tasks].to_numpy(), table[[f"{task}_pred" for task in tasks]].to_numpy()
    _draw_calibration(calibration, labels[~np.isnan(labels)], found[~np.isnan(labels)])
    for axes in (roc, precision):
        if axes.get_legend_handles_labels()[1]:
            axes.legend(fontsize=6)
    for axes in (roc, precision, calibration):
        axes.grid(alpha=0.3)


def _draw_each(roc: Axes, precision: Axes, ranked: Mapping[str, _Ranked]) -> None:
    for place, (task, (truth, score)) in enumerate(ranked.items()):
        style: dict[str, Any] = {"color": f"C{place % 10}", "linestyle": "-" if place < 10 else "--", "linewidth": 1.2}
        false, true, _ = roc_curve(truth, score)
        roc.plot(false, true, label=f"{task} {roc_auc_score(truth, score):.2f}", **style)
        share, recall, _ = precision_recall_curve(truth, score)
        label = f"{task} {average_precision_score(truth, score):.2f} ({truth.mean():.2f} positive)"
        precision.plot(recall, share, label=label, **style)


def _draw_band(roc: Axes, precision: Axes, ranked: Mapping[str, _Ranked]) -> None:
    """Of many tasks the median curve, and where all but the highest and the lowest tenth run."""
    if not ranked:
        return
    grid = np.linspace(0, 1, 101)
    curves: tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]] = ([], [])
    for truth, score in ranked.values():
        false, true, _ = roc_curve(truth, score)
        share, recall, _ = precision_recall_curve(truth, score)
        curves[0].append(np.interp(grid, false, true))
        curves[1].append(
            share[::-1][np.searchsorted(recall[::-1], grid)]
        )  # at the first threshold that recalls so much
    areas = np.array([(roc_auc_score(*pair), average_precision_score(*pair)) for pair in ranked.values()])
    for axes, of_tasks, mean in zip((roc, precision), curves, areas.mean(axis=0), strict=True):
        low, middle, high = np.percentile(of_tasks, [10, 50, 90], axis=0)
        axes.fill_between(grid, low, high, alpha=0.25, label=f"80 % of {len(ranked)} tasks")
        axes.plot(grid, middle, label=f"median; mean over the tasks {mean:.3f}")


def _draw_calibration(axes: Axes, truth: NDArray[np.float64], found: NDArray[np.float64]) -> None:
    """Of all tasks together: how often what was predicted with some probability was so."""
    bins = np.clip((found * _BINS).astype(int), 0, _BINS - 1)
    filled = [number for number in range(_BINS) if (bins == number).any()]
    predicted = [found[bins == number].mean() for number in filled]
    observed = [truth[bins == number].mean() for number in filled]
    axes.plot([0, 1], [0, 1], color="0.8", linewidth=1)
    axes.plot(predicted, observed, "o-", color="tab:blue")
    for x, y, number in zip(predicted, observed, filled, strict=True):
        axes.annotate(f"{(bins == number).sum():,}", (x, y), fontsize=6, xytext=(4, -8), textcoords="offset points")
    axes.set(
        xlabel="predicted probability", ylabel="share that was positive", title="Calibration of all tasks, with counts"
    )


def _draw_parity(figure: Figure, table: pd.DataFrame, tasks: list[str]) -> None:
    rows = -(-len(tasks) // 3)
    every = figure.subplots(rows, min(len(tasks), 3), squeeze=False).flat
    for axes, task in zip(every, tasks, strict=False):
        known = table[task].notna()
        truth, found = table.loc[known, task].to_numpy(), table.loc[known, f"{task}_pred"].to_numpy()
        ends = [min(truth.min(), found.min()), max(truth.max(), found.max())]
        axes.plot(ends, ends, color="0.8", linewidth=1)
        axes.plot(truth, found, "o", markersize=3, alpha=0.5)
        error = float(np.sqrt(np.mean((truth - found) ** 2)))
        axes.set(xlabel="measured", ylabel="predicted", title=f"{task}\nRMSE {error:.3f}, {len(truth)} molecules")
        axes.title.set_fontsize(9)
        axes.grid(alpha=0.3)
    for axes in list(every):
        axes.set_visible(False)
