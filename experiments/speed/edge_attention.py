"""The layers against PyG's of the same name, as they are and compiled, and DGL's: time and memory on several graphs.

    python experiments/speed/edge_attention.py [--graph NAME] [--layer NAME] [--rounds N] [--device DEVICE]
    python experiments/speed/edge_attention.py --small      # little graphs, to see that it runs; saves nothing
    python experiments/speed/edge_attention.py --picture    # only edge_attention.png, from the CSV

64 channels in, 8 heads of 16 channels, float32, no self-loops added, as many threads as PyTorch takes by itself.
Training is forward and backward of a hidden layer, down to the gradient of x; inference is forward without gradients;
each also with 16 edge features. First the outputs and all gradients must agree with PyG's in float64: otherwise no
speed is reported. Then the contenders take turns in one process: a figure is the median, over the rounds, of the ratio
peer / gatlib in the same round. Seconds are recorded, but on a CPU that others use only the ratios mean something.

Memory on a CPU is what a step takes above what was resident before it, in a fresh process for each contender, after a
warm-up on other edges: what sorting the edges takes is in gatlib's. On the small graphs it would not show. On the big
graph nobody takes turns: each contender is alone in its process, which is ended when it passes 21 GB, for three rounds.
On a GPU memory is PyTorch's own count.

Appends to edge_attention.csv, first_call.csv (a graph that was not seen before, whose edges gatlib has to sort, against
the next call) and floor.csv (how far from what memory allows, see bandwidth.py).
"""

import datetime as dt
import math
import os
import statistics
from pathlib import Path
from typing import Annotated

import pandas as pd
import torch
import typer
from alone import measured_alone
from bandwidth import floor_rows
from contenders import (
    CONTENDERS,
    DGL,
    EAGER,
    EDGE_DIM,
    LAYERS,
    MODES,
    OURS,
    check_agreement,
    clear_gradients,
    contender,
    contenders,
    import_dgl,
    step_of,
)
from graphs import GRAPHS, Graph, load_graph, with_edge_features
from picture import draw
from timing import ROUND_SECONDS, quartiles, ratios, seconds_of, take_turns
from torch import nn

from gatlib.errors import InputError
from gatlib.experiments.results import commit
from gatlib.training.run_folder import library_versions, one_line

HERE = Path(__file__).parent
TABLE = HERE / "edge_attention.csv"
MEMORY_SEEN = ("uniform", "power-law", "facebook")  # large enough for the memory of a process to show a step
BEYOND_MEMORY = ("big", "reddit-like")  # where PyG may not fit: agreement is checked on 1,000 of the nodes
BIG_ROUNDS = 3


def main(
    graph: Annotated[list[str] | None, typer.Option(help=f"Of {', '.join(GRAPHS)}; repeat for several.")] = None,
    layer: Annotated[list[str] | None, typer.Option(help=f"Of {', '.join(LAYERS)}; repeat for several.")] = None,
    rounds: Annotated[int, typer.Option(help="Rounds; the median counts.", min=1)] = 7,
    device: Annotated[str, typer.Option(help="Default: cuda where there is a GPU, else cpu.")] = "",
    small: Annotated[bool, typer.Option(help="Little graphs; saves nothing.")] = False,
    picture: Annotated[bool, typer.Option(help="Only draw the picture from the CSV.")] = False,
    floor: Annotated[bool, typer.Option(help="Only hold the layers against the floor of memory.")] = False,
) -> None:
    if picture:
        draw(TABLE)
        return
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    names = graph or [name for name in GRAPHS if device != "cpu" or name != "reddit-like"]
    layers = layer or list(LAYERS)
    for given, known in ((names, GRAPHS), (layers, LAYERS)):
        if unknown := [name for name in given if name not in known]:
            raise SystemExit(f"{', '.join(unknown)}: not one of {', '.join(known)}")
    if import_dgl() is None:
        print(f"{DGL}: not importable, left out")
    run = described_run(device)

    def save(file: str, rows: list[dict]) -> None:
        if not small:
            path = HERE / file
            table = pd.DataFrame([{**run[0], **row, **run[1]} for row in rows])
            table.to_csv(path, mode="a", header=not path.exists(), index=False)

    for name in names:
        try:
            plain = load_graph(name, small, device)
        except InputError as error:
            print(f"{name}: skipped, {error}")
            continue
        size = {"graph": name, "nodes": plain.x.size(0), "edges": plain.edge_index.size(1)}
        if floor:
            save("floor.csv", [{**size, **row} for row in held_against_floor(layers, plain, rounds)])
            continue
        highest = int(plain.edge_index[1].bincount().max())
        print(f"{name}: {size['nodes']:,} nodes, {size['edges']:,} edges, at most {highest:,} into one node")
        for layer_name in layers:
            for edge_dim in (0, EDGE_DIM):
                if device == "cpu" and name in BEYOND_MEMORY:
                    reports = measured_apart(name, layer_name, edge_dim, plain, small)
                else:
                    reports = measured_in_turns(name, layer_name, edge_dim, plain, rounds, small)
                rows = [{**size, "layer": layer_name, "edge_dim": edge_dim, **row} for row in comparisons(reports)]
                print_comparisons(rows, with_milliseconds=device != "cpu")
                save(TABLE.name, rows)
            if name not in BEYOND_MEMORY:
                row = first_call(layer_name, plain, rounds)
                print(f"{layer_name}, edges not seen before: {row['first_to_next_median']} times the next call")
                save("first_call.csv", [{**size, "layer": layer_name, **row}])
        if name == "uniform":
            save("floor.csv", [{**size, **row} for row in held_against_floor(layers, plain, rounds)])
    if not small and not floor:
        draw(TABLE)


