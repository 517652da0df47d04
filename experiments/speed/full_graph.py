"""A whole training, three GATv2 layers on one big graph, against the same network with PyG's layers: time and memory.

    python experiments/speed/full_graph.py [--graph NAME] [--rounds N]
    python experiments/speed/full_graph.py --small      # little graphs, to see that it runs; saves nothing

`gatlib.models.NodeAttentionNetwork`, 8 heads of 8 channels, residuals, layer norm and dropout, float32, as many threads
as PyTorch takes by itself. In the peers nothing but the attention layers differs: `torch_geometric.nn.GATv2Conv`, as it
is and with the whole network compiled. An epoch is one step of Adam on the whole graph, without validation.

- facebook: Facebook page-page, 22,470 nodes, 4,714 features of which 14 per node are not zero. gatlib takes them as a
  sparse matrix; PyG's layers are for dense ones. A further peer has PyG's attention behind gatlib's sparse products.
- social: 1,000,000 nodes, 20,000,000 edges drawn by a power law, 64 dense features.

First the losses of three epochs, and the outputs after them, must agree: otherwise no speed is reported. On facebook
all take turns in one process: a figure is the median, over the rounds, of the ratio peer / gatlib in the same round.
On social each contender is alone in its process, which is ended when it passes 21 GB, for three rounds, and what they
learn is compared on 2,000 nodes.

Memory is what two epochs take at their peak in a fresh process, with a copy of the graph and of its features as the
contender needs them, after a warm-up.

Appends to full_graph.csv. Linux.
"""

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from edge_attention import BIG_ROUNDS, Reports, comparisons, described_run, print_comparisons
from full_graph_alone import measured_alone
from full_graph_networks import (
    GRAPHS,
    SOCIAL,
    Problem,
    check_agreement,
    contenders,
    epoch_of,
    load_problem,
    network_of,
    own_copy,
)
from timing import take_turns

from gatlib.errors import InputError

TABLE = Path(__file__).with_suffix(".csv")


def main(
    graph: Annotated[list[str] | None, typer.Option(help=f"Of {', '.join(GRAPHS)}; repeat for both.")] = None,
    rounds: Annotated[int, typer.Option(help="Rounds; the median counts.", min=1)] = 5,
    small: Annotated[bool, typer.Option(help="Little graphs; saves nothing.")] = False,
) -> None:
    names = graph or list(GRAPHS)
    if unknown := [name for name in names if name not in GRAPHS]:
        raise SystemExit(f"{', '.join(unknown)}: not one of {', '.join(GRAPHS)}")
    run = described_run("cpu")
    for name in names:
        try:
            problem = load_problem(name, small or name == SOCIAL)
        except InputError as error:
            print(f"{name}: skipped, {error}")
            continue
        networks = {who: network_of(who, problem) for who in contenders(problem)}
        print(f"{name}: all within {check_agreement(problem, networks):.0e} of PyG's")
        reports = measured_apart(problem, small) if name == SOCIAL else measured_in_turns(name, problem, rounds, small)
        if name == SOCIAL and not small:
            problem = load_problem(name)
        size = {"graph": name, "nodes": len(problem.y), "edges": problem.edge_index.size(1)}
        rows = [{**size, **row} for row in comparisons(reports)]
        print_comparisons([{**row, "layer": "3 x GATv2Conv", "edge_dim": 0} for row in rows], with_milliseconds=True)
        if not small:
            table = pd.DataFrame([{**run[0], **row, **run[1]} for row in rows])
            table.to_csv(TABLE, mode="a", header=not TABLE.exists(), index=False)


def measured_in_turns(name: str, problem: Problem, rounds: int, small: bool) -> Reports:
    epochs = {who: epoch_of(network_of(who, problem).train(), own_copy(who, problem)) for who in contenders(problem)}
    seconds = take_turns(epochs, rounds)
    reports = {who: {"seconds": times, "note": ""} for who, times in seconds.items()}
    for who in reports:
        alone = measured_alone(who, name, rounds=0, small=small)
        reports[who] |= {key: alone[key] for key in ("peak_mb", "note") if key in alone}
    return {"train": reports}


def measured_apart(problem: Problem, small: bool) -> Reports:
    """Each contender in a process of its own, where it may die."""
    reports = {who: measured_alone(who, SOCIAL, BIG_ROUNDS, small) for who in contenders(problem)}
    for report in reports.values():
        report["note"] = report["note"] or f"whole process {report['process_mb'] / 1000:.1f} GB"
    return {"train": reports}


if __name__ == "__main__":
    typer.run(main)
