"""`edge_attention`: the one door through which every layer reaches a kernel."""

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal, get_args, overload

import torch
from torch import Tensor

from gatlib.kernels import reference
from gatlib.kernels.content import unwrapped
from gatlib.kernels.edge_range import check_range
from gatlib.kernels.interface import Normaliser, Score
from gatlib.kernels.one_node import is_transformed
from gatlib.nn.checks import describe

Implementation = Literal["auto", "reference", "cpu", "gpu"]

_FUSED_DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def _has_triton() -> bool:
    """Whether Triton is there, and recent enough to compile all of the kernels."""
    try:
        major, minor, *_ = version("triton").split(".")
    except PackageNotFoundError:
        return False
    return (int(major), int(minor)) >= (3, 5)


_HAS_TRITON = _has_triton()  # asked once: a graph compiler cannot trace the question


def _fused(*args: Any, **kwargs: Any) -> tuple[Tensor, Tensor | None]:
    from gatlib.kernels.operators import edge_attention  # the compilers behind it take long to import

    return edge_attention(*args, **kwargs)


_IMPLEMENTATIONS: dict[str, Callable[..., tuple[Tensor, Tensor | None]]] = {
    "reference": reference.edge_attention,
    "cpu": _fused,
    "gpu": _fused,
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
    bias: Tensor | None = ...,
    negative_slope: float = ...,
    normaliser: Normaliser = ...,
    dropout: float = ...,
    add_self_loops: bool = ...,
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
    bias: Tensor | None = ...,
    negative_slope: float = ...,
    normaliser: Normaliser = ...,
    dropout: float = ...,
    add_self_loops: bool = ...,
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
    bias: Tensor | None = None,
    negative_slope: float = 0.2,
    normaliser: Normaliser = "softmax",
    dropout: float = 0.0,
    add_self_loops: bool = False,
    return_attention_weights: bool = False,
    implementation: Implementation = "auto",
) -> Tensor | tuple[Tensor, Tensor]:
    r"""Attention of every target node over its incoming edges, and over nothing else.

    .. math::
        \mathbf{o}_i = \sum_{(j, i) \in \mathcal{E}} \alpha_{ij} \mathbf{v}_j

    for each head on its own. The weights :math:`\alpha_{ij}` come from the scores :math:`s_{ij}` of the edges into
    :math:`i`, of which there are :math:`|\mathcal{N}(i)|`:

    - ``"softmax"``: :math:`\exp s_{ij} / \sum_{(k, i) \in \mathcal{E}} \exp s_{ik}`
    - ``"sigmoid"`` (`Ramapuram et al. <https://arxiv.org/abs/2409.04431>`_): :math:`\sigma(s_{ij})`, so that each
      neighbour is judged on its own; their :math:`-\log n` can be given as `bias`
    - ``"relu"`` (`Wortsman et al. <https://arxiv.org/abs/2309.08586>`_):
      :math:`\max(s_{ij}, 0) / |\mathcal{N}(i)|`
    - ``"sparsemax"`` (`Martins & Astudillo <https://arxiv.org/abs/1602.02068>`_): the point of the probability
      simplex nearest to the scores, at which many weights are exactly zero.

    The score is, with the projected edge features :math:`\mathbf{e}_{ij} = \mathbf{W} \mathbf{a}_{ij}` (zero without
    `edge_attr`) and before `bias` is added,

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
        bias: Added to the score of each edge and head. An edge of bias :math:`-\infty` gets the weight 0.
        negative_slope: Slope of the LeakyReLU.
        normaliser: How the scores of a node become weights.
        dropout: Probability with which an attention weight is zeroed, and the others scaled up to match. Pass
            0 outside training. `torch.manual_seed` repeats a run, on every implementation alike.
        add_self_loops: Also attend to itself: every self-loop of `edge_index` is left out and one for each of the
            first :math:`\min(N_s, N_t)` nodes is put at the end. `edge_attr` and `bias`, if given, then have
            :math:`E + \min(N_s, N_t)` rows, the last of which belong to those self-loops; the returned weights too,
            with exactly zero for the self-loops that were left out.
        return_attention_weights: Also return :math:`\alpha_{ij}` as applied, after dropout.
        implementation: What computes it. ``"reference"`` is plain PyTorch, ``"cpu"`` and ``"gpu"`` are fused
            kernels; ``"auto"`` takes one of those where it can. Only the reference knows sparsemax and second
            derivatives. The fused kernels sort the edges of a graph once for as long as the tensor `edge_index`
            lives and its content stays the same, however it is written to.

    Shapes:
        - **query:** :math:`(N_t, H, K)`, **key:** :math:`(N_s, H, K)`, **value:** :math:`(N_s, H, C)`
        - **edge_index:** :math:`(2, E)`, **att:** :math:`(H, K)`
        - **edge_attr:** :math:`(E, D)`, **edge_weight:** :math:`(H \cdot K, D)`
        - **bias:** :math:`(E, H)`
        - **output:** :math:`(N_t, H, C)`, exactly zero for a node without incoming edges or whose scores all are
          :math:`-\infty`; the attention weights :math:`(E, H)` in the order of `edge_index`.

    Raises:
        ValueError: An argument does not fit; the message names it, what was expected and what was found.
        ModuleNotFoundError: ``"gpu"`` was asked for and Triton is not installed.
    """
    if torch.compiler.is_compiling() and torch.onnx.is_in_onnx_export():  # which knows PyTorch's own operations
        implementation = "reference"
    if implementation == "auto":
        implementation = choose_implementation(query, normaliser)
    edge_index = unwrapped(edge_index)
    _check_nodes(query, key, value, score)
    _check_edge_index(edge_index)
    num_edges = edge_index.size(1) + (min(key.size(0), query.size(0)) if add_self_loops else 0)
    _check_att(att, query, score)
    _check_edge_features(edge_attr, edge_weight, num_edges, query, value, score)
    _check_bias(bias, num_edges, query)
    _check_choices(normaliser, dropout, implementation)
    _check_devices(
        query,
        key=key,
        value=value,
        edge_index=edge_index,
        att=att,
        edge_attr=edge_attr,
        edge_weight=edge_weight,
        bias=bias,
    )
    _check_place(query.device, implementation)
    if implementation == "reference":  # the fused kernels check this once for each graph
        check_range(edge_index, num_sources=key.size(0), num_targets=query.size(0))

    if dropout > 0:
        seed = torch.randint(2**63 - 1, (), device=query.device)
    else:
        seed = torch.zeros((), dtype=torch.int64, device=query.device)
    out, weights = _IMPLEMENTATIONS[implementation](
        query,
        key,
        value,
        edge_index.long(),
        score=score,
        att=att,
        edge_attr=edge_attr,
        edge_weight=edge_weight,
        bias=bias,
        negative_slope=negative_slope,
        normaliser=normaliser,
        dropout=dropout,
        seed=seed,
        add_self_loops=add_self_loops,
        return_attention_weights=return_attention_weights,
    )
    return out if weights is None else (out, weights)