def held_against_floor(layers: list[str], graph: Graph, rounds: int) -> list[dict]:
    rows = floor_rows(layers, graph, rounds)
    for row in rows:
        print(f"{row['layer']} {row['mode']}: {row['times_floor_median']} times the floor of memory")
    return rows


def described_run(device: str) -> tuple[dict, dict]:
    """The first and the last columns of every row."""
    versions = library_versions()
    if dgl := import_dgl():
        versions["dgl"] = dgl.__version__
    return {"date": dt.date.today().isoformat(), "commit": commit()}, {
        "threads": torch.get_num_threads(),
        "device": f"{os.cpu_count()} CPU cores" if device == "cpu" else torch.cuda.get_device_name(),
        "versions": one_line(versions),
    }


# What was measured: mode -> contender -> seconds of every round, peak_mb, and a note if there is something to say.
Reports = dict[str, dict[str, dict]]


def measured_in_turns(name: str, layer: str, edge_dim: int, graph: Graph, rounds: int, small: bool) -> Reports:
    device = graph.x.device.type
    graph = with_edge_features(graph, edge_dim)
    modules = contenders(layer, edge_dim, device)
    sample = name in BEYOND_MEMORY
    agree(layer, edge_dim, {OURS: modules[OURS]} if sample else modules, graph, sample)
    reports: Reports = {}
    for mode in MODES:
        seconds = take_turns({who: step_of(module, graph, mode) for who, module in modules.items()}, rounds)
        reports[mode] = {who: {"seconds": [], "note": "out of memory"} for who in modules}
        reports[mode] |= {who: {"seconds": times, "note": ""} for who, times in seconds.items()}
        for who in seconds if device == "cuda" else ():
            reports[mode][who]["peak_mb"] = gpu_peak_megabytes(modules[who], graph, mode)
    if device == "cpu" and name in MEMORY_SEEN:
        for who in modules:
            alone = measured_alone(who, layer, name, edge_dim, rounds=0, small=small)
            for mode in MODES:
                reports[mode][who] |= {key: alone[mode][key] for key in ("peak_mb", "note") if key in alone[mode]}
    return reports


def measured_apart(name: str, layer: str, edge_dim: int, graph: Graph, small: bool) -> Reports:
    """Each contender in a process of its own, where it may die."""
    there_is = [who for who in CONTENDERS if contender(who, layer, edge_dim, "cpu") is not None]
    # On a copy, so that the memory of what is remembered about it is free again for the processes.
    copy = with_edge_features(graph._replace(edge_index=graph.edge_index.clone()), edge_dim)
    agree(layer, edge_dim, {OURS: contender(OURS, layer, edge_dim, "cpu")}, copy, sample=True)
    del copy
    alone = {who: measured_alone(who, layer, name, edge_dim, BIG_ROUNDS, small) for who in there_is}
    for reports in alone.values():
        for report in reports.values():
            report["note"] = report["note"] or f"whole process {report['process_mb'] / 1000:.1f} GB"
    return {mode: {who: alone[who][mode] for who in there_is} for mode in MODES}


