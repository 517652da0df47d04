"""The Lightning side of training on one big graph: loss, optimiser, validation score, and the best epoch."""

import math
import time
from pathlib import Path
from typing import Any

import lightning
import torch
import torch.nn.functional as F
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.utils.data import DataLoader

from gatlib.training.node_parts import NodeParts, induced_subgraph, take_rows
from gatlib.training.node_recipe import NodeRecipe

SECONDS_BETWEEN_SAVES = 30.0


class NodeTrainingModule(lightning.LightningModule):
    """A network of nodes in training, such as :class:`~gatlib.models.NodeAttentionNetwork`, and the graph it learns.

    The score is that of the whole graph in evaluation mode, which goes layer by layer as the fused kernels do: no part
    of the graph and no sampled neighbours.

    Args:
        network: what to train.
        recipe: the settings.
        x, edge_index, edge_attr: the graph.
        y: classes, -1 where unknown.
        train, valid: nodes with known classes, to learn from and to choose the epoch by.
    """

    x: Tensor
    edge_index: Tensor
    y: Tensor
    edge_attr: Tensor | None
    train_nodes: Tensor
    valid_nodes: Tensor
    valid_y: Tensor

    def __init__(
        self,
        network: nn.Module,
        recipe: NodeRecipe,
        x: Tensor,
        edge_index: Tensor,
        y: Tensor,
        edge_attr: Tensor | None,
        train: Tensor,
        valid: Tensor,
    ) -> None:
        super().__init__()
        self.network, self.recipe = network, recipe
        # Classes that are not for learning are none of this module's business.
        learned = torch.full_like(y, -1)
        learned[train] = y[train]
        graph = {"x": x, "edge_index": edge_index, "edge_attr": edge_attr, "y": learned}
        for name, tensor in {**graph, "train_nodes": train, "valid_nodes": valid, "valid_y": y[valid]}.items():
            self.register_buffer(name, tensor, persistent=False)
        self._losses: list[Tensor] = []

    @property
    def monitored(self) -> str:
        """The score that chooses the best epoch."""
        return f"valid_{self.recipe.metric}"

    def train_dataloader(self) -> DataLoader[Tensor]:
        num_nodes, recipe = self.x.size(0), self.recipe
        parts = NodeParts(num_nodes, self.train_nodes.cpu().numpy(), recipe.batch_nodes, recipe.seed)
        return DataLoader(torch.arange(num_nodes), sampler=parts, batch_size=None)  # type: ignore[arg-type]

    def on_train_batch_start(self, batch: Tensor, batch_idx: int) -> None:
        # Dropout depends on the seed and the step alone, so that a resumed run draws the same.
        torch.manual_seed(1_000_003 * self.recipe.seed + self.global_step)

    def training_step(self, nodes: Tensor, _: int) -> Tensor:
        x, edge_index, y, edge_attr = self.x, self.edge_index, self.y, self.edge_attr
        num_nodes = x.size(0)
        if len(nodes) < num_nodes:
            edge_index, kept = induced_subgraph(nodes, edge_index, num_nodes)
            edge_attr = None if edge_attr is None else edge_attr[kept]
            x, y = take_rows(x, nodes), y[nodes]
        labelled = y >= 0
        logits = self.network(x, edge_index, edge_attr)[labelled]
        loss = F.cross_entropy(logits, y[labelled], label_smoothing=self.recipe.label_smoothing)
        self._losses.append(loss.detach())
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Tensor, batch_idx: int) -> None:
        # Lightning's validation loop and its `log` would take longer than the epoch of a small graph leaves them.
        if self.trainer.is_last_batch:
            train_loss = torch.stack(self._losses).mean()
            self._losses.clear()
            self.trainer.callback_metrics.update(
                {
                    "train_loss": train_loss,
                    **{name: torch.tensor(value, dtype=torch.float64) for name, value in self.validate().items()},
                }
            )

    def validate(self) -> dict[str, float]:
        """Loss and score of the validation nodes."""
        self.network.eval()
        with torch.inference_mode():
            logits = self.network(self.x, self.edge_index, self.edge_attr)[self.valid_nodes]
        self.network.train()
        loss = float(F.cross_entropy(logits, self.valid_y))
        if self.recipe.metric == "accuracy":
            score = float((logits.argmax(dim=1) == self.valid_y).double().mean())
        else:
            margin = (logits[:, 1] - logits[:, 0]).nan_to_num()  # in the order of the probabilities
            score = float(roc_auc_score(self.valid_y.cpu().numpy(), margin.double().cpu().numpy()))
        return {"valid_loss": loss, self.monitored: score}

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
        assert isinstance(module, NodeTrainingModule)
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
        if time.monotonic() - self._saved_at >= SECONDS_BETWEEN_SAVES:
            self._save(trainer)

    def on_train_end(self, trainer: lightning.Trainer, _: lightning.LightningModule) -> None:
        self._save(trainer)

    def _save(self, trainer: lightning.Trainer) -> None:
        trainer.save_checkpoint(self.path)
        self._saved_at = time.monotonic()