def choose_implementation(query: Tensor, normaliser: Normaliser) -> Implementation:
    """What ``"auto"`` stands for: a fused kernel where there is one, plain PyTorch elsewhere."""
    if normaliser == "sparsemax" or query.dtype not in _FUSED_DTYPES or is_transformed():
        return "reference"
    if query.device.type == "cpu":
        return "cpu"
    return "gpu" if query.device.type == "cuda" and _HAS_TRITON else "reference"


def _check_nodes(query: Tensor, key: Tensor, value: Tensor, score: str) -> None:
    if score not in get_args(Score):
        raise ValueError(f"score must be one of {', '.join(get_args(Score))}; found {score!r}.")
    for name, tensor in (("query", query), ("key", key), ("value", value)):
        if tensor.dim() != 3 or not tensor.is_floating_point():
            raise ValueError(f"{name} must be floating point [nodes, heads, channels]; found {describe(tensor)}.")
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


def _check_edge_index(edge_index: Tensor) -> None:
    if edge_index.dtype not in (torch.int64, torch.int32) or edge_index.dim() != 2 or edge_index.size(0) != 2:
        raise ValueError(f"edge_index must be int64 of shape [2, E]; found {describe(edge_index)}.")


def _check_att(att: Tensor | None, query: Tensor, score: str) -> None:
    expected = list(query.shape[1:])
    if score != "additive-dynamic":
        if att is not None:
            raise ValueError(f"att must be None for score={score!r}; found shape {list(att.shape)}.")
    elif att is None or list(att.shape) != expected or not att.is_floating_point():
        found = None if att is None else describe(att)
        raise ValueError(
            f"att must be floating point of shape {expected}, the heads and channels of query; found {found}."
        )


