"""What the checks share: a small model, training on examples drawn anew at every step, result rows and pictures."""

import datetime as dt
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from gatlib.experiments.results import commit
from gatlib.training.run_folder import library_versions, one_line

HERE = Path(__file__).parent
TABLE = HERE / "results.csv"
COLUMNS = ["date", "commit", "check", "setting", "seed", "metric", "value", "versions"]
SEEDS = (0, 1, 2)
BLUE, LIGHT_BLUE, ORANGE, RED, GREY = "#0b66b3", "#8fbfe6", "#e08214", "#b2182b", "#7a8793"

# What a model is called with, and the class that each row of its logits should name.
Example = tuple[tuple[Tensor, ...], Tensor]
Draw = Callable[[torch.Generator], Example]
Row = tuple[str, int | None, str, float]  # setting, seed, metric, value


class GraphTransformer(nn.Module):
    """A linear map of the node features, blocks, and a readout at the nodes that are asked."""

    def __init__(self, in_channels: int, channels: int, num_classes: int, blocks: list[nn.Module]) -> None:
        super().__init__()
        self.embed = nn.Linear(in_channels, channels)
        self.blocks = nn.ModuleList(blocks)
        self.readout = nn.Sequential(nn.LayerNorm(channels), nn.Linear(channels, num_classes))

    def forward(self, x: Tensor, asked: Tensor, edge_index: Tensor, batch: Tensor) -> Tensor:
        x = self.embed(x)
        for block in self.blocks:
            x = block(x, edge_index, batch)
        return self.readout(x[asked])


def train(
    model: nn.Module,
    draw: Draw,
    *,
    steps: int,
    learning_rate: float,
    seed: int,
    watch: Callable[[int], None] | None = None,
) -> float:
    """Adam under a one-cycle schedule, with a new example at every step; returns the median seconds of a step.

    Args:
        model: Called with the inputs of an example, returns logits.
        draw: Makes an example.
        steps: How many.
        learning_rate: The highest.
        seed: Of the examples.
        watch: Called before every step and after the last, with the number of steps done.
    """
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps)
    seconds = []
    for step in range(steps):
        if watch is not None:
            watch(step)
        inputs, labels = draw(generator)
        started = time.perf_counter()
        loss = F.cross_entropy(model(*inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        seconds.append(time.perf_counter() - started)
    if watch is not None:
        watch(steps)
    return statistics.median(seconds)


@torch.no_grad()
def correct(model: nn.Module, example: Example) -> Tensor:
    """Which labels the model names, float."""
    inputs, labels = example
    return (model(*inputs).argmax(dim=-1) == labels).float()


def record(check: str, rows: list[Row]) -> None:
    """Add the rows of a finished check to results.csv."""
    table = pd.DataFrame(rows, columns=["setting", "seed", "metric", "value"])
    table["seed"] = table["seed"].astype("Int64")  # empty where nothing was drawn
    table["value"] = table["value"].map("{:.6g}".format)
    versions = one_line(library_versions())
    table = table.assign(date=dt.date.today().isoformat(), commit=commit(), check=check, versions=versions)
    table[COLUMNS].to_csv(TABLE, mode="a", header=not TABLE.exists(), index=False)


def over_seeds(rows: list[Row], metric: str) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation for every setting, in the order in which they came."""
    table = pd.DataFrame(rows, columns=["setting", "seed", "metric", "value"])
    groups = table[table["metric"] == metric].groupby("setting", sort=False)["value"]
    return {str(setting): (values.mean(), values.std(ddof=0)) for setting, values in groups}


def panels(row: str, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """A figure with panels side by side, a letter for each: "abb" makes the second twice as wide."""
    plt.rcParams.update({"font.size": 10, "axes.titlesize": 11, "axes.titlelocation": "left"})
    plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False})
    figure, axes = plt.subplot_mosaic(row, figsize=(width, height), layout="constrained")
    return figure, list(axes.values())


def save(figure: Figure, name: str) -> None:
    """Write NAME.png beside the scripts."""
    figure.savefig(HERE / f"{name}.png", dpi=150, facecolor="white")
    plt.close(figure)
    print(f"drawn: {name}.png")
