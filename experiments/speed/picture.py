"""The picture of the README: how much faster and how much smaller a training step is, on the uniform graph."""

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from contenders import COMPILED, EAGER, LAYERS, OURS
from matplotlib.axes import Axes

NAMES = {OURS: "gatlib", COMPILED: "PyG compiled", EAGER: "PyG eager"}
# What is gatlib's is blue.
SPEED_COLOURS = {COMPILED: "#0b66b3", EAGER: "#8fbfe6"}
MEMORY_COLOURS = {OURS: "#0b66b3", COMPILED: "#7a8793", EAGER: "#c3cad1"}
BAR = 0.8  # of the distance between two layers is covered by bars


def draw(table: Path) -> None:
    """Write the picture beside the CSV, of the same name, from the last rows of a CPU."""
    rows = training_rows(table)
    if rows is None:
        print(f"no picture: {table.name} has no training steps of all layers on the uniform graph yet")
        return
    speed = {peer: rows["ratio_median"].xs(peer, level="peer") for peer in (COMPILED, EAGER)}
    memory = {OURS: rows["peak_mb"].xs(EAGER, level="peer")}
    memory |= {peer: rows["peer_peak_mb"].xs(peer, level="peer") for peer in (COMPILED, EAGER)}

    with plt.rc_context({"font.size": 11, "font.family": "DejaVu Sans", "axes.titlesize": 12}):
        figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), facecolor="white")
        figure.set_layout_engine("constrained", w_pad=0.15, h_pad=0.1)
        _bars(left, {NAMES[peer]: (SPEED_COLOURS[peer], speed[peer]) for peer in speed}, "{:.1f}×")
        left.set_title("Training speed of gatlib, times that of", loc="left", fontweight="bold")
        _bars(right, {NAMES[who]: (MEMORY_COLOURS[who], memory[who]) for who in memory}, "{:,.0f}")
        right.set_title("Training: peak extra memory, MB", loc="left", fontweight="bold")
        nodes, edges = rows["nodes"].iloc[0], rows["edges"].iloc[0]
        figure.supxlabel(
            f"{nodes:,} nodes, {edges:,} edges, 64 channels in, 8 heads of 16, float32, {rows['device'].iloc[0]}",
            fontsize=9,
            color="#555555",
        )
        figure.savefig(table.with_suffix(".png"), dpi=150, facecolor="white")
        plt.close(figure)
    print(f"drawn: {table.with_suffix('.png').name}")


def training_rows(table: Path) -> pd.DataFrame | None:
    """The last row for each layer and peer, or None where one is missing."""
    if not table.exists():
        return None
    rows = pd.read_csv(table)
    rows = rows[(rows["graph"] == "uniform") & (rows["mode"] == "train") & (rows["edge_dim"] == 0)]
    rows = rows[rows["device"].str.contains("CPU") & rows["peer"].isin([COMPILED, EAGER])]
    rows = rows.drop_duplicates(["layer", "peer"], keep="last").set_index(["layer", "peer"])
    wanted = pd.MultiIndex.from_product([LAYERS, (COMPILED, EAGER)], names=["layer", "peer"])
    complete = wanted.isin(rows.index).all()
    figures = ["ratio_median", "peak_mb", "peer_peak_mb"]
    return rows.loc[wanted] if complete and rows.loc[wanted, figures].notna().all(axis=None) else None


def _bars(axes: Axes, series: dict[str, tuple[str, pd.Series]], label: str) -> None:
    """A group of bars for each layer, every bar with its figure on top."""
    width = BAR / len(series)
    for number, (name, (colour, values)) in enumerate(series.items()):
        places = [layer + (number - (len(series) - 1) / 2) * width for layer in range(len(LAYERS))]
        bars = axes.bar(places, values.loc[list(LAYERS)], 0.92 * width, color=colour, label=name)
        axes.bar_label(bars, [label.format(value) for value in values.loc[list(LAYERS)]], padding=2, fontsize=10)
    axes.set_xticks(range(len(LAYERS)), LAYERS)
    axes.tick_params(length=0)
    axes.yaxis.set_visible(False)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.margins(y=0.22)  # room for the legend
    axes.legend(frameon=False, ncols=len(series), loc="upper left", fontsize=10, handlelength=1, columnspacing=1.2)
