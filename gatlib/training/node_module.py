"""The Lightning side of learning the classes of nodes: the loss and the validation score."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.utils.data import DataLoader

from gatlib.models import NodeAttentionNetwork
from gatlib.network.node_memory import over_whole_graph
from gatlib.nn.label_walks import label_walks
from gatlib.nn.neighbours import NeighbourSampler
from gatlib.nn.sparse_linear import last_columns, replace_last_columns, take_rows
from gatlib.training.graph_module import GraphTrainingModule
from gatlib.training.node_parts import Share, induced_subgraph, node_batches
from gatlib.training.node_recipe import NodeRecipe

#: Of the mean of two predictions, as of GRAND on CiteSeer: the lower, the surer is what both are drawn to.
TEMPERATURE = 0.3
#: Epochs over which the weight of consistency rises: a large one from the start holds some seeds at a low score.
RAMP_EPOCHS = 100


class NodeProblem(NamedTuple):
    """A graph and what is to be learned of its nodes."""

    num_classes: int
    x: Tensor  # [N, F], dense or torch.sparse_csr
    edge_index: Tensor  # [2, E]
    edge_attr: Tensor | None  # [E, D]
    y: Tensor  # [N] classes, -1 where unknown
    train: Tensor  # nodes of known class to learn from
    valid: Tensor  # nodes of known class to choose the epoch by


def node_module(
    problem: NodeProblem, recipe: NodeRecipe, make_network: Callable[[], nn.Module] | None = None
) -> "NodeTrainingModule":
    """The network of a recipe, or another one, before its first step."""
    torch.manual_seed(recipe.seed)
    network = make_network() if make_network else node_network(problem, recipe)
    return NodeTrainingModule(network, problem, recipe)


def node_network(problem: NodeProblem, recipe: NodeRecipe) -> NodeAttentionNetwork:
    """The network of a recipe, with random weights."""
    return NodeAttentionNetwork(recipe.architecture(), problem.x.size(1), problem.num_classes)


class NodeTrainingModule(GraphTrainingModule):
    """A network of nodes in training, such as :class:`~gatlib.models.NodeAttentionNetwork`, and the graph it learns.

    The score is that of the whole graph in evaluation mode, whatever a step of training sees: no part of the graph and
    no drawn neighbours.

    Args:
        network: what to train.
        problem: the graph. With ``label_reuse`` the last columns of x are the known labels, one for each class, and
            with ``label_steps`` as many for each step come after them.
        recipe: the settings.
    """

    recipe: NodeRecipe
    x: Tensor
    edge_index: Tensor
    y: Tensor
    edge_attr: Tensor | None
    train_nodes: Tensor
    valid_nodes: Tensor
    valid_y: Tensor

    def __init__(self, network: nn.Module, problem: NodeProblem, recipe: NodeRecipe) -> None:
        super().__init__(network, recipe, monitored=f"valid_{recipe.metric}")
        self.num_classes = problem.num_classes
        # Classes that are not for learning are none of this module's business.
        learned = torch.full_like(problem.y, -1)
        learned[problem.train] = problem.y[problem.train]
        tensors = {
            "x": problem.x,
            "edge_index": problem.edge_index,
            "edge_attr": problem.edge_attr,
            "y": learned,
            "train_nodes": problem.train,
            "valid_nodes": problem.valid,
            "valid_y": problem.y[problem.valid],
        }
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor, persistent=False)
        self.neighbours = NeighbourSampler(problem.edge_index, problem.x.size(0)) if recipe.neighbours else None

    def train_dataloader(self) -> DataLoader[Tensor]:
        num_nodes, recipe = self.x.size(0), self.recipe
        train = self.train_nodes.cpu().numpy()
        share = Share(node_batches(num_nodes, train, recipe), self.trainer.global_rank, self.trainer.world_size)
        return DataLoader(torch.arange(num_nodes), sampler=share, batch_size=None)  # type: ignore[arg-type]

    def training_step(self, nodes: Tensor, _: int) -> Tensor:
        recipe = self.recipe
        see = self._part if self.neighbours is None else partial(self._neighbourhood, self.neighbours)
        predict, learned, y = see(nodes)
        logits = [predict() for _ in range(2 if recipe.consistency else 1)]
        loss = torch.stack(
            [F.cross_entropy(each[learned], y, label_smoothing=recipe.label_smoothing) for each in logits]
        ).mean()
        if recipe.consistency:
            rise = min(1.0, (self.current_epoch + 1) / RAMP_EPOCHS)
            loss = loss + recipe.consistency * rise * disagreement(torch.stack(logits))
        self.losses.append(loss.detach())
        return loss

    def _part(self, nodes: Tensor) -> tuple[Callable[[], Tensor], Tensor, Tensor]:
        """What predicts nodes and the edges among them, which of them are to learn from, and their classes."""
        x, edge_index, y, edge_attr = self.x, self.edge_index, self.y[nodes], self.edge_attr
        num_nodes = x.size(0)
        learned = (y >= 0).nonzero().squeeze(1)
        if self.recipe.label_reuse:
            order = torch.randperm(len(learned)).to(learned.device)
            learned = learned[order[int(self.recipe.label_reuse * len(learned)) :]]
            x = self._without_labels(nodes[learned])
        if len(nodes) < num_nodes:
            edge_index, kept = induced_subgraph(nodes, edge_index, num_nodes)
            edge_attr = None if edge_attr is None else edge_attr[kept]
            x = take_rows(x, nodes)
        return lambda: self.network(x, edge_index, edge_attr), learned, y[learned]

    def _without_labels(self, learned: Tensor) -> Tensor:
        """The features, without the labels that are to be learned, as in UniMP (Shi et al., IJCAI 2021)."""
        steps, num_classes = self.recipe.label_steps, self.num_classes
        labels = last_columns(self.x, (1 + steps) * num_classes)[:, :num_classes].clone()
        labels[learned] = 0
        if steps:
            labels = torch.cat([labels, label_walks(labels, self.edge_index, steps)], dim=1)
        return replace_last_columns(self.x, labels)

    def _neighbourhood(self, sampler: NeighbourSampler, nodes: Tensor) -> tuple[Callable[[], Tensor], Tensor, Tensor]:
        """What predicts the nodes from neighbours that are drawn; all of them are to learn from."""
        network = self.network
        assert isinstance(network, NodeAttentionNetwork)
        random = np.random.default_rng([self.recipe.seed, self.global_step, self.global_rank])
        around = sampler.sample(nodes.cpu().numpy(), self.recipe.num_layers, self.recipe.neighbours, random)
        around = around.to(self.x.device)
        edge_attr = None if self.edge_attr is None else self.edge_attr[around.edges]
        shown = self._without_labels(nodes) if self.recipe.label_reuse else self.x
        x, all_nodes = take_rows(shown, around.nodes), torch.arange(len(nodes), device=self.x.device)
        return lambda: network.of_neighbourhood(x, around, edge_attr), all_nodes, self.y[nodes]

    def validate(self) -> dict[str, float]:
        """Loss and score of the validation nodes."""
        logits = over_whole_graph(self.network, self.x, self.edge_index, self.edge_attr)[self.valid_nodes]
        loss = float(F.cross_entropy(logits, self.valid_y))
        if self.recipe.metric == "accuracy":
            score = float((logits.argmax(dim=1) == self.valid_y).double().mean())
        else:
            margin = (logits[:, 1] - logits[:, 0]).nan_to_num()  # in the order of the probabilities
            score = float(roc_auc_score(self.valid_y.cpu().numpy(), margin.double().cpu().numpy()))
        return {"valid_loss": loss, self.monitored: score}


def disagreement(logits: Tensor) -> Tensor:
    r"""How far several predictions of the same nodes are from what they say together.

    .. math::
        \frac{1}{S N} \sum_{s, i} \lVert \mathbf{p}_{si} - \mathbf{q}_i \rVert^2, \qquad
        q_{ic} \propto \Bigl(\frac{1}{S} \sum_s p_{sic}\Bigr)^{1/T}

    where :math:`\mathbf{q}` has no gradient. It teaches nodes without labels too.

    Args:
        logits: of :math:`S` passes with dropout of their own.

    Shapes:
        - **logits:** :math:`(S, N, C)`
        - **output:** :math:`()`

    Source: Feng et al., "Graph Random Neural Networks for Semi-Supervised Learning on Graphs", NeurIPS 2020.
    """
    probabilities = logits.softmax(dim=2)
    # In logarithms, so that small probabilities do not become zeros.
    together = (logits.log_softmax(dim=2).logsumexp(dim=0) / TEMPERATURE).softmax(dim=1).detach()
    return (probabilities - together).square().sum(dim=2).mean()
