"""From a labelled network to the tensors that models of its nodes learn from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatlib.errors import InputError
from gatlib.network.encoding import AttributeRule, learn_rule
from gatlib.network.network import Network
from gatlib.network.node_model import check_text, sorted_classes
from gatlib.network.tensors import network_tensors
from gatlib.training.node_recipe import NodeRecipe

_SEE_WEIGHTS = ("gat", "gatv2", "transformer")


@dataclass(frozen=True)
class NodeTensors:
    """What :func:`node_tensors` gives back."""

    rule: AttributeRule  # how attributes became x
    mean_weight: float | None  # of the edges, None where weights are not used
    classes: list[str]  # in the order of their numbers
    x: Tensor  # [N, F], dense or torch.sparse_csr
    edge_index: Tensor  # [2, E]
    edge_attr: Tensor | None  # [E, 1]
    y: Tensor  # [N], -1 where unlabelled
    notes: list[str]  # what was decided about the attributes and the weights


def node_tensors(network: Network, labels: Sequence[str | None], target: str, recipe: NodeRecipe) -> NodeTensors:
    """The input of a model, by a rule that is learned from the attributes of all nodes, and the classes.

    Args:
        network: the graph.
        labels: of its nodes, None where unlabelled, ``[N]``.
        target: what the labels are.
        recipe: whether its layers see the weights of edges.

    Raises:
        InputError: a name could not be written into a model.
    """
    classes = sorted_classes({label for label in labels if label is not None})
    rule = learn_rule(network)
    check_text(target, classes, rule)
    mean_weight, notes = _mean_weight(network.edge_weight, recipe)
    x, edge_index, edge_attr = network_tensors(network, rule, mean_weight)
    place = {label: number for number, label in enumerate(classes)}
    y = torch.tensor([-1 if label is None else place[label] for label in labels])
    return NodeTensors(rule, mean_weight, classes, x, edge_index, edge_attr, y, [*rule.notes, *notes])


def with_edge_features(recipe: NodeRecipe, found: int) -> NodeRecipe:
    """The recipe with the number of edge features that there are.

    Raises:
        InputError: it asks for another number.
    """
    if recipe.edge_features not in (0, found):
        raise InputError(
            f"the recipe has edge_features {recipe.edge_features} and the edges have {found}: leave the key out, the "
            "weights of the edges decide"
        )
    return recipe.model_copy(update={"edge_features": found})


def _mean_weight(weight: NDArray[np.float32] | None, recipe: NodeRecipe) -> tuple[float | None, list[str]]:
    """The mean of the weights that the network is to see, and notes."""
    if weight is None or not len(weight):
        return None, []
    if weight.min() == weight.max():
        return None, ["edges all have the same weight, which says nothing: weights are left out"]
    if recipe.conv not in _SEE_WEIGHTS:
        return None, [f"weights of edges are left out: conv {recipe.conv!r} does not see them"]
    return float(weight.mean(dtype=np.float64)), ["attention sees the weights of the edges"]
