"""One contender of the layer benchmark alone in a fresh process: its peak memory and, on request, its time.

Started by edge_attention.py; prints one line of JSON for each mode.
"""

import json
import sys
from typing import Annotated

import torch
import typer
from contenders import MODES, clear_gradients, contender, step_of
from graphs import Graph, load_graph, uniform, with_edge_features
from peak_memory import die_first, peak_megabytes, resident_megabytes, run_guarded
from timing import seconds_of

LIMIT_GB = 21.0  # of resident memory, on a machine with 24 GB


def measured_alone(who: str, layer: str, graph: str, edge_dim: int, rounds: int, small: bool) -> dict[str, dict]:
    """What `main` prints, by mode; a mode that the process did not live to see has a note of the reason instead."""
    command = [sys.executable, __file__, who, layer, graph, str(edge_dim), "--rounds", str(rounds)]
    lines, problem = run_guarded([*command, "--small"] if small else command, LIMIT_GB)
    reports = {mode: {"seconds": [], "note": problem or "no report"} for mode in MODES}
    for line in lines:
        if line.startswith("{"):
            report = json.loads(line)
            reports[report["mode"]] = {**report, "note": ""}
    return reports


def main(
    who: str,
    layer: str,
    graph_name: str,
    edge_dim: int,
    rounds: Annotated[int, typer.Option(help="Steps to time after the one whose memory counts.")] = 0,
    small: Annotated[bool, typer.Option(help="A little graph.")] = False,
) -> None:
    die_first()
    graph = with_edge_features(load_graph(graph_name, small), edge_dim)
    module = contender(who, layer, edge_dim, "cpu")
    assert module is not None
    for mode in MODES:

        def warm_up(may_take_memory: bool, mode: str = mode) -> None:
            # A graph of its own even where it has the same edges, for gatlib remembers the order of a graph's edges:
            # what sorting takes and what it leaves behind counts as memory of the step.
            warm = graph._replace(edge_index=graph.edge_index.clone()) if may_take_memory else tiny_graph(edge_dim)
            step_of(module, warm, mode)()
            clear_gradients(module, warm)

        peak = peak_megabytes(step_of(module, graph, mode), warm_up)
        seconds = [seconds_of(step_of(module, graph, mode)) for _ in range(rounds)]
        process = resident_megabytes("VmHWM")
        print(json.dumps({"mode": mode, "peak_mb": peak, "process_mb": process, "seconds": seconds}), flush=True)


def tiny_graph(edge_dim: int) -> Graph:
    num_nodes, edge_index = uniform(100, 1000)
    x = torch.randn(num_nodes, 64, requires_grad=True)
    return with_edge_features(Graph(x, edge_index, None), edge_dim)


if __name__ == "__main__":
    typer.run(main)
