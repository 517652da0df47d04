"""The peak memory of one way to compute full attention, alone in a fresh process.

Started by full_attention.py; prints one line of JSON for each mode.
"""

import json
import sys
from typing import Annotated

import typer
from alone import LIMIT_GB
from contenders import MODES
from full_attention_batches import load_batch, nodes_of
from full_attention_ways import WAYS, clear_gradients, layer_of, step_of
from peak_memory import die_first, peak_megabytes, run_guarded


def measured_alone(who: str, batch: str, small: bool) -> dict[str, dict]:
    """What `main` prints, by mode; a mode that the process did not live to see has a note of the reason instead."""
    command = [sys.executable, __file__, who, batch]
    lines, problem = run_guarded([*command, "--small"] if small else command, LIMIT_GB)
    reports = {mode: {"note": problem or "no report"} for mode in MODES}
    for line in lines:
        if line.startswith("{"):
            report = json.loads(line)
            reports[report["mode"]] = {"peak_mb": report["peak_mb"], "note": ""}
    return reports


def main(
    who: str,
    batch_name: str,
    small: Annotated[bool, typer.Option(help="A little batch.")] = False,
) -> None:
    die_first()
    nodes, layer = load_batch(batch_name, small), layer_of(who)
    for mode in MODES:

        def warm_up(may_take_memory: bool, mode: str = mode) -> None:
            # On the same batch, about which gatlib then remembers what it worked out, if the way is to know it.
            warm = nodes if may_take_memory else nodes_of([2, 3])
            step_of(WAYS[who], layer, warm, mode)()
            clear_gradients(layer, warm)

        peak = peak_megabytes(step_of(WAYS[who], layer, nodes, mode), warm_up)
        print(json.dumps({"mode": mode, "peak_mb": peak}), flush=True)


if __name__ == "__main__":
    typer.run(main)
