"""From a labelled network to the tensors that models of its nodes learn from."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gatlib.network.encoding import AttributeRule, KnownLabels, learn_rule
from gatlib.network.network import Network
from gatlib.network.node_model import sorted_classes
from gatlib.network.saved_model import check_text
from gatlib.network.tensors import network_tensors
from gatlib.training.graph_fit import mean_weight
from gatlib.training.node_recipe import NodeRecipe


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
        network: the graph; its ``known_labels`` are those that the model may see.
        labels: of its nodes, None where unlabelled, ``[N]``.
        target: what the labels are.
        recipe: whether its layers see the weights of edges, and known labels.

    Raises:
        InputError: a name could not be written into a model.
    """
    classes = sorted_classes({label for label in labels if label is not None})
    rule = learn_rule(network)
    if recipe.label_reuse:
        known = KnownLabels(target=target, classes=classes, steps=recipe.label_steps)
        rule = rule.model_copy(update={"known_labels": known})
    check_text(rule, target, *classes)
    weight, notes = mean_weight(network.edge_weight, recipe)
    x, edge_index, edge_attr = network_tensors(network, rule, weight)
    place = {label: number for number, label in enumerate(classes)}
    y = torch.tensor([-1 if label is None else place[label] for label in labels])
    return NodeTensors(rule, weight, classes, x, edge_index, edge_attr, y, [*rule.notes, *notes])
