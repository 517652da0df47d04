"""The Lightning side of training: loss, optimiser, validation score, and the order of the molecules."""

from collections.abc import Iterator
from typing import NamedTuple

import lightning
import numpy as np
import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torch_geometric.data import Data

from gatlib.data.batches import GraphBatches
from gatlib.data.cards import TaskType
from gatlib.metrics import METRICS, mean_metrics, metrics_per_task
from gatlib.models import GraphAttentionNetwork
from gatlib.training.recipe import Recipe


class Scale(NamedTuple):
    """``output * std + mean`` is a value; one number per task."""

    mean: NDArray[np.float64]
    std: NDArray[np.float64]


def masked_loss(outputs: Tensor, targets: Tensor, task_type: TaskType) -> Tensor:
    """Mean over the known targets of the cross-entropy (classes) or the squared error (values).

    Shapes: both ``[molecules, tasks]``; NaN targets are unknown. Zero when nothing is known.
    """
    known = ~targets.isnan()
    outputs, targets = outputs[known], targets[known]
    if task_type == "classification":
        loss = F.binary_cross_entropy_with_logits(outputs, targets, reduction="sum")
    else:
        loss = F.mse_loss(outputs, targets, reduction="sum")
    return loss / max(len(targets), 1)


class ShuffledBatches(Sampler[list[int]]):
    """Batches in an order that depends on the seed and the epoch alone, so that a resumed run sees the same."""

    def __init__(self, num_items: int, batch_size: int, seed: int) -> None:
        self.num_items, self.batch_size, self.seed = num_items, batch_size, seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-self.num_items // self.batch_size)

    def __iter__(self) -> Iterator[NDArray[np.int64]]:  # type: ignore[override]
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.num_items)
        # Of nearly equal size: batch normalisation cannot learn from a last batch of one atom.
        yield from np.array_split(order, len(self))


def training_loader(batches: GraphBatches, recipe: Recipe) -> DataLoader[Data]:
    sampler = ShuffledBatches(len(batches), recipe.batch_size, recipe.seed)
    return DataLoader(batches, sampler=sampler, batch_size=None)


def evaluation_loader(batches: GraphBatches, batch_size: int = 256) -> DataLoader[Data]:
    starts = range(0, len(batches), batch_size)
    return DataLoader(
        batches,
        sampler=[np.arange(start, min(start + batch_size, len(batches))) for start in starts],
        batch_size=None,
    )


class TrainingModule(lightning.LightningModule):
    """A :class:`GraphAttentionNetwork` in training: AdamW, linear warm-up, then a cosine down to zero."""

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: GraphAttentionNetwork,
        recipe: Recipe,
        tasks: list[str],
        task_type: TaskType,
        scale: Scale,
    ) -> None:
        super().__init__()
        self.network = network
        self.recipe = recipe
        self.tasks = tasks
        self.task_type = task_type
        self.register_buffer("mean", torch.tensor(scale.mean, dtype=torch.float32), persistent=False)
        self.register_buffer("std", torch.tensor(scale.std, dtype=torch.float32), persistent=False)
        self._outputs: list[Tensor] = []
        self._targets: list[Tensor] = []

    @property
    def monitored(self) -> str:
        """The logged score that chooses the best epoch."""
        return f"valid_{METRICS[self.task_type][0]}"

    def on_train_batch_start(self, batch: Data, batch_idx: int) -> None:
        # Dropout depends on the seed and the step alone, so that a resumed run draws the same.
        torch.manual_seed(1_000_003 * self.recipe.seed + self.global_step)

    def training_step(self, batch: Data, _: int) -> Tensor:
        loss = masked_loss(self.network(batch), (batch.y - self.mean) / self.std, self.task_type)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=batch.num_graphs, prog_bar=True)
        return loss

    def validation_step(self, batch: Data, _: int) -> None:
        self._outputs.append(self.network(batch))
        self._targets.append(batch.y)

    def on_validation_epoch_end(self) -> None:
        outputs, targets = torch.cat(self._outputs), torch.cat(self._targets)
        self._outputs.clear()
        self._targets.clear()
        loss = masked_loss(outputs, (targets - self.mean) / self.std, self.task_type)
        values = outputs.sigmoid() if self.task_type == "classification" else outputs * self.std + self.mean
        per_task = metrics_per_task(
            targets.double().cpu().numpy(), values.double().cpu().numpy(), self.tasks, self.task_type
        )
        self.log("valid_loss", loss)
        for name, value in mean_metrics(per_task, self.task_type).items():
            self.log(f"valid_{name}", value, prog_bar=f"valid_{name}" == self.monitored)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        recipe = self.recipe
        optimizer = torch.optim.AdamW(self.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
        total = int(self.trainer.estimated_stepping_batches)
        warmup = max(1, round(total * recipe.warmup_epochs / recipe.max_epochs))

        def factor(step: int) -> float:
            if step < warmup:
                return (step + 1) / warmup
            return 0.5 * (1.0 + float(np.cos(np.pi * (step - warmup) / max(1, total - warmup))))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
