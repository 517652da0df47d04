"""From a trained model, a network and one of its nodes to an explanation."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix  # type: ignore[import-untyped]
from torch import Tensor

from gatlib.errors import InputError
from gatlib.models import NodeAttentionNetwork
from gatlib.network.explain.attention import attention_weights
from gatlib.network.explain.attributes import attribute_importances
from gatlib.network.explain.explanation import LayerAttention, Neighbour, NodeExplanation
from gatlib.network.explain.first_maps import behind_first_maps
from gatlib.network.explain.integrated_gradients import PathIntegral, path_integral
from gatlib.network.explain.occlusion import logits_without
from gatlib.network.explain.receptive_field import ReceptiveField, receptive_field
from gatlib.network.network import Network, cell_text
from gatlib.network.node_memory import over_whole_graph
from gatlib.network.node_model import NodeModel
from gatlib.network.predict import calibrated, model_input
from gatlib.threads import one_thread_if_small

_MOST_OCCLUSIONS = 256
_LEAST_OCCLUSIONS = 20
_MOST_WORK = 50_000_000  # nodes and edges of all occlusions: half a minute or so
_MOST_COMPARED = 100_000  # names, to find the one that was meant
_GAP_TO_TELL = 0.02


def explain_node(
    model: NodeModel, network: Network, node: str, known: Sequence[str | None] | None = None
) -> NodeExplanation:
    r"""Why a model gives a node its class.

    All is measured by :math:`\log p_c`, the natural logarithm of the calibrated probability of the predicted class
    :math:`c`:

    - a neighbour's importance is what :math:`\log p_c` loses without its edges
      (:mod:`gatlib.network.explain.occlusion`). Direct neighbours come first, those of the highest attention before the
      others, then the farther nodes of the largest integrated gradients: 256 of them, or as few as 20 where the part
      of the graph that the node depends on is large.
    - an attribute's importance is its integrated gradients, over the node itself and over all others
      (:mod:`gatlib.network.explain.integrated_gradients`). The input of zeros that they start from is a node of which
      nothing is known: numbers at the mean of the training, no category, no feature.
    - the attention weights are those of :mod:`gatlib.network.explain.attention`.

    Args:
        model: a trained one.
        network: the graph, as for :func:`gatlib.network.predict.predict_nodes`.
        node: one of ``network.ids``.
        known: the labels of the nodes, ``[N]``, None where unknown; else those in the attribute that is called as the
            target.

    Raises:
        InputError: no such node; the network does not fit the model.
    """
    number = _number_of(node, network.ids)
    description = model.description
    x, edge_index, edge_attr = model_input(network, description)
    with torch.inference_mode():
        probabilities = calibrated(over_whole_graph(model.network, x, edge_index, edge_attr), description.temperature)
    predicted = probabilities.argmax(axis=1)
    part = _part_of(model, network, number, x, edge_attr, int(predicted[number]))

    with one_thread_if_small(part.size):
        with torch.inference_mode():
            sources, weights = attention_weights(part.network, part.x, part.edge_index, part.edge_attr, 0)
        integral = path_integral(part.log_probability, part.x)
    attention = _attention_of(sources, weights)
    neighbours, num_reached = _choose(part, attention, integral)
    with torch.inference_mode():
        without = part.log_probabilities(
            logits_without(
                part.network, part.x, part.edge_index, part.edge_attr, torch.from_numpy(part.field.hops), neighbours
            )
        )
    lost = dict(zip(neighbours.tolist(), (integral.at_input - without).tolist(), strict=True))

    if known is None and description.target in network.attributes.columns:
        known = [cell_text(cell) for cell in network.attributes[description.target]]
    classes = description.classes

    def neighbour(place: int) -> Neighbour:
        row = int(part.field.nodes[place])
        importance = lost.get(place)
        return Neighbour(
            node=network.ids[row],
            hops=int(part.field.hops[place]),
            importance=importance,
            probability_without=None if importance is None else float(np.exp(integral.at_input - importance)),
            weight=_weight(network, row, number),
            attention=attention.get(place, []),
            prediction=classes[predicted[row]],
            probability=float(probabilities[row].max()),
            known=None if known is None else known[row],
        )

    direct = np.flatnonzero(part.field.hops == 1).tolist()
    listed = dict.fromkeys([*sorted(lost, key=lambda place: -abs(lost[place])), *_by_attention(direct, attention)])
    inputs = part.inputs.astype(np.float64)
    gradients = integral.mean_gradient.numpy()
    own, others = (
        np.asarray(inputs[rows].T @ gradients[rows] * part.first_maps.T).sum(axis=1)
        for rows in (slice(0, 1), slice(1, None))
    )
    return NodeExplanation(
        model=description.name,
        target=description.target,
        node=node,
        known=None if known is None else known[number],
        prediction=classes[predicted[number]],
        probabilities=dict(zip(classes, probabilities[number].tolist(), strict=True)),
        neighbours=[neighbour(place) for place in listed],
        num_direct=len(direct),
        num_within_reach=num_reached,
        self_attention=attention.get(0, []),
        attributes=attribute_importances(own, others, network, description.rule, number),
        probability_without_attributes=float(np.exp(integral.at_zero)),
        completeness_gap=integral.gap,
        notes=_notes(model, part, len(direct), len(lost), num_reached, integral.gap),
    )


@dataclass(frozen=True)
class _Part:
    """What the prediction of the node depends on."""

    field: ReceptiveField
    inputs: NDArray[np.float32] | csr_matrix  # [n, F], the input of the model
    first_maps: NDArray[np.float32]  # [C, F]
    network: NodeAttentionNetwork  # behind its first maps
    x: Tensor  # [n, C], the inputs after the first maps
    edge_index: Tensor  # [2, e]
    edge_attr: Tensor | None
    temperature: float
    label: int  # the predicted class

    @property
    def size(self) -> int:
        """Nodes and edges."""
        return self.x.size(0) + self.edge_index.size(1)

    def log_probabilities(self, logits: Tensor) -> Tensor:
        """Of the predicted class; ``[k, C]`` to ``[k]``."""
        return (logits.double() / self.temperature).log_softmax(dim=1)[:, self.label]

    def log_probability(self, x: Tensor) -> Tensor:
        """Of the predicted class of the node, from other inputs."""
        return self.log_probabilities(self.network(x, self.edge_index, self.edge_attr)[:1])[0]


def _part_of(model: NodeModel, network: Network, node: int, x: Tensor, edge_attr: Tensor | None, label: int) -> _Part:
    field = receptive_field(network.edge_index, network.num_nodes, node, model.network.settings)
    if x.layout == torch.sparse_csr:
        pieces = (x.values().numpy(), x.col_indices().numpy(), x.crow_indices().numpy())
        inputs = csr_matrix(pieces, shape=tuple(x.shape))[field.nodes]
    else:
        inputs = x.numpy()[field.nodes]
    behind, first_maps = behind_first_maps(model.network, len(model.description.classes))
    return _Part(
        field=field,
        inputs=inputs,
        first_maps=first_maps,
        network=behind,
        x=torch.from_numpy(np.ascontiguousarray(inputs @ first_maps.T)),
        edge_index=torch.from_numpy(field.edge_index),
        edge_attr=None if edge_attr is None else edge_attr[torch.from_numpy(field.edges)],
        temperature=model.description.temperature,
        label=label,
    )


def _number_of(node: str, ids: Sequence[str]) -> int:
    try:
        return list(ids).index(node)
    except ValueError:
        close = difflib.get_close_matches(node, ids[:_MOST_COMPARED], n=3)
        hint = f"did you mean {' or '.join(f'{name!r:.60}' for name in close)}?" if close else "check its spelling"
        raise InputError(f"there is no node {node!r:.60} in the network: {hint}") from None


def _attention_of(sources: Tensor, weights: list[Tensor]) -> dict[int, list[LayerAttention]]:
    """By node, layer by layer."""
    found = {}
    for row, source in enumerate(sources.tolist()):
        heads = [layer[row].tolist() for layer in weights]
        found[source] = [LayerAttention(mean=sum(values) / len(values), heads=values) for values in heads]
    return found


def _by_attention(places: Sequence[int], attention: dict[int, list[LayerAttention]]) -> list[int]:
    return sorted(places, key=lambda place: -sum(layer.mean for layer in attention.get(place, [])))


def _choose(part: _Part, attention: dict[int, list[LayerAttention]], integral: PathIntegral) -> tuple[Tensor, int]:
    """The neighbours to measure, and of how many they are."""
    hops = part.field.hops
    size = (integral.mean_gradient * part.x).sum(dim=1).abs().tolist()  # of each node's integrated gradients
    # Sorting is stable: where there is no attention, the integrated gradients decide of direct neighbours too.
    direct = sorted(np.flatnonzero(hops == 1).tolist(), key=lambda place: -size[place])
    reached = (hops > 1) & (hops <= part.network.settings.num_layers)
    farther = sorted(np.flatnonzero(reached).tolist(), key=lambda place: -size[place])
    most = min(max(_MOST_WORK // part.size, _LEAST_OCCLUSIONS), _MOST_OCCLUSIONS)
    chosen = [*_by_attention(direct, attention), *farther][:most]
    return torch.tensor(chosen, dtype=torch.int64), len(direct) + len(farther)


def _weight(network: Network, source: int, target: int) -> float | None:
    if network.edge_weight is None:
        return None
    # The edges are sorted by source.
    first, last = np.searchsorted(network.edge_index[0], [source, source + 1])
    found = np.flatnonzero(network.edge_index[1, first:last] == target)
    return float(network.edge_weight[first + found[0]]) if len(found) else None


def _notes(
    model: NodeModel, part: _Part, num_direct: int, num_measured: int, num_reached: int, gap: float
) -> list[str]:
    settings, layers = model.network.settings, model.network.settings.num_layers
    notes = []
    if not num_direct:
        notes.append("the node has no neighbours: its own attributes are all that the prediction comes from")
    if settings.conv == "mlp":
        notes.append("the model is an mlp: it has no attention weights and no edge changes what it says")
    elif settings.conv == "gcn":
        notes.append("the model is a gcn: it has no attention weights, the degrees of two nodes decide what passes")
    if num_measured < num_reached:
        attended = "" if settings.conv in ("gcn", "mlp") else " by attention"
        notes.append(
            f"importance was measured for {num_measured:,} of the {num_reached:,} nodes within {layers} hops: direct "
            f"neighbours first{attended}, then others by integrated gradients"
        )
    if settings.global_attention:
        notes.append(f"the model also attends to all nodes: those beyond {layers} hops count in the attributes only")
    rule = model.description.rule
    if rule.structure is not None:
        notes.append("degrees, walks and ranks stay those of the whole network where the edges of a neighbour go")
    if rule.known_labels is not None and rule.known_labels.steps:
        notes.append("labels some steps away stay those of the whole network where the edges of a neighbour go")
    if abs(gap) > _GAP_TO_TELL:
        more = "more" if gap > 0 else "less"
        notes.append(f"the importances of the attributes add up to {abs(gap):.3f} {more} than they should")
    return notes
