"""A training step of each layer now and at an earlier commit, on graphs seen before and on new ones.

    python experiments/speed/commits.py 51837da

Each of the two runs in a process of its own, and both take turns. The figure is the median of the ratios of the
rounds, in CPU time of one thread: above 1, this commit takes longer. Appends to commits.csv.
"""

import datetime as dt
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from gatlib.experiments.results import commit

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LAYERS = ("GATConv", "GATv2Conv", "TransformerConv", "FullAttention")
#: Nodes and edges; of molecules 512 graphs of 23 atoms. None for full attention: it has no edges.
GRAPHS = {"uniform": (100_000, 1_000_000), "molecules": (512 * 23, 512 * 48), "molecule": (30, 64)}


def main(
    base: Annotated[str, typer.Argument(help="The earlier commit.")],
    rounds: Annotated[int, typer.Option(help="Rounds; the median counts.")] = 15,
    graph: Annotated[list[str], typer.Option(help="Of: " + ", ".join(GRAPHS))] = list(GRAPHS),  # noqa: B006
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", folder, base], cwd=ROOT, check=True)
        try:
            for name in graph:
                for layer in LAYERS:
                    for new in (False, True):
                        if layer != "FullAttention" or name == "molecules":
                            _compare(Path(folder), base, name, layer, new, rounds)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", folder], cwd=ROOT, check=True)


def _compare(folder: Path, base: str, graph: str, layer: str, new: bool, rounds: int) -> None:
    workers = [_worker(path, graph, layer, new) for path in (folder, ROOT)]
    times = np.array([[_step(worker) for worker in workers] for _ in range(rounds + 3)])[3:]
    for worker in workers:
        worker.communicate("")
    ratios = times[:, 1] / times[:, 0]
    low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75]).round(3)
    edges, milliseconds = "new" if new else "seen before", 1e3 * float(np.median(times[:, 0]))
    print(f"{graph}, {layer}, {edges}: {middle} ({low} to {high}), {milliseconds:.1f} ms before")
    row = {
        "date": dt.date.today().isoformat(),
        "commit": commit(),
        "base": base,
        "graph": graph,
        "layer": layer,
        "edges": edges,
        "rounds": rounds,
        "ratio": middle,
        "lower_quartile": low,
        "upper_quartile": high,
        "base_ms": round(milliseconds, 2),
    }
    path = HERE / "commits.csv"
    pd.DataFrame([row]).to_csv(path, mode="a", header=not path.exists(), index=False)


def _worker(folder: Path, graph: str, layer: str, new: bool) -> subprocess.Popen[str]:
    settings_of_step = (*map(str, GRAPHS[graph]), layer, "new" if new else "seen")
    command = [sys.executable, str(HERE / "commits_worker.py"), *settings_of_step]
    settings = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=settings, cwd=folder)


def _step(worker: subprocess.Popen[str]) -> float:
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write("step\n")
    worker.stdin.flush()
    return float(worker.stdout.readline())


if __name__ == "__main__":
    typer.run(main)
