"""What every training on one big graph shares: what goes in, and the loop from the first epoch to the best one."""

import hashlib
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.strategies import DDPStrategy
from numpy.typing import NDArray
from torch import Tensor, distributed, nn

from gatlib.errors import InputError
from gatlib.models import NodeArchitecture
from gatlib.training.epoch_log import EpochLog, quiet_lightning
from gatlib.training.graph_module import BestEpoch, GraphTrainingModule
from gatlib.training.run_folder import STATE

_SEE_WEIGHTS = ("gat", "gatv2", "transformer")
AnyArchitecture = TypeVar("AnyArchitecture", bound=NodeArchitecture)


@dataclass(frozen=True)
class FittedGraph:
    """What :func:`fit_graph` gives back."""

    valid_score: float  # of the best epoch
    epochs: int
    seconds: float


def fit_graph(module: GraphTrainingModule, folder: Path, callbacks: Sequence[lightning.Callback]) -> FittedGraph:
    """Train; in the end ``module.network`` has the weights of the best epoch and is in evaluation mode on the CPU.

    A run that stopped goes on from ``folder/.training/last.ckpt``, with the same result as without the stop. That
    folder stays: who calls removes it when the model is written.

    Args:
        module: the network, the recipe and the graph.
        folder: where to write ``training_log.csv`` and the state of the run.
        callbacks: to be called after every epoch too, such as a progress bar.

    Raises:
        InputError: the training diverged.
    """
    started = time.perf_counter()
    best, epochs = run_epochs(module, folder, callbacks)
    return take_best(module.network, best, epochs, time.perf_counter() - started)


def run_epochs(
    module: GraphTrainingModule,
    folder: Path,
    callbacks: Sequence[lightning.Callback],
    strategy: DDPStrategy | None = None,
) -> tuple[BestEpoch, int]:
    """Train from where a run stopped, or from the beginning; the best epoch and the number of epochs.

    Args:
        module, folder, callbacks: as :func:`fit_graph` takes them.
        strategy: how this process works together with others; None where it is alone.
    """
    state = folder / STATE
    state.mkdir(parents=True, exist_ok=True)
    unfinished = state / "last.ckpt"
    best = BestEpoch(unfinished, module.recipe.patience)
    with quiet_lightning():
        trainer = lightning.Trainer(
            max_epochs=module.recipe.max_epochs,
            # The state of the run is saved last, when the others have done their part.
            callbacks=[EpochLog(folder / "training_log.csv"), *callbacks, best],
            devices=distributed.get_world_size() if strategy else 1,
            strategy=strategy or "auto",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=any(isinstance(callback, RichProgressBar) for callback in callbacks),
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
        )
        try:
            trainer.fit(module, ckpt_path=str(unfinished) if unfinished.exists() else None, weights_only=True)
        except SystemExit:  # what Lightning makes of Ctrl+C
            raise KeyboardInterrupt from None
    return best, trainer.current_epoch


def take_best(network: nn.Module, best: BestEpoch, epochs: int, seconds: float) -> FittedGraph:
    """Give a network the weights of the best epoch, or say that there is none.

    Raises:
        InputError: the training diverged.
    """
    if best.best is None:
        shutil.rmtree(best.path.parent)
        raise InputError("the training diverged, no epoch has a validation score: lower the learning_rate in a recipe")
    network.load_state_dict(best.weights)
    network.cpu().eval()
    return FittedGraph(best.best[0], epochs, seconds)


def check_finite(x: Tensor, edge_attr: Tensor | None) -> None:
    """Refuse features that would make a loss of NaN.

    Raises:
        InputError: a feature of a node or an edge is no finite number.
    """
    for name, features in (("node", x), ("edge", edge_attr)):
        if features is not None:
            values = features.values() if features.layout == torch.sparse_csr else features
            if not bool(values.isfinite().all()):
                raise InputError(f"the {name} features hold a value that is no finite number: fill the gaps first")


def mean_weight(weight: NDArray[np.float32] | None, architecture: NodeArchitecture) -> tuple[float | None, list[str]]:
    """The mean of the weights of the edges that the network is to see, None if it sees none, and notes."""
    if weight is None or not len(weight):
        return None, []
    if weight.min() == weight.max():
        return None, ["edges all have the same weight, which says nothing: weights are left out"]
    if architecture.conv not in _SEE_WEIGHTS:
        return None, [f"weights of edges are left out: conv {architecture.conv!r} does not see them"]
    return float(weight.mean(dtype=np.float64)), ["attention sees the weights of the edges"]


def with_edge_features(recipe: AnyArchitecture, found: int) -> AnyArchitecture:
    """The recipe with the number of edge features that there are.

    Raises:
        InputError: it has another number.
    """
    if recipe.edge_features not in (0, found):
        raise InputError(
            f"the recipe has edge_features {recipe.edge_features} and the edges have {found}: leave the key out, the "
            "weights of the edges decide"
        )
    return recipe.model_copy(update={"edge_features": found})


def fingerprint(*tensors: Tensor | None) -> str:
    """A hash by which a run knows its data again."""
    digest = hashlib.sha256()
    for tensor in tensors:
        if tensor is None:
            parts = []
        elif tensor.layout == torch.sparse_csr:
            parts = [tensor.crow_indices(), tensor.col_indices(), tensor.values()]
        else:
            parts = [tensor]
        for part in parts:
            digest.update(f"{list(part.shape)}".encode())
            digest.update(np.ascontiguousarray(part.numpy()).data)
    return digest.hexdigest()
