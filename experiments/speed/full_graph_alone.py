"""One contender of the benchmark of whole trainings alone in a fresh process: its peak memory and its time.

Started by full_graph.py; prints a line of JSON.
"""

import json
import sys
from typing import Annotated

import typer
from alone import LIMIT_GB
from full_graph_networks import SOCIAL, epoch_of, load_problem, network_of, own_copy
from peak_memory import die_first, peak_megabytes, resident_megabytes, run_guarded
from timing import seconds_of

EPOCHS = 2  # the second has the state of the optimiser from the beginning


def measured_alone(who: str, graph: str, rounds: int, small: bool) -> dict:
    """What `main` prints, or a note of the reason why it did not live to do so."""
    command = [sys.executable, __file__, who, graph, "--rounds", str(rounds)]
    lines, problem = run_guarded([*command, "--small"] if small else command, LIMIT_GB)
    for line in lines:
        if line.startswith("{"):
            return {**json.loads(line), "note": ""}
    return {"seconds": [], "note": problem or "no report"}


def main(
    who: str,
    graph: str,
    rounds: Annotated[int, typer.Option(help="Epochs to time after those whose memory counts.")] = 0,
    small: Annotated[bool, typer.Option(help="A little graph.")] = False,
) -> None:
    die_first()
    problem = load_problem(graph, small)
    network = network_of(who, problem).train()

    def train() -> None:
        # The features in the form that the contender needs, and what gatlib keeps of the edges, count as well.
        epoch = epoch_of(network, own_copy(who, problem))
        for _ in range(EPOCHS):
            epoch()

    def warm_up(may_take_memory: bool) -> None:
        if may_take_memory:
            train()
        else:
            tiny = load_problem(SOCIAL, small=True)
            epoch_of(network_of(who, tiny), tiny)()

    peak = peak_megabytes(train, warm_up)
    epoch = epoch_of(network, own_copy(who, problem))
    seconds = [seconds_of(epoch) for _ in range(rounds + 1)][1:]  # the first sorts the edges
    process = resident_megabytes("VmHWM")
    print(json.dumps({"peak_mb": peak, "process_mb": process, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    typer.run(main)