def agree(layer: str, edge_dim: int, modules: dict[str, nn.Module], graph: Graph, sample: bool) -> None:
    difference = check_agreement(layer, edge_dim, modules, graph, sample)
    print(f"{layer}, {edge_dim} edge features: within {difference:.0e} of PyG's in float64")


def gpu_peak_megabytes(module: nn.Module, graph: Graph, mode: str) -> float:
    """On edges that were not seen before, as on a CPU."""
    fresh = graph._replace(edge_index=graph.edge_index.clone())
    clear_gradients(module, fresh)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    step_of(module, fresh, mode)()
    return (torch.cuda.max_memory_allocated() - before) / 1e6


def comparisons(reports: Reports) -> list[dict]:
    """One row for each mode and peer."""
    rows = []
    for mode, by_contender in reports.items():
        ours = by_contender[OURS]
        for peer, theirs in by_contender.items():
            if peer == OURS:
                continue
            figures = (None, None, None)
            if ours["seconds"] and theirs["seconds"]:
                figures = quartiles(ratios(theirs["seconds"], ours["seconds"]))
            rows.append(
                {
                    "mode": mode,
                    "peer": peer,
                    "ratio_median": rounded(figures[0], 3),
                    "ratio_q1": rounded(figures[1], 3),
                    "ratio_q3": rounded(figures[2], 3),
                    "rounds": len(ours["seconds"]),
                    "peak_mb": rounded(ours.get("peak_mb"), 1),
                    "peer_peak_mb": rounded(theirs.get("peak_mb"), 1),
                    "seconds_median": rounded(middle(ours["seconds"]), 6),
                    "peer_seconds_median": rounded(middle(theirs["seconds"]), 6),
                    "note": ours["note"],
                    "peer_note": theirs["note"],
                }
            )
    return rows


def print_comparisons(rows: list[dict], with_milliseconds: bool) -> None:
    for row in rows:
        text = f"{row['graph']} {row['layer']} {row['mode']}, {row['edge_dim']} edge features, against {row['peer']}: "
        if row["ratio_median"] is not None:
            text += f"{row['ratio_median']:.2f} times as fast ({row['ratio_q1']:.2f} to {row['ratio_q3']:.2f})"
        if row["peak_mb"] is not None and row["peer_peak_mb"] is not None:
            text += f", {row['peak_mb']:.0f} MB against {row['peer_peak_mb']:.0f} MB"
        if with_milliseconds and row["ratio_median"] is not None:
            text += f", {row['seconds_median'] * 1e3:.2f} ms against {row['peer_seconds_median'] * 1e3:.2f} ms"
        notes = [f"{who}: {note}" for who, note in ((OURS, row["note"]), (row["peer"], row["peer_note"])) if note]
        print("; ".join([text, *notes]))


def first_call(layer: str, graph: Graph, rounds: int) -> dict:
    """A training step on edges that gatlib has to sort first, against the next on the same edges, and PyG's."""
    device = graph.x.device.type
    modules = {who: contender(who, layer, 0, device) for who in (OURS, EAGER)}
    warm = {who: step_of(module, graph, "train") for who, module in modules.items()}
    repeats = max(1, math.ceil(ROUND_SECONDS / min(take_turns(warm, 1)[OURS])))
    first, following, pyg = [], [], []
    for _ in range(rounds):
        copies = [graph._replace(edge_index=graph.edge_index.clone()) for _ in range(repeats)]
        steps = {who: [step_of(module, copy, "train") for copy in copies] for who, module in modules.items()}
        for seconds, who in ((first, OURS), (following, OURS), (pyg, EAGER)):
            seconds.append(seconds_of(lambda steps=steps[who]: [step() for step in steps]) / repeats)
    to_next, to_pyg = quartiles(ratios(first, following)), quartiles(ratios(pyg, first))
    return {
        "first_to_next_median": rounded(to_next[0], 3),
        "first_to_next_q1": rounded(to_next[1], 3),
        "first_to_next_q3": rounded(to_next[2], 3),
        "pyg_to_first_median": rounded(to_pyg[0], 3),
        "rounds": rounds,
        "first_seconds_median": rounded(middle(first), 6),
        "next_seconds_median": rounded(middle(following), 6),
    }


def middle(values: list[float]) -> float | None:
    return statistics.median(values) if values else None


def rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


if __name__ == "__main__":
    typer.run(main)
