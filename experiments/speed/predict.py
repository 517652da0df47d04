"""End-to-end throughput of ``gatlib predict`` on the 41,127 molecules of the HIV file.

    python experiments/speed/predict.py [--data-dir DIR] [--chemprop EXECUTABLE --chemprop-model FILE]

Times the whole command, from the start of Python to the finished CSV, and checks the output: as many rows out as in,
in the same order, and a reason in each row that RDKit refuses. With ``--chemprop`` the two programs take turns;
chemprop gets only the rows that RDKit accepts, for it ends at the first other one. Appends to predict.csv.
"""

import csv
import datetime as dt
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from gatlib.data.files import data_dir as chosen_data_dir
from gatlib.data.tables import open_table
from gatlib.experiments.results import commit
from gatlib.training.run_folder import library_versions, one_line

HERE = Path(__file__).parent


def main(
    data_dir: Annotated[Path | None, typer.Option(help="Folder of the data files.")] = None,
    rounds: Annotated[int, typer.Option(help="Rounds; medians count.")] = 5,
    chemprop: Annotated[str | None, typer.Option(help="chemprop's executable, to compare with.")] = None,
    chemprop_model: Annotated[Path | None, typer.Option(help="A chemprop checkpoint for the Tox21 tasks.")] = None,
) -> None:
    source = chosen_data_dir(data_dir) / "molecules" / "HIV.csv.gz"
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        output, accepted = folder / "gatlib.csv", folder / "accepted.csv"
        ours = [sys.executable, "-m", "gatlib.cli.main", "predict", "-i", str(source), "-o", str(output)]
        theirs = [
            str(chemprop), "predict", "-i", str(accepted), "-s", "smiles", "--model-paths", str(chemprop_model),
            "-o", str(folder / "chemprop.csv"), "--accelerator", "cpu",
        ]  # fmt: skip
        seconds: dict[str, list[float]] = {"gatlib": [], **({"chemprop": []} if chemprop else {})}
        for number in range(rounds):
            seconds["gatlib"].append(wall_seconds(ours))
            if number == 0:
                rows, refused = check(source, output)
                write_accepted(output, accepted)
            if chemprop:
                seconds["chemprop"].append(wall_seconds(theirs))
    print(f"{rows} rows in, {rows} rows out, {refused} with a reason instead of a prediction")
    records = []
    for program, times in seconds.items():
        rate = rows / statistics.median(times)
        print(f"{program}: {rate:.0f} molecules per second (median of {rounds}: {statistics.median(times):.1f} s)")
        records.append(
            {
                "date": dt.date.today().isoformat(),
                "commit": commit(),
                "program": program,
                "rows": rows,
                "refused": refused if program == "gatlib" else "",
                "rounds": rounds,
                "seconds": round(statistics.median(times), 2),
                "molecules_per_second": round(rate),
                "device": f"{os.cpu_count()} CPU cores",
                "versions": one_line(library_versions()),
            }
        )
    path = HERE / "predict.csv"
    pd.DataFrame(records).to_csv(path, mode="a", header=not path.exists(), index=False)


def wall_seconds(command: list[str]) -> float:
    started = time.perf_counter()
    finished = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if finished.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{finished.stderr[-2000:]}")
    return time.perf_counter() - started


def check(source: Path, output: Path) -> tuple[int, int]:
    """Rows, and rows with a reason; ends the run when a row is lost, moved or changed."""
    with open_table(str(source)) as table, output.open(newline="") as file:
        expected = [row.cells for row in table.rows]
        header, *found = csv.reader(file)
    width = len(table.columns)
    if header[:width] != table.columns or [row[:width] for row in found] != expected:
        raise SystemExit("the output does not hold the input's rows in order: no speed is reported")
    if any(bool(row[-1]) == bool(row[width]) for row in found):
        raise SystemExit("a row has neither a prediction nor a reason, or both: no speed is reported")
    return len(found), sum(bool(row[-1]) for row in found)


def write_accepted(output: Path, accepted: Path) -> None:
    with output.open(newline="") as file, accepted.open("w", newline="") as target:
        writer = csv.writer(target)
        writer.writerow(["smiles"])
        writer.writerows([row["smiles"]] for row in csv.DictReader(file) if not row["error"])


if __name__ == "__main__":
    typer.run(main)
