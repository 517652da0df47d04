"""The layers against PyG's of the same name: time and peak extra memory of a training step on one large graph.

    python experiments/speed/edge_attention.py

100,000 nodes, 1,000,000 edges in random order, 64 channels in, 8 heads of 16 channels, forward and backward, float32.
First the outputs must agree with PyG's; then the two take turns in one process and the figure is the median of the
ratios of the rounds; the peak is the rise of the resident memory of a fresh process. Appends to edge_attention.csv.
"""

import datetime as dt
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import pandas as pd
import torch
import torch_geometric.nn as pyg
import typer
from torch import Tensor, nn

import gatlib.nn
from gatlib.training.fit import library_versions
from gatlib.training.results import commit

HERE = Path(__file__).parent
LAYERS = ("GATConv", "GATv2Conv", "TransformerConv")
NODES, EDGES, IN_CHANNELS, HEADS, CHANNELS = 100_000, 1_000_000, 64, 8, 16
PACKAGES = {"gatlib": gatlib.nn, "pyg": pyg}


def main(
    rounds: Annotated[int, typer.Option(help="Rounds; medians count.")] = 7,
    memory_of: Annotated[str | None, typer.Option(help="Only print the peak of this layer, as package.layer.")] = None,
) -> None:
    if memory_of is not None:
        print(peak_megabytes(*memory_of.split(".")))
        return
    x, edge_index = graph()
    rows = []
    for name in LAYERS:
        ours, theirs = layer("gatlib", name), layer("pyg", name)
        theirs.load_state_dict(ours.state_dict())
        difference = (ours(x, edge_index) - theirs(x, edge_index)).abs().max() / theirs(x, edge_index).abs().max()
        if difference > 1e-5:
            raise SystemExit(f"{name} differs from PyG's by {difference:.1e}: no speed is reported")
        times = [(seconds(ours, x, edge_index), seconds(theirs, x, edge_index)) for _ in range(rounds)]
        peaks = {package: measured_peak(package, name) for package in PACKAGES}
        row = {
            "date": dt.date.today().isoformat(),
            "commit": commit(),
            "layer": name,
            "times_faster_than_pyg": round(statistics.median(peer / own for own, peer in times), 2),
            "peak_mb": round(peaks["gatlib"]),
            "pyg_peak_mb": round(peaks["pyg"]),
            "rounds": rounds,
            "device": f"{os.cpu_count()} CPU cores, {torch.get_num_threads()} threads",
            "versions": " ".join(f"{package}={version}" for package, version in library_versions().items()),
        }
        print({key: row[key] for key in ("layer", "times_faster_than_pyg", "peak_mb", "pyg_peak_mb")})
        rows.append(row)
    path = HERE / "edge_attention.csv"
    pd.DataFrame(rows).to_csv(path, mode="a", header=not path.exists(), index=False)


def graph() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(NODES, IN_CHANNELS), torch.randint(NODES, (2, EDGES))


def layer(package: str, name: str) -> nn.Module:
    torch.manual_seed(0)
    options = {} if name == "TransformerConv" else {"add_self_loops": False}
    return getattr(PACKAGES[package], name)(IN_CHANNELS, CHANNELS, HEADS, **options)


def seconds(conv: nn.Module, x: Tensor, edge_index: Tensor) -> float:
    started = time.perf_counter()
    conv(x, edge_index).square().sum().backward()
    return time.perf_counter() - started


def measured_peak(package: str, name: str) -> float:
    command = [sys.executable, __file__, "--memory-of", f"{package}.{name}"]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def peak_megabytes(package: str, name: str) -> float:
    x, edge_index = graph()
    conv = layer(package, name)
    before = high_water_mark()
    seconds(conv, x, edge_index)
    return high_water_mark() - before


def high_water_mark() -> float:
    """Megabytes. Not getrusage's, which a process takes over from the one that started it."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    typer.run(main)
