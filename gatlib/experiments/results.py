"""``results.csv`` of an experiment: one row per run, part of the split, and metric; rows are only ever added."""

import datetime as dt
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from gatlib.data.files import atomic_path
from gatlib.errors import InputError
from gatlib.experiments.scores import Cost, Scores
from gatlib.metrics import METRIC_NAMES
from gatlib.training.run_folder import library_versions, one_line

COLUMNS = [
    "date",
    "commit",
    "model",
    "recipe",
    "seed",
    "split",
    "part",
    "metric",
    "value",
    "seconds",
    "cpu_seconds",
    "device",
    "versions",
    "featurization",
]


class Run(NamedTuple):
    """What tells one run from another."""

    model: str
    recipe: str  # identity of its settings
    seed: int
    split: str
    featurization: str = ""  # of the graphs of molecules, where the model sees them


def is_identity(recipe: str) -> bool:
    """Whether it is that of a network's settings, else it says them in words."""
    return re.fullmatch(r"[0-9a-f]{8}", recipe) is not None


def read_results(path: Path) -> pd.DataFrame:
    """All rows so far; none when there is no file yet.

    Raises:
        InputError: the file is no table of results; the sentence names the row and column.
    """
    if not path.exists():
        return pd.DataFrame(columns=COLUMNS)
    try:
        table = pd.read_csv(path, dtype={"recipe": str, "split": str, "model": str, "featurization": str})
    except (ValueError, UnicodeDecodeError) as error:  # among them pandas' own
        raise InputError(f"{path} is no table ({' '.join(str(error).split())}): restore it from git") from None
    # Node experiments have no such column.
    table["featurization"] = table["featurization"].fillna("") if "featurization" in table else ""
    if missing := [name for name in COLUMNS if name not in table and name != "cpu_seconds"]:
        raise InputError(f"{path} has no column {missing[0]!r}: restore it from git")
    for column in ("seed", "value", "seconds"):
        numbers = pd.to_numeric(table[column], errors="coerce")
        if (wrong := numbers.isna() & table[column].notna()).any() or (column == "seed" and numbers.isna().any()):
            row = int((wrong if wrong.any() else numbers.isna()).argmax())
            found = table[column].iloc[row]
            raise InputError(
                f"{path}, row {row + 1}, column {column!r}: {found!r} is not a number: restore it from git"
            )
        table[column] = numbers
    # A metric may say more after a comma, as the ablation's do.
    for column, words, known in (
        ("part", table["part"], ("valid", "test")),
        ("metric", table["metric"].astype(str).str.split(",").str[0], tuple(METRIC_NAMES)),
    ):
        if (wrong := ~words.isin(known)).any():
            row = int(wrong.argmax())
            raise InputError(
                f"{path}, row {row + 1}, column {column!r}: {table[column].iloc[row]!r} is none of "
                f"{', '.join(known)}: restore it from git"
            )
    return table.reindex(columns=[*COLUMNS, *(name for name in table if name not in COLUMNS)])


def is_done(path: Path, run: Run) -> bool:
    """Whether the file has the figures of this run."""
    table = read_results(path)
    return bool((table[list(Run._fields)] == list(run)).all(axis=1).any())


def append_results(
    path: Path,
    run: Run,
    scores: Scores,
    cost: Cost,
    device: str,
) -> None:
    """Add the rows of one finished run.

    Args:
        path: the ``results.csv``.
        run: which run.
        scores: None for a metric that cannot be computed.
        cost: of the run.
        device: where it ran.
    """
    common = {
        "date": dt.date.today().isoformat(),
        "commit": commit(),
        **run._asdict(),
        "seconds": round(cost.seconds, 1),
        "cpu_seconds": round(cost.cpu_seconds, 1),
        "device": device,
        "versions": one_line(library_versions()),
    }
    rows = [
        {**common, "part": part, "metric": metric, "value": None if value is None else round(value, 6)}
        for part, values in scores.items()
        for metric, value in values.items()
    ]
    before = read_results(path)
    new = pd.DataFrame(rows, columns=COLUMNS)
    table = new if before.empty else pd.concat([before, new], ignore_index=True)
    with atomic_path(path) as partial:
        table.to_csv(partial, index=False)


def commit() -> str:
    """The commit of the source checkout that runs, marked when it differs from it in more than tables and pictures."""
    try:
        head = _git("rev-parse", "--short=10", "HEAD").strip()
        changed = _git(
            "status", "--porcelain", "--untracked-files=no", "--", ":/", ":!/experiments/*.csv", ":!/experiments/*.png"
        ).strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head}-dirty" if changed else head


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
    ).stdout
