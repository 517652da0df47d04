"""The tables of ``experiments/README.md``, made from the ``results.csv`` files."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from gatlib.data.cards import NetworkCard, load_any_card
from gatlib.data.files import atomic_path
from gatlib.errors import InputError
from gatlib.experiments.experiment import experiment_names, load_experiment
from gatlib.experiments.pictures import draw_seeds
from gatlib.experiments.results import read_results
from gatlib.metrics import HIGHER_IS_BETTER, METRIC_NAMES, METRICS

NODE_METRICS = ("accuracy", "roc_auc", "macro_f1")
PUBLISHED = ("model", "split", "metric", "value", "std", "source")
INTRODUCTION = """# Experiments

One folder per question: `recipe.yaml` holds the settings, `results.csv` takes a row per run, part of the split and
metric (commit, seed, split, versions), `published.csv` holds the figures of others, `LOG.md` says what was tried and
what did not help. `gatlib experiment run NAME` runs them, `gatlib experiment table` makes this page. The benchmarks
have a page of their own, [speed](speed/README.md), and so have the checks of the
[lecture notes](lecture/README.md), the [sequences](sequence/README.md), and [what raises quality](ablation/README.md)
on small sets of molecules.

Figures are means over tasks, ± the standard deviation over seeds. Settings were chosen on valid; test was used once
per run. Of networks: accuracy, which is micro F1 where each node has one class; `random` is 60/20/20, drawn by the
seed; `given` is one of the splits that come with the data for each seed.
"""


def write_tables(root: Path) -> Path:
    """Write ``README.md`` below ``root``, and ``seeds.png`` for each experiment that has results.

    Raises:
        InputError: a recipe or a table that cannot be read.
    """
    sections = [INTRODUCTION]
    for name in experiment_names(root):
        experiment = load_experiment(root, name)
        results = read_results(experiment.results)
        if results.empty:
            continue
        card = load_any_card(experiment.dataset)
        metric = card.metric
        draw_seeds(results, metric, card.title, experiment.folder / "seeds.png")
        others = [name for name in other_metrics(metric, isinstance(card, NetworkCard)) if _has(results, name)]
        table = results_table(results, read_published(experiment.folder / "published.csv"), metric, others)
        sections.append(f"## {name}\n\n{card.title}.\n\n{table}\n![seeds]({name}/seeds.png)\n")
    with atomic_path(root / "README.md") as path:
        path.write_text("\n".join(sections), encoding="utf-8")
    return root / "README.md"


def read_published(path: Path) -> pd.DataFrame:
    """Figures of others, from ``published.csv``: model, split, metric, value, std, source.

    Raises:
        InputError: another table.
    """
    if not path.exists():
        return pd.DataFrame(columns=list(PUBLISHED))
    table = pd.read_csv(path)
    if list(table.columns) != list(PUBLISHED):
        raise InputError(f"{path} must have the columns {', '.join(PUBLISHED)}; found {', '.join(table.columns)}")
    return table


def other_metrics(metric: str, of_nodes: bool) -> list[str]:
    """The metrics that stand beside the one of an experiment."""
    every = NODE_METRICS if of_nodes else next(names for names in METRICS.values() if metric in names)
    return [name for name in every if name != metric]


def results_table(results: pd.DataFrame, published: pd.DataFrame, metric: str, others: Sequence[str]) -> str:
    """Markdown: a row for each model, settings and split; then the figures of others.

    Args:
        results: of one experiment.
        published: the figures of others.
        metric: that which the rows are sorted by.
        others: further metrics, of test.
    """
    columns = [("test", metric), ("valid", metric), *(("test", name) for name in others)]
    header = ["model", "settings", "split", "seeds", *(f"{part} {METRIC_NAMES[name]}" for part, name in columns)]
    lines = [[*header, "seconds per run", "of CPU time"]]
    for split, of_split in results.groupby("split", sort=False):
        rows = []
        for (model, *settings), runs in of_split.groupby(["model", "recipe", "featurization"], sort=False):
            cells = [_mean_and_std(runs, part, name) for part, name in columns]
            first = runs.groupby("seed")[["seconds", "cpu_seconds"]].first().mean()
            costs = ["" if pd.isna(value) else f"{value:.0f}" for value in first]
            rows.append(
                [
                    str(model),
                    ", ".join(str(value) for value in settings if value),
                    str(split),
                    str(runs["seed"].nunique()),
                    *cells,
                    *costs,
                ]
            )
        lines += sorted(rows, key=lambda row: row[4], reverse=metric in HIGHER_IS_BETTER)
        of_others = published[(published["split"] == split) & (published["metric"] == metric)]
        for row in of_others.to_dict("records"):
            value = f"{row['value']:.4g}" + ("" if pd.isna(row["std"]) else f" ± {row['std']:.2g}")
            lines.append([row["model"], f"published: {row['source']}", str(split), "", value])
    return markdown(lines)


def markdown(lines: list[list[str]]) -> str:
    """A table whose first line is the header; short lines are filled."""
    width = len(lines[0])
    rows = [f"| {' | '.join([*line, *[''] * (width - len(line))])} |" for line in lines]
    return "\n".join([rows[0], "|---" * width + "|", *rows[1:]]) + "\n"


def _has(results: pd.DataFrame, metric: str) -> bool:
    """ROC-AUC is of two classes."""
    return bool(results.loc[results["metric"] == metric, "value"].notna().any())


def _mean_and_std(runs: pd.DataFrame, part: str, metric: str) -> str:
    values = runs.loc[(runs["part"] == part) & (runs["metric"] == metric), "value"].dropna()
    if values.empty:
        return ""
    return f"{values.mean():.4f}" if len(values) == 1 else f"{values.mean():.4f} ± {values.std():.4f}"
