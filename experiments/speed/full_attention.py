"""Full attention within the graphs of a batch against every other way to compute the same: time and memory.

    python experiments/speed/full_attention.py [--batch NAME] [--rounds N]
    python experiments/speed/full_attention.py --small      # little batches, to see that it runs; saves nothing

`gatlib.nn.full_attention.FullAttention`, 64 channels in 4 heads, float32, as many threads as PyTorch takes by itself,
on batches (full_attention_batches.py)

- uneven: 250 molecules drawn from Tox21, and six chains of 100 atoms;
- tox21: 256 molecules drawn from Tox21;
- large: 8 graphs of 500 nodes and 64 of 30.

The other ways (full_attention_ways.py) are PyG's GPSConv, which pads all graphs to the largest for
`torch.nn.MultiheadAttention`, and `scaled_dot_product_attention`: padded likewise, one graph after the other, graphs of
equal size together, padded to the largest of eight buckets, and on nested tensors. Training is forward and backward of
a hidden layer, down to the gradient of x; inference is forward without gradients. First the outputs and all gradients
of all must agree: otherwise no speed is reported. What gatlib works out about a batch it works out anew in every call,
except in the row of a batch seen before, as later layers of a network see it. All take turns in one process: a figure
is the median, over the rounds, of the ratio peer / gatlib in the same round.

Memory is what a step takes above what was resident before it, in a fresh process for each way, after a warm-up; that
of a batch seen before leaves out what gatlib remembers of it.

Appends to full_attention.csv and draws full_attention.png. Linux.
"""

from pathlib import Path
from typing import Annotated

import matplotlib.pyplot as plt
import pandas as pd
import typer
from contenders import MODES, OURS
from edge_attention import Reports, comparisons, described_run
from full_attention_alone import measured_alone
from full_attention_batches import BATCHES, Nodes, load_batch
from full_attention_ways import Way, check_agreement, layer_of, step_of, ways_here
from timing import take_turns

from gatlib.errors import InputError

TABLE = Path(__file__).with_suffix(".csv")
COLOURS = {"infer": "#8fbfe6", "train": "#0b66b3"}
BAR = 0.8  # of the distance between two ways is covered by bars


def main(
    batch: Annotated[list[str] | None, typer.Option(help=f"Of {', '.join(BATCHES)}; repeat for several.")] = None,
    rounds: Annotated[int, typer.Option(help="Rounds; the median counts.", min=1)] = 7,
    small: Annotated[bool, typer.Option(help="Little batches; saves nothing.")] = False,
) -> None:
    names = batch or list(BATCHES)
    if unknown := [name for name in names if name not in BATCHES]:
        raise SystemExit(f"{', '.join(unknown)}: not one of {', '.join(BATCHES)}")
    ways, run = ways_here(), described_run("cpu")
    for name in names:
        try:
            nodes = load_batch(name, small)
        except InputError as error:
            print(f"{name}: skipped, {error}")
            continue
        sizes = nodes.batch.bincount()
        size = {"graphs": len(sizes), "nodes": int(sizes.sum()), "pairs": int((sizes * sizes).sum())}
        print(f"{name}: {', '.join(f'{count:,} {what}' for what, count in size.items())}")
        print(f"{name}: all within {check_agreement(ways, nodes):.0e} of float64")
        rows = comparisons(measured(name, ways, nodes, rounds, small))
        print_comparisons(name, rows)
        if not small:
            table = pd.DataFrame([{**run[0], "batch": name, **size, **row, **run[1]} for row in rows])
            table.to_csv(TABLE, mode="a", header=not TABLE.exists(), index=False)
    if not small:
        draw(TABLE)


def measured(name: str, ways: dict[str, Way], nodes: Nodes, rounds: int, small: bool) -> Reports:
    reports: Reports = {}
    for mode in MODES:
        seconds = take_turns({who: step_of(way, layer_of(who), nodes, mode) for who, way in ways.items()}, rounds)
        reports[mode] = {who: {"seconds": times} for who, times in seconds.items()}
    for who in ways:
        for mode, report in measured_alone(who, name, small).items():
            reports[mode][who] |= report
    return reports


def print_comparisons(name: str, rows: list[dict]) -> None:
    for row in rows:
        text = (
            f"{name} {row['mode']}, against {row['peer']}: {row['ratio_median']:.2f} times as fast "
            f"({row['ratio_q1']:.2f} to {row['ratio_q3']:.2f}), "
            f"{1e3 * row['seconds_median']:.2f} ms against {1e3 * row['peer_seconds_median']:.2f} ms"
        )
        if row["peak_mb"] is not None and row["peer_peak_mb"] is not None:
            text += f", {row['peak_mb']:.1f} MB against {row['peer_peak_mb']:.1f} MB"
        notes = [f"{who}: {note}" for who, note in ((OURS, row["note"]), (row["peer"], row["peer_note"])) if note]
        print("; ".join([text, *notes]))


def draw(table: Path) -> None:
    """Write the picture beside the CSV, of the same name, from the last row of each batch, mode and peer."""
    rows = pd.read_csv(table).drop_duplicates(["batch", "mode", "peer"], keep="last")
    names, peers = [name for name in BATCHES if name in set(rows["batch"])], list(rows["peer"].unique())
    ratio = rows.set_index(["batch", "mode", "peer"])["ratio_median"].sort_index()
    height = BAR / len(MODES)
    with plt.rc_context({"font.size": 10, "font.family": "DejaVu Sans", "axes.titlesize": 11}):
        figure, axes = plt.subplots(1, len(names), figsize=(11, 4.6), sharey=True, squeeze=False, facecolor="white")
        figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1)
        for axis, name in zip(axes[0], names, strict=True):
            for number, mode in enumerate(MODES):
                places = [place + (number - (len(MODES) - 1) / 2) * height for place in range(len(peers))]
                values = ratio[name, mode].reindex(peers)
                bars = axis.barh(places, values - 1, 0.92 * height, left=1, color=COLOURS[mode], label=mode)
                axis.bar_label(bars, [f"{value:.2f}×" for value in values], padding=2, fontsize=9)
            axis.set_xscale("log")  # on which twice and half as fast are bars of the same length
            axis.axvline(1, color="#555555", linewidth=0.8)
            axis.set_title(name, loc="left", fontweight="bold")
            axis.set_yticks(range(len(peers)), peers)
            axis.tick_params(length=0)
            axis.xaxis.set_visible(False)
            axis.spines[:].set_visible(False)
            axis.margins(x=0.3)  # room for the figures
        axes[0, 0].invert_yaxis()
        figure.legend(*axes[0, 0].get_legend_handles_labels(), frameon=False, loc="outside upper right", ncols=2)
        figure.suptitle("Full attention: time of the other ways / time of gatlib", x=0.01, ha="left", fontsize=12)
        figure.supxlabel(f"64 channels in 4 heads, float32, {rows['device'].iloc[-1]}", fontsize=9, color="#555555")
        figure.savefig(table.with_suffix(".png"), dpi=150, facecolor="white")
        plt.close(figure)
    print(f"drawn: {table.with_suffix('.png').name}")


if __name__ == "__main__":
    typer.run(main)
