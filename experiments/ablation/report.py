"""README.md and folds.png from the tables of run.py: ``python experiments/ablation/report.py``."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from changes import BASE, CHANGES
from matplotlib.figure import Figure

from gatlib.experiments.results import read_results
from gatlib.experiments.tables import markdown
from gatlib.metrics import HIGHER_IS_BETTER, METRIC_NAMES

HERE = Path(__file__).parent
INTRODUCTION = """# What raises quality on small sets

`python experiments/ablation/run.py` changes one thing of [base.yaml](base.yaml) at a time. The molecules outside the
test part of the scaffold split are cut into five folds of whole scaffolds; each change learns from four of them and is
scored on the fifth, in its best epoch. No label of test is used. This page is made from the csv files by
`python experiments/ablation/report.py`; what follows from it is in [LOG.md](LOG.md). The pretrained networks have
learned from no molecule of these sets. How to take the mean of several models has
[a page of its own](ensembles/README.md).

A figure is the mean over folds. Beside it is by how much it is better than the base: the mean of the folds' differences
± its standard error. CPU time is that of a training, times that of the base.
"""


def write_report(tables: Sequence[Path]) -> None:
    """Write both beside the tables, of those that are there.

    Raises:
        InputError: a table that cannot be read.
    """
    results = {table.stem: scores(read_results(table)) for table in tables if table.exists()}
    folder = tables[0].parent
    (folder / "README.md").write_text(f"{INTRODUCTION}\n{_table(results)}\n![folds](folds.png)\n", encoding="utf-8")
    _draw(results, folder / "folds.png")


def scores(results: pd.DataFrame) -> pd.DataFrame:
    """The rows of the best epochs, in the order of :data:`CHANGES`; of a fold that ran twice the last."""
    best = results[results["metric"].isin(METRIC_NAMES) & results["model"].isin(CHANGES)]
    best = best.drop_duplicates(["model", "seed"], keep="last")
    return best.sort_values("model", key=lambda names: names.map(list(CHANGES).index), kind="stable")


def gains(scores: pd.DataFrame) -> pd.DataFrame:
    """How much better than the base each change is on each fold, ``[changes, folds]``; NaN where a fold is missing.

    Positive is better, whichever way the metric goes.
    """
    values = scores.pivot(index="model", columns="seed", values="value").loc[scores["model"].unique()]
    sign = 1 if scores["metric"].iloc[0] in HIGHER_IS_BETTER else -1
    return sign * (values - values.loc[BASE])


def _table(results: dict[str, pd.DataFrame]) -> str:
    lines = [["change"]]
    for name, rows in results.items():
        lines[0] += [f"{name}, {_metric(rows)}, {rows['seed'].nunique()} folds", "better by"]
    lines[0].append("CPU time")
    everything = pd.concat(results, names=["dataset", None]).reset_index("dataset")
    seconds = everything.pivot(index=["dataset", "seed"], columns="model", values="cpu_seconds")
    for change in _changes(results):
        cells = [cell for rows in results.values() for cell in _cells(rows, change)]
        lines.append([change, *cells, f"{(seconds[change] / seconds[BASE]).median():.1f}"])
    return markdown(lines)


def _cells(rows: pd.DataFrame, change: str) -> list[str]:
    """The mean over folds, and by how much it is better than the base."""
    values = rows.loc[rows["model"] == change, "value"]
    if values.empty:
        return ["", ""]
    if change == BASE:
        return [f"{values.mean():.3f} ± {values.std(ddof=0):.3f}", ""]
    gain = gains(rows).loc[change].dropna()
    if len(gain) < rows["seed"].nunique():  # not to be compared with means over all folds
        return ["", f"{gain.mean():+.3f} ({len(gain)} of the folds)"]
    return [f"{values.mean():.3f}", f"{gain.mean():+.3f} ± {gain.sem():.3f}"]


def _draw(results: dict[str, pd.DataFrame], picture: Path) -> None:
    """A panel for each data set, a row for each change, a dot for each fold, a bar for their mean; right is better."""
    changes = [name for name in _changes(results) if name != BASE]
    figure = Figure(figsize=(3.2 + 2.6 * len(results), 1 + 0.28 * len(changes)), layout="constrained")
    panels = figure.subplots(1, len(results), sharey=True, squeeze=False)[0]
    for axes, (name, rows) in zip(panels, results.items(), strict=True):
        gain = gains(rows).reindex(changes)
        for place, change in enumerate(changes):
            values = gain.loc[change].dropna()
            axes.plot(values, [place] * len(values), "o", color="tab:blue", alpha=0.4, markersize=5)
            axes.plot([values.mean()], [place], "|", color="black", markersize=12, markeredgewidth=2)
        axes.axvline(0, color="grey", linewidth=1)
        axes.set_title(f"{name}, {_metric(rows)}", fontsize=10)
        axes.set_xlabel("better than the base by", fontsize=9)
        axes.grid(axis="x", alpha=0.3)
        axes.tick_params(labelsize=9)
    panels[0].set_yticks(range(len(changes)), changes)
    panels[0].set_ylim(len(changes) - 0.5, -0.5)
    figure.savefig(picture, dpi=120)


def _changes(results: dict[str, pd.DataFrame]) -> list[str]:
    return [name for name in CHANGES if any((rows["model"] == name).any() for rows in results.values())]


def _metric(rows: pd.DataFrame) -> str:
    return METRIC_NAMES[rows["metric"].iloc[0]]


if __name__ == "__main__":
    write_report(sorted(HERE.glob("*.csv")))
