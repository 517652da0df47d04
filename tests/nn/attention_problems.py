"""Small problems for `edge_attention`, and what their answers are by loops over nodes, heads and edges."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from gatlib.kernels.sparsemax import sparsemax

SCORES = ("additive", "additive-dynamic", "dot")
NORMALISERS = ("softmax", "sigmoid", "relu", "sparsemax")
IMPLEMENTATIONS = ("reference", "cpu")
HEADS, CHANNELS, EDGE_FEATURES = 2, 3, 5

every_score = pytest.mark.parametrize("score", SCORES)
every_implementation = pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
every_normaliser = pytest.mark.parametrize(
    ("implementation", "normaliser"),
    [(i, n) for i in IMPLEMENTATIONS for n in NORMALISERS if i == "reference" or n != "sparsemax"],
)
OPTIONS = {
    "plain": {},
    "edge features": {"edge_features": True},
    "bias": {"bias": True},
    "self-loops": {"add_self_loops": True},
    "everything": {"edge_features": True, "bias": True, "add_self_loops": True},
}
every_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)


def problem(
    score: str,
    edge_index: Tensor | None = None,
    num_nodes: int = 4,
    num_sources: int | None = None,
    edge_features: bool = False,
    bias: bool = False,
    add_self_loops: bool = False,
    seed: int = 7,
) -> dict[str, Any]:
    """Valid arguments in double precision. Without an `edge_index`, nine random edges and a node apart from them."""
    generator = torch.Generator().manual_seed(seed)
    num_sources = num_nodes if num_sources is None else num_sources
    if edge_index is None:
        edge_index = torch.randint(min(num_nodes, num_sources) - 1, (2, 9), generator=generator)
    width = 1 if score == "additive" else CHANNELS
    num_edges = edge_index.size(1) + (min(num_sources, num_nodes) if add_self_loops else 0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    return {
        "query": draw(num_nodes, HEADS, width),
        "key": draw(num_sources, HEADS, width),
        "value": draw(num_sources, HEADS, CHANNELS),
        "edge_index": edge_index,
        "score": score,
        "att": draw(HEADS, width) if score == "additive-dynamic" else None,
        "edge_attr": draw(num_edges, EDGE_FEATURES) if edge_features else None,
        "edge_weight": draw(HEADS * width, EDGE_FEATURES) if edge_features else None,
        "bias": draw(num_edges, HEADS) if bias else None,
        "add_self_loops": add_self_loops,
    }


def leaves_of(given: dict[str, Any]) -> dict[str, Tensor]:
    """The arguments that have gradients."""
    return {k: v.requires_grad_() for k, v in given.items() if isinstance(v, Tensor) and v.is_floating_point()}


def by_loops(given: dict[str, Any], normaliser: str, keep: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Output and weights by the equations; `keep` [E, H] is what dropout leaves of the weights, scale included."""
    query, key, value, edge_attr, bias = (given[name] for name in ("query", "key", "value", "edge_attr", "bias"))
    edges = [(j, i, row) for row, (j, i) in enumerate(given["edge_index"].t().tolist())]
    num_edges = len(edges)
    if given["add_self_loops"]:
        num_loops = min(len(query), len(key))
        edges = [(j, i, row) for j, i, row in edges if i != j] + [(n, n, num_edges + n) for n in range(num_loops)]
        num_edges += num_loops
    out, weights = query.new_zeros(len(query), *value.shape[1:]), query.new_zeros(num_edges, HEADS)
    for i in range(len(query)):
        for h in range(HEADS):
            into_i = [(j, row) for j, target, row in edges if target == i]
            if not into_i:
                continue
            scores, values = [], []
            for j, row in into_i:
                e = 0
                if edge_attr is not None:
                    e = given["edge_weight"].view(HEADS, -1, EDGE_FEATURES)[h] @ edge_attr[row]
                if given["score"] == "dot":
                    score = query[i, h] @ (key[j, h] + e) / math.sqrt(query.size(2))
                else:
                    hidden = torch.nn.functional.leaky_relu(query[i, h] + key[j, h] + e, 0.2)
                    score = hidden.sum() if given["att"] is None else given["att"][h] @ hidden
                scores.append(score if bias is None else score + bias[row, h])
                values.append(value[j, h] + e if given["score"] == "dot" else value[j, h])
            alpha = weights_of_one_node(torch.stack(scores), normaliser)
            for (_, row), weight, v in zip(into_i, alpha, values, strict=True):
                applied = weight if keep is None else weight * keep[row, h]
                weights[row, h] = applied
                out[i, h] += applied * v
    return out, weights


def weights_of_one_node(scores: Tensor, normaliser: str) -> Tensor:
    if normaliser == "softmax":
        return scores.softmax(0) if (scores > -math.inf).any() else torch.zeros_like(scores)
    if normaliser == "sigmoid":
        return scores.sigmoid()
    if normaliser == "relu":
        return scores.relu() / len(scores)
    return sparsemax(scores.unsqueeze(-1), torch.zeros(len(scores), dtype=torch.long), 1).squeeze(-1)
