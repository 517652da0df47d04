"""Train a network on one big graph: one class per node."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gatlib.data.splits import Split
from gatlib.errors import InputError
from gatlib.threads import one_thread_if_small
from gatlib.training.graph_fit import check_finite, fit_graph
from gatlib.training.node_module import NodeProblem, node_module, node_network
from gatlib.training.node_parts import node_batches
from gatlib.training.node_processes import check_alone, fit_in_processes
from gatlib.training.node_recipe import NodeRecipe
from gatlib.training.step_memory import check_step_fits


@dataclass(frozen=True)
class TrainedNodes:
    """What :func:`train_nodes` gives back."""

    network: nn.Module  # in evaluation mode; a NodeAttentionNetwork unless another one was asked for
    valid_score: float  # of the best epoch, the metric of the recipe
    epochs: int
    seconds: float


def train_nodes(
    x: Tensor,
    edge_index: Tensor,
    y: Tensor,
    split: Split,
    recipe: NodeRecipe,
    folder: Path,
    num_classes: int,
    edge_attr: Tensor | None = None,
    callbacks: Sequence[lightning.Callback] = (),
    make_network: Callable[[], nn.Module] | None = None,
) -> TrainedNodes:
    """Train on train, with the weights of the best epoch on valid in the end; test is not looked at.

    The features and edges of all nodes are seen in training, as is usual where the graph is given once and for all
    (transductive learning), the classes of the training nodes alone. A run that stopped goes on from
    ``folder/.training/last.ckpt``, with the same result as without the stop. The folder stays: who calls removes it
    when the model is written.

    Args:
        x: node features ``[N, F]``, dense or `torch.sparse_csr`. With ``label_reuse`` the labels of the training nodes
            come last, and what :func:`gatlib.nn.label_walks.label_walks` makes of them after that.
        edge_index: source and target of every edge ``[2, E]``.
        y: classes ``[N]`` from 0 to ``num_classes - 1``, -1 where unknown. Nodes of unknown class are neither learned
            nor scored, whatever part they are in.
        split: numbers of the nodes in train and valid.
        recipe: the settings.
        folder: where to write ``training_log.csv`` and the state of the run.
        num_classes: number of classes.
        edge_attr: edge features ``[E, D]``.
        callbacks: to be called after every epoch too, such as a progress bar.
        make_network: makes another network than that of the recipe, to be trained alike.

    Raises:
        InputError: the arrays do not fit each other or the recipe; there is nothing to learn from or to choose an epoch
            by; the training diverged.
    """
    train, valid = check_nodes(x, edge_index, y, split, recipe, num_classes, edge_attr)
    if make_network and (recipe.neighbours or recipe.devices > 1):
        raise InputError("neighbours and devices are for the network of a recipe and no other: leave these keys out")
    problem = NodeProblem(num_classes, x, edge_index, edge_attr, y, train, valid)
    network: nn.Module
    with one_thread_if_small(x.size(0) + edge_index.size(1)):
        if recipe.devices > 1:
            network = node_network(problem, recipe)
            fitted = fit_in_processes(network, problem, recipe, folder, callbacks)
        else:
            module = node_module(problem, recipe, make_network)
            network, fitted = module.network, fit_graph(module, folder, callbacks)
    return TrainedNodes(network, fitted.valid_score, fitted.epochs, fitted.seconds)


def check_nodes(
    x: Tensor,
    edge_index: Tensor,
    y: Tensor,
    split: Split,
    recipe: NodeRecipe,
    num_classes: int,
    edge_attr: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The nodes of known class in train and in valid, if :func:`train_nodes`, which is called alike, can begin.

    Raises:
        InputError: as :func:`train_nodes` does before it writes anything.
    """
    _check_graph(x, edge_index, y, num_classes, edge_attr)
    train, valid = _known(y, split, "train"), _known(y, split, "valid")
    _check_metric(y[valid], recipe, num_classes)
    _check_batches(x.size(0), train, recipe)
    check_alone()
    check_step_fits(recipe, x.size(0), edge_index.size(1), 0 if x.layout == torch.sparse_csr else x.size(1))
    return train, valid


def _check_graph(x: Tensor, edge_index: Tensor, y: Tensor, num_classes: int, edge_attr: Tensor | None) -> None:
    num_nodes = x.size(0)
    if num_classes < 2:
        raise InputError(f"there must be two classes of nodes or more to learn; found {num_classes}")
    if y.shape != (num_nodes,) or y.dtype != torch.int64:
        raise InputError(
            f"the classes must be int64, one for each of {num_nodes} nodes; found {y.dtype} of shape {list(y.shape)}"
        )
    if num_nodes and not -1 <= int(y.min()) <= int(y.max()) < num_classes:
        raise InputError(f"the classes must be from 0 to {num_classes - 1}, or -1 where unknown: number them so")
    if edge_index.numel() and not 0 <= int(edge_index.min()) <= int(edge_index.max()) < num_nodes:
        raise InputError(
            f"the edges must join nodes from 0 to {num_nodes - 1}; "
            f"found {int(edge_index.min())} to {int(edge_index.max())}"
        )
    check_finite(x, edge_attr)


def _known(y: Tensor, split: Split, part: str) -> Tensor:
    """The nodes of a part whose class is known."""
    nodes: NDArray[np.int64] = split.parts()[part]
    if len(nodes) and not 0 <= nodes.min() <= nodes.max() < len(y):
        raise InputError(
            f"the split names {part} nodes that are not from 0 to {len(y) - 1}: number them as the features"
        )
    known = torch.from_numpy(np.asarray(nodes, dtype=np.int64))
    known = known[y[known] >= 0]
    if not len(known):
        raise InputError(f"none of the {len(nodes)} {part} nodes has a class: split in another way")
    return known


def _check_metric(valid_y: Tensor, recipe: NodeRecipe, num_classes: int) -> None:
    if recipe.metric != "roc_auc":
        return
    if num_classes != 2:
        raise InputError(f"metric 'roc_auc' is of two classes and there are {num_classes}: set metric to accuracy")
    if len(valid_y.unique()) < 2:
        raise InputError(f"the {len(valid_y)} validation nodes are all of one class: split in another way")


def _check_batches(num_nodes: int, train: Tensor, recipe: NodeRecipe) -> None:
    num_train, num_batches = len(train), len(node_batches(num_nodes, train.numpy(), recipe))
    if num_batches < recipe.devices:
        raise InputError(
            f"there are {num_batches} batches of {recipe.batch_nodes} nodes for {recipe.devices} devices: "
            "set batch_nodes or devices to less"
        )
    if recipe.norm == "batch" and recipe.neighbours and num_train // num_batches < 2:
        raise InputError(
            f"norm 'batch' needs two nodes in each batch and there are {num_train} to learn from in batches of "
            f"{recipe.batch_nodes}: set batch_nodes to more, or norm to layer"
        )
