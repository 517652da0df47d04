"""README.md and folds.png from results.csv: ``python experiments/ablation/report.py``."""

from pathlib import Path

import pandas as pd
from changes import BASE, CHANGES
from matplotlib.figure import Figure

from gatlib.metrics import HIGHER_IS_BETTER, METRIC_NAMES

HERE = Path(__file__).parent
INTRODUCTION = """# What raises quality on small sets

`python experiments/ablation/run.py` changes one thing of [base.yaml](base.yaml) at a time. The molecules outside the
test part of the scaffold split are cut into folds of whole scaffolds; each change learns from all folds but one and is
scored on that one, in its best epoch. No label of test is read. This page is made from results.csv by
`python experiments/ablation/report.py`; what follows from it is in [LOG.md](LOG.md). The pretrained networks have
learned from no molecule of these sets.

A figure is the mean over folds. Beside it is by how much it is better than the base: the mean of the folds' differences
± its standard error. CPU time is that of a training, times that of the base.
"""


def write_report(table: Path) -> None:
    """Write both beside the table."""
    results = pd.read_csv(table)
    table.with_name("README.md").write_text(f"{INTRODUCTION}\n{_markdown(results)}\n![folds](folds.png)\n", "utf-8")
    _draw(results, table.with_name("folds.png"))


def gains(results: pd.DataFrame) -> pd.DataFrame:
    """How much better than the base each change is on each fold that both have: ``[changes, folds]`` of a data set.

    Positive is better, whichever way the metric goes. In the order of :data:`CHANGES`; NaN where a fold is missing.
    """
    scores = results.pivot(index="change", columns="fold", values="best")
    sign = 1 if results["metric"].iloc[0] in HIGHER_IS_BETTER else -1
    order = [name for name in CHANGES if name in scores.index]
    return sign * (scores.loc[order] - scores.loc[BASE])


def _markdown(results: pd.DataFrame) -> str:
    datasets = list(results["dataset"].unique())
    counts = results.groupby("dataset", sort=False)["fold"].nunique()
    names = [
        f"{dataset}, {METRIC_NAMES[rows['metric'].iloc[0]]}, {counts[dataset]} folds"
        for dataset, rows in results.groupby("dataset", sort=False)
    ]
    header = ["change", *(column for name in names for column in (name, "better by")), "CPU time"]
    lines = [header, ["---"] * len(header)]
    of_dataset = dict(list(results.groupby("dataset", sort=False)))
    for change in [name for name in CHANGES if name in set(results["change"])]:
        cells = [change]
        for dataset in datasets:
            cells += _cells(of_dataset[dataset], change)
        lines.append([*cells, _cost(results, change)])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def _cells(results: pd.DataFrame, change: str) -> list[str]:
    """The mean over folds, and by how much it is better than the base."""
    scores = results[results["change"] == change]["best"]
    if scores.empty:
        return ["", ""]
    if change == BASE:
        return [f"{scores.mean():.3f} ± {scores.std(ddof=0):.3f}", ""]
    gain = gains(results).loc[change].dropna()
    if len(gain) < results["fold"].nunique():  # not to be compared with means over all folds
        return ["", f"{gain.mean():+.3f} ({len(gain)} of the folds)"]
    return [f"{scores.mean():.3f}", f"{gain.mean():+.3f} ± {gain.sem():.3f}"]


def _cost(results: pd.DataFrame, change: str) -> str:
    seconds = results.pivot_table(index=["dataset", "fold"], columns="change", values="cpu_seconds")
    return f"{(seconds[change] / seconds[BASE]).median():.1f}"


def _draw(results: pd.DataFrame, picture: Path) -> None:
    """A panel for each data set, a row for each change, a dot for each fold, a bar for their mean; right is better."""
    groups = list(results.groupby("dataset", sort=False))
    changes = [name for name in CHANGES if name in set(results["change"]) and name != BASE]
    figure = Figure(figsize=(3.2 + 2.6 * len(groups), 1 + 0.28 * len(changes)), layout="constrained")
    for axes, (dataset, rows) in zip(
        figure.subplots(1, len(groups), sharey=True, squeeze=False)[0], groups, strict=True
    ):
        gain = gains(rows).reindex(changes)
        for place, change in enumerate(changes):
            values = gain.loc[change].dropna()
            axes.plot(values, [place] * len(values), "o", color="tab:blue", alpha=0.4, markersize=5)
            axes.plot([values.mean()], [place], "|", color="black", markersize=12, markeredgewidth=2)
        axes.axvline(0, color="grey", linewidth=1)
        axes.set_title(f"{dataset}, {METRIC_NAMES[rows['metric'].iloc[0]]}", fontsize=10)
        axes.set_xlabel("better than the base by", fontsize=9)
        axes.grid(axis="x", alpha=0.3)
        axes.tick_params(labelsize=9)
    axes.set_yticks(range(len(changes)), changes)
    axes.set_ylim(len(changes) - 0.5, -0.5)
    figure.savefig(picture, dpi=120)


if __name__ == "__main__":
    write_report(HERE / "results.csv")