def _check_edge_features(
    edge_attr: Tensor | None,
    edge_weight: Tensor | None,
    num_edges: int,
    query: Tensor,
    value: Tensor,
    score: str,
) -> None:
    if edge_attr is None and edge_weight is None:
        return
    if edge_attr is None or edge_weight is None:
        missing, given = ("edge_attr", "edge_weight") if edge_attr is None else ("edge_weight", "edge_attr")
        raise ValueError(f"{missing} must be given together with {given}; found None.")
    if edge_attr.dim() != 2 or not _equal(edge_attr.size(0), num_edges) or not edge_attr.is_floating_point():
        raise ValueError(
            f"edge_attr must be floating point of shape [{num_edges}, D], a row per edge and added self-loop; "
            f"found {describe(edge_attr)}."
        )
    expected = [query.size(1) * query.size(2), edge_attr.size(1)]
    if list(edge_weight.shape) != expected or not edge_weight.is_floating_point():
        raise ValueError(
            f"edge_weight must be floating point of shape {expected}, heads * channels of query by features of "
            f"edge_attr; found {describe(edge_weight)}."
        )
    if score == "dot" and value.shape[2] != query.shape[2]:
        raise ValueError(
            f"value must have {query.size(2)} channels, as query has, because score='dot' adds the edge "
            f"features to both key and value; found {list(value.shape)}."
        )


def _check_bias(bias: Tensor | None, num_edges: int, query: Tensor) -> None:
    if bias is None:
        return
    fits = bias.dim() == 2 and _equal(bias.size(0), num_edges) and bias.size(1) == query.size(1)
    if not fits or not bias.is_floating_point():
        expected = [num_edges, query.size(1)]
        raise ValueError(
            f"bias must be floating point of shape {expected}, a row per edge and added self-loop by heads of query; "
            f"found {describe(bias)}."
        )


def _equal(found: int, expected: int) -> bool:
    """Whether two sizes are equal; a graph compiler, to which a size may be data, asks as the model runs."""
    if torch.compiler.is_compiling():
        torch._check(found == expected)
        return True
    return found == expected


def _check_choices(normaliser: str, dropout: float, implementation: str) -> None:
    if normaliser not in get_args(Normaliser):
        raise ValueError(f"normaliser must be one of {', '.join(get_args(Normaliser))}; found {normaliser!r}.")
    if not 0 <= dropout <= 1:
        raise ValueError(f"dropout must be a probability from 0 to 1; found {dropout}.")
    if implementation not in get_args(Implementation):
        raise ValueError(
            f"implementation must be one of {', '.join(get_args(Implementation))}; found {implementation!r}."
        )
    if normaliser == "sparsemax" and implementation != "reference":
        raise ValueError(
            f"implementation must be 'reference' (or 'auto') for normaliser='sparsemax'; found {implementation!r}."
        )


def _check_devices(query: Tensor, **others: Tensor | None) -> None:
    for name, tensor in others.items():
        if tensor is not None and tensor.device != query.device:
            raise ValueError(f"{name} must be on {query.device}, where query is; found it on {tensor.device}.")


def _check_place(device: torch.device, implementation: str) -> None:
    if implementation == "cpu" and device.type != "cpu":
        raise ValueError(f"query must be on the CPU for implementation='cpu'; found it on {device}.")
    if implementation == "gpu" and device.type != "cuda":
        raise ValueError(f"query must be on a CUDA device for implementation='gpu'; found it on {device}.")
    if implementation == "gpu" and not _HAS_TRITON:
        raise ModuleNotFoundError("implementation='gpu' needs Triton 3.5 or newer: pip install 'gatlib[gpu]'.")
