"""From a network to a class, with probabilities, for each of its nodes."""

from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatlib.data.files import atomic_path
from gatlib.network.network import Network
from gatlib.network.node_memory import over_whole_graph
from gatlib.network.node_model import NodeModel, NodeModelDescription, load_node_model
from gatlib.network.tensors import check_direction, network_tensors

if TYPE_CHECKING:
    from gatlib.network.explain import NodeExplanation


class NodePredictor:
    """A trained model of nodes; it knows how attributes become its input.

    Example::

        >>> from gatlib.network import NodePredictor
        >>> from gatlib.data import from_networkx
        >>> NodePredictor.load("club_model").predict(from_networkx(graph)[0])
    """

    def __init__(self, model: NodeModel) -> None:
        self.model = model

    @classmethod
    def load(cls, folder: str | Path) -> "NodePredictor":
        """The predictor of a folder that ``gatlib network train`` wrote.

        Raises:
            gatlib.InputError: no such folder, or one that is truncated, edited or from a newer gatlib.
        """
        return cls(load_node_model(Path(folder)))

    @property
    def description(self) -> NodeModelDescription:
        return self.model.description

    def predict(self, network: Network) -> pd.DataFrame:
        """:func:`predict_nodes` of this model.

        A model with ``label_reuse`` sees the labels that are known beside what it predicts::

            >>> predictor.predict(dataclasses.replace(network, known_labels=labels))
        """
        return predict_nodes(self.model, network)

    def explain(self, network: Network, node: str) -> "NodeExplanation":
        """:func:`gatlib.network.explain.explain_node` of this model."""
        from gatlib.network.explain import explain_node

        return explain_node(self.model, network, node)


def predict_nodes(model: NodeModel, network: Network) -> pd.DataFrame:
    """The class of each node of a graph, be it the one of the training, that one with new nodes, or another.

    Args:
        model: a trained one.
        network: the graph, with the attributes, features and weights that the model was trained with, and of a model
            that sees labels with those that are known.

    Returns:
        The table of :func:`prediction_table`, a row per node in the order of ``network.ids``.

    Raises:
        InputError: attributes, features or weights are not those that the model was trained with; the model was
            trained on a directed graph and this one is not, or the other way round.
    """
    description = model.description
    with torch.inference_mode():
        logits = over_whole_graph(model.network, *model_input(network, description))
    probabilities = calibrated(logits, description.temperature)
    return prediction_table(network.ids, probabilities, description.target, description.classes)


def model_input(network: Network, description: NodeModelDescription) -> tuple[Tensor, Tensor, Tensor | None]:
    """:func:`gatlib.network.tensors.network_tensors` of a graph for a trained model.

    Raises:
        InputError: as :func:`predict_nodes`.
    """
    check_direction(network, description.directed)
    return network_tensors(network, description.rule, description.mean_weight)


def calibrated(logits: Tensor, temperature: float) -> NDArray[np.float64]:
    """Probabilities ``[N, C]`` of logits ``[N, C]``."""
    return (logits.double() / temperature).softmax(dim=1).numpy()


def prediction_table(
    ids: Sequence[str], probabilities: NDArray[np.float64], target: str, classes: Sequence[str]
) -> pd.DataFrame:
    """The columns ``node``, ``<target>_pred`` and, for each class, ``p_<class>``."""
    names = np.array(classes, dtype=object)
    table = pd.DataFrame({"node": pd.Series(list(ids), dtype=object)})
    # A target or class may be called as another column is.
    table.insert(1, f"{target}_pred", names[probabilities.argmax(axis=1)], allow_duplicates=True)
    for place, name in enumerate(classes):
        table.insert(2 + place, f"p_{name}", probabilities[:, place], allow_duplicates=True)
    return table


def write_table(table: pd.DataFrame, target: Path | IO[str]) -> None:
    """Write a table of nodes as CSV; a file appears when it is whole.

    Raises:
        InputError: the file cannot be written.
    """
    if not isinstance(target, Path):
        table.to_csv(target, index=False, float_format="%.6g")
        return
    with atomic_path(target) as path:
        # Ids that are not UTF-8 leave as they came.
        table.to_csv(path, index=False, float_format="%.6g", errors="surrogateescape")
