"""The Lightning side of learning edges: parts of them to predict from the others, the loss and the validation score."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.utils.data import DataLoader, Sampler

from gatlib.models import LinkAttentionNetwork
from gatlib.network.link_split import LinkSplit
from gatlib.network.node_pairs import PairNumbers, draw_missing
from gatlib.training.graph_module import GraphTrainingModule
from gatlib.training.link_recipe import LinkRecipe

# What random numbers of a seed are for: each purpose has a stream of its own.
_PARTS, _ORDER, _MISSING = 1, 2, 3


class KnownGraph(nn.Module):
    """A graph that scores are computed from; it goes to the device with the module that holds it."""

    x: Tensor
    edge_index: Tensor
    edge_attr: Tensor | None

    def __init__(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None) -> None:
        super().__init__()
        for name, tensor in {"x": x, "edge_index": edge_index, "edge_attr": edge_attr}.items():
            self.register_buffer(name, tensor, persistent=False)


class LinkTrainingModule(GraphTrainingModule):
    """A :class:`LinkAttentionNetwork` in training, and the graphs that it learns.

    The training edges are in parts. Those of one part are predicted from the graph of the other parts, so that none is
    seen in the graph that it is predicted from, just as no edge to come will be: PyG calls them disjoint supervision
    edges. Each has beside it a pair drawn anew in every step from all pairs that are no training edges. Some of those
    are held-out edges: to spare these would tell where they are.

    Args:
        network: what to train.
        recipe: the settings.
        split: the edges.
        part_of: the part of each edge of ``split.train``.
        others: for each part the graph of the other parts.
        whole: the graph of all training edges, from which valid is scored.
        numbers: of the pairs of the graph.
    """

    recipe: LinkRecipe
    network: LinkAttentionNetwork
    train_pairs: Tensor
    valid_pairs: Tensor
    valid_truth: Tensor

    def __init__(
        self,
        network: LinkAttentionNetwork,
        recipe: LinkRecipe,
        split: LinkSplit,
        part_of: NDArray[np.int64],
        others: Sequence[KnownGraph],
        whole: KnownGraph,
        numbers: PairNumbers,
    ) -> None:
        super().__init__(network, recipe, monitored="valid_roc_auc")
        self.part_of, self.others, self.whole, self.numbers = part_of, nn.ModuleList(others), whole, numbers
        self.train_numbers = np.sort(numbers.of(split.train))
        truth = torch.arange(split.valid.shape[1] + split.valid_missing.shape[1]) < split.valid.shape[1]
        valid = torch.from_numpy(np.concatenate([split.valid, split.valid_missing], axis=1))
        tensors = {"train_pairs": torch.from_numpy(split.train), "valid_pairs": valid, "valid_truth": truth.float()}
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor, persistent=False)

    def train_dataloader(self) -> DataLoader[Tensor]:
        batches = EdgeBatches(self.part_of, self.recipe.batch_edges, self.recipe.seed)
        rows = torch.arange(len(self.part_of))
        return DataLoader(rows, sampler=batches, batch_size=None)  # type: ignore[arg-type]

    def training_step(self, rows: Tensor, _: int) -> Tensor:
        known = self.others[self.part_of[int(rows[0])]]
        random = np.random.default_rng([self.recipe.seed, _MISSING, self.global_step])
        drawn = draw_missing(self.train_numbers, self.numbers.total, len(rows), random, distinct=False)
        missing = torch.from_numpy(self.numbers.pairs(drawn)).to(rows.device)
        pairs = torch.cat([self.train_pairs[:, rows], missing], dim=1)
        scores = self.network(known.x, known.edge_index, pairs, known.edge_attr)
        truth = (torch.arange(pairs.size(1), device=rows.device) < len(rows)).float()
        loss = F.binary_cross_entropy_with_logits(scores, truth)
        self.losses.append(loss.detach())
        return loss

    def validate(self) -> dict[str, float]:
        """Loss and ROC-AUC of the validation pairs, from the graph of the training edges."""
        z = self.network.encode(self.whole.x, self.whole.edge_index, self.whole.edge_attr)
        scores = self.network.score(z, self.valid_pairs)
        loss = float(F.binary_cross_entropy_with_logits(scores, self.valid_truth))
        score = roc_auc_score(self.valid_truth.cpu().numpy(), scores.nan_to_num().double().cpu().numpy())
        return {"valid_loss": loss, self.monitored: float(score)}


class EdgeBatches(Sampler[NDArray[np.int64]]):
    """Rows of edges of one part each; all edges in an epoch, in an order that depends on the seed and the epoch alone.

    Args:
        part_of: the part of each edge ``[E]``.
        batch_edges: at most so many edges in a batch.
        seed: of the order.
    """

    def __init__(self, part_of: NDArray[np.int64], batch_edges: int, seed: int) -> None:
        self.parts = [np.flatnonzero(part_of == part) for part in range(part_of.max() + 1)]
        self.counts = [-(-len(rows) // batch_edges) for rows in self.parts]
        self.seed, self.epoch = seed, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return sum(self.counts)

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        random = np.random.default_rng([self.seed, _ORDER, self.epoch])
        batches = [
            batch
            for rows, count in zip(self.parts, self.counts, strict=True)
            for batch in np.array_split(random.permutation(rows), count)
        ]
        yield from (batches[place] for place in random.permutation(len(batches)))


def random_parts(num_edges: int, num_parts: int, seed: int) -> NDArray[np.int64]:
    """A part for each of the training edges ``[E]``; sizes differ by one at most and none is empty."""
    return np.random.default_rng([seed, _PARTS]).permutation(np.arange(num_edges) % num_parts)
