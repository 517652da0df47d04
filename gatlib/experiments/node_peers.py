"""The peers on the nodes of a network: scikit-learn on the features, label propagation, and PyG's own networks.

Each is fitted on train, with what little there is to choose chosen on valid, and gives a function from features and
edges to probabilities, ``[N, C]``.
"""

import warnings
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix  # type: ignore[import-untyped]
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch_geometric import nn as pyg

from gatlib.data.splits import Split
from gatlib.metrics import node_metrics
from gatlib.nn.sparse_linear import drop_features, taking_sparse_input
from gatlib.training.node_fit import train_nodes
from gatlib.training.node_recipe import NodeRecipe
from gatlib.training.node_tensors import NodeTensors

Predict = Callable[[Tensor, Tensor], NDArray[np.float64]]  # x, edge_index -> [N, C]

STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)
MOST_TREES = 100
SHARES = (0.5, 0.8, 0.9, 0.95, 0.99)
STEPS = 50
_FEWEST_NODES = 10
SETTINGS = {
    "lr": f"features; C from {STRENGTHS[0]:g} to {STRENGTHS[-1]:g}, chosen on valid",
    "gb": f"features of {_FEWEST_NODES} train nodes or more; up to {MOST_TREES} rounds, chosen on valid",
    "lp": f"{STEPS} steps; alpha from {SHARES[0]:g} to {SHARES[-1]:g}, chosen on valid",
}


def logistic_regression(tensors: NodeTensors, split: Split, recipe: NodeRecipe) -> Predict:
    """Scikit-learn's, on the features alone, with the regularisation that is best on valid."""
    x, y = _matrix(tensors.x), tensors.y.numpy()

    def fitted(strength: float) -> Predict:
        model = LogisticRegression(C=strength, max_iter=1000)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # weak regularisation; valid judges what comes of it
            model.fit(x[split.train], y[split.train])
        return lambda x, _: _spread(model.predict_proba(_matrix(x)), model.classes_, len(tensors.classes))

    return _best([fitted(strength) for strength in STRENGTHS], tensors, split, recipe)


def gradient_boosting(tensors: NodeTensors, split: Split, recipe: NodeRecipe) -> Predict:
    """Scikit-learn's histogram boosting on the features alone, for as many rounds as are best on valid.

    Features that hardly a train node has are left out: they cost time and say nothing.
    """
    x, y = _matrix(tensors.x), tensors.y.numpy()
    often = np.flatnonzero(np.asarray((x[split.train] != 0).sum(axis=0)).ravel() >= _FEWEST_NODES)
    columns = often if len(often) else np.arange(x.shape[1])
    model = HistGradientBoostingClassifier(max_iter=MOST_TREES, early_stopping=False, random_state=recipe.seed)
    model.fit(_dense(x[split.train], columns), y[split.train])
    stages = model.staged_predict_proba(_dense(x[split.valid], columns))
    num_classes = len(tensors.classes)
    scores = [_score(y[split.valid], _spread(found, model.classes_, num_classes), recipe) for found in stages]
    rounds = int(np.argmax(scores))

    def predict(x: Tensor, _: Tensor) -> NDArray[np.float64]:
        stages = model.staged_predict_proba(_dense(_matrix(x), columns))
        return _spread(next(islice(stages, rounds, None)), model.classes_, num_classes)

    return predict


def label_propagation(tensors: NodeTensors, split: Split, recipe: NodeRecipe) -> Predict:
    """PyG's label propagation (Zhu and Ghahramani, 2002), with the share of the neighbours that is best on valid.

    It knows the labels of the train nodes of one graph, and can predict no other one. What no label reaches has the
    shares of the classes in train.
    """
    num_classes, y = len(tensors.classes), tensors.y
    known = torch.zeros(len(y), num_classes)
    train = torch.from_numpy(split.train)
    known[train, y[train]] = 1.0
    prior = known.sum(dim=0) / known.sum()

    def spread(share: float) -> Predict:
        found = pyg.LabelPropagation(STEPS, share)(known, tensors.edge_index)
        reached = found.sum(dim=1, keepdim=True) > 0
        found = torch.where(reached, found, prior)
        probabilities = (found / found.sum(dim=1, keepdim=True)).double().numpy()
        return lambda *_: probabilities

    return _best([spread(share) for share in SHARES], tensors, split, recipe)


