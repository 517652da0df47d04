"""CPU time until the command line answers, against the imports that nobody can avoid.

    python experiments/speed/startup.py

Every pair of commands takes turns; the figures are medians over the rounds of the CPU seconds (user + system) of
whole processes. Appends to startup.csv.
"""

import datetime as dt
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from gatlib.experiments.results import commit
from gatlib.training.run_folder import library_versions, one_line

HERE = Path(__file__).parent
GATLIB = [sys.executable, "-m", "gatlib.cli.main"]
PAIRS = {
    "gatlib --help": ([*GATLIB, "--help"], [sys.executable, "-c", "pass"]),
    "gatlib predict CCO": ([*GATLIB, "predict", "CCO"], [sys.executable, "-c", "import torch, torch_geometric"]),
}


def main(rounds: Annotated[int, typer.Option(help="Rounds; medians count.")] = 9) -> None:
    rows = []
    for name, (ours, peer) in PAIRS.items():
        times: list[tuple[float, float]] = [(cpu_seconds(ours), cpu_seconds(peer)) for _ in range(rounds)]
        row = {
            "date": dt.date.today().isoformat(),
            "commit": commit(),
            "command": name,
            "against": " ".join(["python", *peer[1:]]),
            "rounds": rounds,
            "cpu_seconds": round(statistics.median(a for a, _ in times), 3),
            "against_cpu_seconds": round(statistics.median(b for _, b in times), 3),
            "difference": round(statistics.median(a - b for a, b in times), 3),
            "ratio": round(statistics.median(a / b for a, b in times), 3),
            "versions": one_line(library_versions()),
        }
        rows.append(row)
        print(
            f"{name}: {row['cpu_seconds']} s of CPU, {row['difference']} s more and {row['ratio']} times as much as "
            f"{row['against']!r}"
        )
    path = HERE / "startup.csv"
    pd.DataFrame(rows).to_csv(path, mode="a", header=not path.exists(), index=False)


def cpu_seconds(command: list[str]) -> float:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    typer.run(main)
