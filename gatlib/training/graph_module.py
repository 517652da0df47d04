"""The Lightning side of training on one big graph, whatever is learned: seeds, optimiser, scores, the best epoch."""

import math
import time
from abc import abstractmethod
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor, nn

from gatlib.training.link_recipe import LinkRecipe
from gatlib.training.node_recipe import NodeRecipe

SECONDS_BETWEEN_SAVES = 30.0


class GraphTrainingModule(lightning.LightningModule):
    """A network in training, whose score on validation is taken after every epoch.

    Args:
        network: what to train.
        recipe: the settings.
        monitored: the score of :meth:`validate` that chooses the best epoch.
    """

    def __init__(self, network: nn.Module, recipe: NodeRecipe | LinkRecipe, monitored: str) -> None:
        super().__init__()
        self.network, self.recipe, self.monitored = network, recipe, monitored
        self.losses: list[Tensor] = []  # of the steps of this epoch, detached

    @abstractmethod
    def validate(self) -> dict[str, float]:
        """``valid_loss`` and the monitored score; the network is in evaluation mode."""

    def on_train_batch_start(self, batch: Tensor, batch_idx: int) -> None:
        # Dropout depends on the seed, the step and the process alone, so that a resumed run draws the same.
        torch.manual_seed((self.global_rank << 54) + 1_000_003 * self.recipe.seed + self.global_step)

    def on_train_batch_end(self, outputs: Any, batch: Tensor, batch_idx: int) -> None:
        # Lightning's validation loop and its `log` would take longer than the epoch of a small graph leaves them.
        if self.trainer.is_last_batch:
            processes = self.trainer.strategy
            train_loss = processes.reduce(torch.stack(self.losses).mean(), reduce_op="mean")
            self.losses.clear()
            self.network.eval()
            with torch.inference_mode():
                found = processes.broadcast(self.validate() if self.trainer.is_global_zero else {})
            self.network.train()
            values = {name: torch.tensor(value, dtype=torch.float64) for name, value in found.items()}
            self.trainer.callback_metrics.update({"train_loss": train_loss, **values})

    def configure_optimizers(self) -> torch.optim.Optimizer:
        recipe = self.recipe
        return torch.optim.Adam(self.network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)


class BestEpoch(lightning.Callback):
    """Keeps the weights of the best epoch in memory, stops when none has been better for long, and saves the run.

    Better is a higher score or, with the same score, a lower loss: a few hundred nodes give many epochs the same
    accuracy. While the loss still falls nothing is stopped, as in the experiments of GAT. The state of the run goes to
    a file when the last time was a while ago: epochs of a small graph are shorter than the writing of a file.

    Args:
        path: where to save.
        patience: number of epochs to wait for a higher score or a lower loss.
    """

    def __init__(self, path: Path, patience: int) -> None:
        self.path, self.patience = path, patience
        self.best: tuple[float, float] | None = None  # score, -loss
        self.lowest_loss = float("inf")
        self.weights: dict[str, Tensor] = {}
        self.waited = 0
        self._saved_at = 0.0

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "weights": self.weights, "waited": self.waited, "lowest_loss": self.lowest_loss}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best, self.weights = state_dict["best"], state_dict["weights"]
        self.waited, self.lowest_loss = state_dict["waited"], state_dict["lowest_loss"]

    def on_train_start(self, trainer: lightning.Trainer, _: lightning.LightningModule) -> None:
        self._saved_at = time.monotonic()
        if self.waited >= self.patience:  # it was over when the run stopped
            trainer.should_stop = True

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        assert isinstance(module, GraphTrainingModule)
        metrics = trainer.callback_metrics
        loss, score = float(metrics["valid_loss"]), float(metrics[module.monitored])
        is_better = math.isfinite(loss) and (self.best is None or (score, -loss) > self.best)
        if is_better:
            self.best = (score, -loss)
            self.weights = {name: weight.clone() for name, weight in module.network.state_dict().items()}
        self.waited = 0 if is_better or loss < self.lowest_loss else self.waited + 1
        self.lowest_loss = min(self.lowest_loss, loss)  # stays where the loss is NaN
        if self.waited >= self.patience:
            trainer.should_stop = True
        # All processes save, or none.
        if trainer.strategy.broadcast(time.monotonic() - self._saved_at >= SECONDS_BETWEEN_SAVES):
            self._save(trainer)

    def on_train_end(self, trainer: lightning.Trainer, _: lightning.LightningModule) -> None:
        self._save(trainer)

    def _save(self, trainer: lightning.Trainer) -> None:
        trainer.save_checkpoint(self.path)
        self._saved_at = time.monotonic()