class PyGNetwork(nn.Module):
    """A plain stack of PyG's layers, as in its examples: convolution, norm, activation, dropout.

    The last layer puts out the classes. Width, layers, heads, norm, activation and dropout are those of the recipe;
    residuals, global attention and jumping knowledge are not of PyG's layers.

    Args:
        conv: ``gcn`` or ``gat``.
        recipe: the settings.
        in_channels: features per node.
        num_classes: of the output.
    """

    def __init__(self, conv: str, recipe: NodeRecipe, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.recipe = recipe
        widths = [in_channels, *[recipe.hidden_channels] * (recipe.num_layers - 1)]
        norm = {"layer": nn.LayerNorm, "batch": nn.BatchNorm1d, "none": nn.Identity}[recipe.norm]
        self.convs, self.norms = nn.ModuleList(), nn.ModuleList(norm(width) for width in widths[1:])
        for place, width in enumerate(widths):
            is_last = place == len(widths) - 1
            if conv == "gcn":
                layer = pyg.GCNConv(width, num_classes if is_last else recipe.hidden_channels, cached=False)
            elif is_last:
                heads = recipe.output_heads or 1
                layer = pyg.GATConv(width, num_classes, heads, concat=False, dropout=recipe.attention_dropout)
            else:
                out, heads = recipe.hidden_channels // recipe.heads, recipe.heads
                layer = pyg.GATConv(width, out, heads, dropout=recipe.attention_dropout)
            # PyG's layers take sparse features forward, but not backward.
            self.convs.append(taking_sparse_input(layer))
        self.activation = nn.ReLU() if recipe.activation == "relu" else nn.ELU()
        self.dropout = nn.Dropout(recipe.dropout)

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None = None) -> Tensor:
        h = drop_features(x, self.recipe.feature_dropout, self.training)
        for conv, norm in zip(self.convs, self.norms, strict=False):
            h = self.dropout(self.activation(norm(conv(h, edge_index))))
        return self.convs[-1](h, edge_index)


def pyg_network(
    conv: str, tensors: NodeTensors, split: Split, recipe: NodeRecipe, folder: Path, callbacks: Sequence[Any] = ()
) -> Predict:
    """A :class:`PyGNetwork`, trained by the very loop that trains ours."""
    num_classes = len(tensors.classes)
    network = train_nodes(
        tensors.x,
        tensors.edge_index,
        tensors.y,
        split,
        recipe,
        folder,
        num_classes,
        callbacks=callbacks,
        make_network=lambda: PyGNetwork(conv, recipe, tensors.x.size(1), num_classes),
    ).network

    def predict(x: Tensor, edge_index: Tensor) -> NDArray[np.float64]:
        with torch.inference_mode():
            return network(x, edge_index).double().softmax(dim=1).numpy()

    return predict


def _best(found: Sequence[Predict], tensors: NodeTensors, split: Split, recipe: NodeRecipe) -> Predict:
    """The one with the highest score on valid, the first of equals."""
    y = tensors.y.numpy()[split.valid]
    scores = [_score(y, predict(tensors.x, tensors.edge_index)[split.valid], recipe) for predict in found]
    return found[int(np.argmax(scores))]


def _score(y: NDArray[np.int64], probabilities: NDArray[np.float64], recipe: NodeRecipe) -> float:
    return node_metrics(y, probabilities)[recipe.metric]


def _spread(probabilities: NDArray[np.float64], classes: NDArray[np.int64], num_classes: int) -> NDArray[np.float64]:
    """Columns for all classes; one that is not in train has zeros."""
    found = np.zeros((len(probabilities), num_classes))
    found[:, classes] = probabilities
    return found


def _matrix(x: Tensor) -> csr_matrix:
    if x.layout != torch.sparse_csr:
        return csr_matrix(x.numpy())
    parts = x.values().numpy(), x.col_indices().numpy(), x.crow_indices().numpy()
    return csr_matrix(parts, shape=tuple(x.shape))


def _dense(x: csr_matrix, columns: NDArray[np.int64]) -> NDArray[np.float32]:
    dense: NDArray[np.float32] = x[:, columns].toarray()
    return dense
