"""Training on one big graph in several processes, each of which learns from batches of its own."""

import os
import time
import warnings
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.strategies import DDPStrategy
from torch import distributed, multiprocessing

from gatlib.errors import InputError
from gatlib.models import NodeAttentionNetwork
from gatlib.training.graph_fit import FittedGraph, run_epochs, take_best
from gatlib.training.graph_module import BestEpoch
from gatlib.training.node_module import NodeProblem, node_module
from gatlib.training.node_recipe import NodeRecipe
from gatlib.training.run_folder import STATE

_PATIENCE = timedelta(hours=12)  # while the first process scores the whole graph, the others wait
_STARTED_BY_TORCHRUN = "TORCHELASTIC_RUN_ID"


def check_alone() -> None:
    """Refuse to train where torchrun has started processes, each of which would write the same files.

    Raises:
        InputError: as it says.
    """
    if _STARTED_BY_TORCHRUN in os.environ:
        raise InputError(
            "torchrun starts the whole of gatlib several times: start it once, without torchrun, and devices in the "
            "recipe or --devices starts the processes that train"
        )


def fit_in_processes(
    network: NodeAttentionNetwork,
    problem: NodeProblem,
    recipe: NodeRecipe,
    folder: Path,
    callbacks: Sequence[lightning.Callback],
) -> FittedGraph:
    """What :func:`gatlib.training.graph_fit.fit_graph` does, by ``recipe.devices`` processes.

    It is Lightning's distributed data parallel training: every process has the whole network, and the gradients of
    their batches are averaged. The graph lies in a file, of which all processes see the same memory. The first process
    scores the epochs, writes the log and saves the run. A script that comes here must do its work under
    ``if __name__ == "__main__"``, as always with Python's multiprocessing.

    Args:
        network: gets the weights of the best epoch. Its own do not matter: those to begin with are those of the recipe.
        problem: the graph and its nodes.
        recipe: the settings.
        folder: where to write ``training_log.csv`` and the state of the run.
        callbacks: called in the first process after every epoch too.

    Raises:
        InputError: a process was ended from outside; the training diverged.
    """
    started = time.perf_counter()
    state = folder / STATE
    state.mkdir(parents=True, exist_ok=True)
    (state / "store").unlink(missing_ok=True)  # of a run that stopped
    torch.save(problem._asdict(), state / "graph.pt")
    threads = max(1, torch.get_num_threads() // recipe.devices)
    job = (recipe, folder, list(callbacks), threads)
    try:
        multiprocessing.spawn(_train, job, recipe.devices)
    except multiprocessing.ProcessExitedException as error:
        raise InputError(
            f"one of the {recipe.devices} processes was ended from outside ({error}): if memory ran out, set "
            "batch_nodes or devices to less"
        ) from None
    saved = torch.load(state / "last.ckpt", weights_only=True)
    best = BestEpoch(state / "last.ckpt", recipe.patience)
    best.load_state_dict(saved["callbacks"][best.state_key])
    epochs = saved["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
    return take_best(network, best, epochs, time.perf_counter() - started)


def _train(rank: int, recipe: NodeRecipe, folder: Path, callbacks: list[Any], threads: int) -> None:
    """One of the processes."""
    for message in ("Sparse CSR tensor support is in beta", "Grad strides do not match bucket view strides"):
        warnings.filterwarnings("ignore", message)
    torch.set_num_threads(threads)
    os.environ.update(LOCAL_RANK=str(rank), NODE_RANK="0")  # tells Lightning that the processes are there
    state = folder / STATE
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    store = distributed.FileStore(str(state / "store"), recipe.devices)
    distributed.init_process_group(backend, store=store, rank=rank, world_size=recipe.devices, timeout=_PATIENCE)
    problem = NodeProblem(**torch.load(state / "graph.pt", mmap=True, weights_only=True))
    # The graph is among the buffers, and it is the same for all.
    strategy = DDPStrategy(broadcast_buffers=False, process_group_backend=backend)
    try:
        run_epochs(node_module(problem, recipe), folder, callbacks if rank == 0 else [], strategy)
        distributed.barrier()
    except KeyboardInterrupt:  # of which the process that waits for this one tells
        pass
    # Without taking anything apart: in PyTorch 2.13 the model holds the interpreter's lock while it waits for gloo's
    # threads to end, and once in some hundred times one of them waits for that lock.
    os._exit(0)
