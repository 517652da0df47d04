"""`edge_attention`: the one door through which every layer reaches a kernel."""

from collections.abc import Callable
from typing import Literal, get_args, overload

import torch
from torch import Tensor

from gatlib.kernels import reference
from gatlib.kernels.reference import Score

Implementation = Literal["auto", "reference"]

_IMPLEMENTATIONS: dict[str, Callable[..., tuple[Tensor, Tensor]]] = {
    "auto": reference.edge_attention,
    "reference": reference.edge_attention,
}


@overload
def edge_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    edge_index: Tensor,
    *,
    score: Score,
    att: Tensor | None = ...,
    edge_attr: Tensor | None = ...,
    edge_weight: Tensor | None = ...,
    negative_slope: float = ...,
    dropout: float = ...,
    return_attention_weights: Literal[False] = ...,
    implementation: Implementation = ...,
) -> Tensor: ...


@overload
def edge_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    edge_index: Tensor,
    *,
    score: Score,
    att: Tensor | None = ...,
    edge_attr: Tensor | None = ...,
    edge_weight: Tensor | None = ...,
    negative_slope: float = ...,
    dropout: float = ...,
    return_attention_weights: Literal[True],
    implementation: Implementation = ...,
) -> tuple[Tensor, Tensor]: ...


def edge_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    edge_index: Tensor,
    *,
    score: Score,
    att: Tensor | None = None,
    edge_attr: Tensor | None = None,
    edge_weight: Tensor | None = None,
    negative_slope: float = 0.2,
    dropout: float = 0.0,
    return_attention_weights: bool = False,
    implementation: Implementation = "auto",
) -> Tensor | tuple[Tensor, Tensor]:
    r"""Attention of every target node over its incoming edges, and over nothing else.

    .. math::
        \mathbf{o}_i = \sum_{(j, i) \in \mathcal{E}} \alpha_{ij} \mathbf{v}_j, \qquad
        \alpha_{ij} = \frac{\exp s_{ij}}{\sum_{(k, i) \in \mathcal{E}} \exp s_{ik}}

    for each head on its own, where :math:`s_{ij}` is, with the projected edge features
    :math:`\mathbf{e}_{ij} = \mathbf{W} \mathbf{a}_{ij}` (zero without `edge_attr`),

    - ``"additive"`` (`GAT <https://arxiv.org/abs/1710.10903>`_, :math:`K = 1`):
      :math:`\mathrm{LeakyReLU}(q_i + k_j + e_{ij})`
    - ``"additive-dynamic"`` (`GATv2 <https://arxiv.org/abs/2105.14491>`_):
      :math:`\mathbf{a}^\top \mathrm{LeakyReLU}(\mathbf{q}_i + \mathbf{k}_j + \mathbf{e}_{ij})`
    - ``"dot"`` (`UniMP <https://arxiv.org/abs/2009.03509>`_):
      :math:`\mathbf{q}_i^\top (\mathbf{k}_j + \mathbf{e}_{ij}) / \sqrt{K}`, and the value is
      :math:`\mathbf{v}_j + \mathbf{e}_{ij}`, which needs :math:`K = C`.

    Args:
        query: What the target nodes ask.
        key: What the source nodes answer.
        value: What the source nodes send.
        edge_index: Row 0 holds the source :math:`j`, row 1 the target :math:`i` of every edge, as int64 (int32 is
            converted). Parallel edges each count; self-loops are edges like any other.
        score: How a query and a key become a score.
        att: The vector :math:`\mathbf{a}` of ``"additive-dynamic"``.
        edge_attr: Raw edge features; given together with `edge_weight`.
        edge_weight: The matrix :math:`\mathbf{W}` that projects them, as `torch.nn.Linear` stores it. Raw
            features and matrix come apart so that a kernel may project without holding the result.
        negative_slope: Slope of the LeakyReLU.
        dropout: Probability with which an attention weight is zeroed, and the others scaled up to match. Pass
            0 outside training.
        return_attention_weights: Also return :math:`\alpha_{ij}` as applied, after dropout.
        implementation: Which kernel computes it; ``"auto"`` chooses.

    Shapes:
        - **query:** :math:`(N_t, H, K)`, **key:** :math:`(N_s, H, K)`, **value:** :math:`(N_s, H, C)`
        - **edge_index:** :math:`(2, E)`, **att:** :math:`(H, K)`
        - **edge_attr:** :math:`(E, D)`, **edge_weight:** :math:`(H \cdot K, D)`
        - **output:** :math:`(N_t, H, C)`, exactly zero for a node without incoming edges; the attention
          weights :math:`(E, H)` in the order of `edge_index`.

    Raises:
        ValueError: An argument does not fit; the message names it, what was expected and what was found.
    """
    if implementation not in _IMPLEMENTATIONS:
        raise ValueError(f"implementation must be one of {', '.join(_IMPLEMENTATIONS)}; found {implementation!r}.")
    _check_nodes(query, key, value, score)
    _check_edge_index(edge_index, num_sources=key.size(0), num_targets=query.size(0))
    _check_att(att, query, score)
    _check_edge_features(edge_attr, edge_weight, edge_index, query, value, score)
    _check_devices(
        query,
        key=key,
        value=value,
        edge_index=edge_index,
        att=att,
        edge_attr=edge_attr,
        edge_weight=edge_weight,
    )

    out, weights = _IMPLEMENTATIONS[implementation](
        query,
        key,
        value,
        edge_index.long(),
        score=score,
        att=att,
        edge_attr=edge_attr,
        edge_weight=edge_weight,
        negative_slope=negative_slope,
        dropout=dropout,
    )
    return (out, weights) if return_attention_weights else out


