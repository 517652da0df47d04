"""``results.csv`` of an experiment: one row per run, part of the split, and metric; rows are only ever added."""

import datetime as dt
import subprocess
from pathlib import Path

import pandas as pd

from gatlib.training.fit import library_versions

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
    "device",
    "versions",
]


def read_results(path: Path) -> pd.DataFrame:
    """All rows so far; none when there is no file yet."""
    return pd.read_csv(path, dtype={"recipe": str}) if path.exists() else pd.DataFrame(columns=COLUMNS)


def append_results(
    path: Path,
    model: str,
    recipe: str,
    seed: int,
    split: str,
    metrics: dict[str, dict[str, float]],
    seconds: float,
    device: str,
) -> None:
    """Add the rows of one finished run.

    Args:
        path: the ``results.csv``.
        model: what was trained.
        recipe: identity of its settings.
        seed: its seed.
        split: how the data were divided.
        metrics: part of the split -> metric -> value.
        seconds: of training.
        device: where it ran.
    """
    common = {
        "date": dt.date.today().isoformat(),
        "commit": commit(),
        "model": model,
        "recipe": recipe,
        "seed": seed,
        "split": split,
        "seconds": round(seconds, 1),
        "device": device,
        "versions": " ".join(f"{package}={version}" for package, version in library_versions().items()),
    }
    rows = [
        {**common, "part": part, "metric": metric, "value": round(value, 6)}
        for part, values in metrics.items()
        for metric, value in values.items()
    ]
    table = pd.DataFrame(rows, columns=COLUMNS)
    table.to_csv(path, mode="a", header=not path.exists(), index=False)


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