def _check_nodes(query: Tensor, key: Tensor, value: Tensor, score: str) -> None:
    if score not in get_args(Score):
        raise ValueError(f"score must be one of {', '.join(get_args(Score))}; found {score!r}.")
    for name, tensor in (("query", query), ("key", key), ("value", value)):
        if tensor.dim() != 3 or not tensor.is_floating_point():
            raise ValueError(f"{name} must be floating point [nodes, heads, channels]; found {_found(tensor)}.")
    heads, key_channels = query.shape[1:]
    if score == "additive" and key_channels != 1:
        raise ValueError(f"query must have shape [N_target, H, 1] for score='additive'; found {list(query.shape)}.")
    if key.shape[1:] != query.shape[1:]:
        raise ValueError(
            f"key must have shape [N_source, {heads}, {key_channels}], the heads and channels of query; "
            f"found {list(key.shape)}."
        )
    if value.shape[:2] != key.shape[:2]:
        raise ValueError(
            f"value must have shape [{key.size(0)}, {heads}, C], the nodes and heads of key; found {list(value.shape)}."
        )


def _check_edge_index(edge_index: Tensor, num_sources: int, num_targets: int) -> None:
    if edge_index.dtype not in (torch.int64, torch.int32) or edge_index.dim() != 2 or edge_index.size(0) != 2:
        raise ValueError(f"edge_index must be int64 of shape [2, E]; found {_found(edge_index)}.")
    # The range is data, not shape: a graph compiler must not be made to wait for it.
    if torch.compiler.is_compiling() or edge_index.numel() == 0:
        return
    for row, name, num_nodes in ((0, "source", num_sources), (1, "target", num_targets)):
        lowest, highest = (int(bound) for bound in edge_index[row].aminmax())
        if lowest < 0 or highest >= num_nodes:
            raise ValueError(
                f"edge_index must hold {name} nodes from 0 to {num_nodes - 1} in row {row}; "
                f"found {lowest} to {highest}."
            )


def _check_att(att: Tensor | None, query: Tensor, score: str) -> None:
    expected = list(query.shape[1:])
    if score != "additive-dynamic":
        if att is not None:
            raise ValueError(f"att must be None for score={score!r}; found shape {list(att.shape)}.")
    elif att is None or list(att.shape) != expected:
        found = None if att is None else list(att.shape)
        raise ValueError(f"att must have shape {expected}, the heads and channels of query; found {found}.")


def _check_edge_features(
    edge_attr: Tensor | None,
    edge_weight: Tensor | None,
    edge_index: Tensor,
    query: Tensor,
    value: Tensor,
    score: str,
) -> None:
    if edge_attr is None and edge_weight is None:
        return
    if edge_attr is None or edge_weight is None:
        missing, given = ("edge_attr", "edge_weight") if edge_attr is None else ("edge_weight", "edge_attr")
        raise ValueError(f"{missing} must be given together with {given}; found None.")
    num_edges = edge_index.size(1)
    if edge_attr.dim() != 2 or edge_attr.size(0) != num_edges:
        raise ValueError(f"edge_attr must have shape [{num_edges}, D], a row per edge; found {list(edge_attr.shape)}.")
    expected = [query.size(1) * query.size(2), edge_attr.size(1)]
    if list(edge_weight.shape) != expected:
        raise ValueError(
            f"edge_weight must have shape {expected}, heads * channels of query by features of edge_attr; "
            f"found {list(edge_weight.shape)}."
        )
    if score == "dot" and value.shape[2] != query.shape[2]:
        raise ValueError(
            f"value must have {query.size(2)} channels, as query has, because score='dot' adds the edge "
            f"features to both key and value; found {list(value.shape)}."
        )


def _check_devices(query: Tensor, **others: Tensor | None) -> None:
    for name, tensor in others.items():
        if tensor is not None and tensor.device != query.device:
            raise ValueError(f"{name} must be on {query.device}, where query is; found it on {tensor.device}.")


def _found(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} of shape {list(tensor.shape)}"
