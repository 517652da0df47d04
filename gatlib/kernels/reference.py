"""Edge attention in plain PyTorch: the definition every faster kernel must agree with.

Any device, any floating dtype, twice differentiable. Tensors of shape [edges, heads, channels] are what
makes attention on graphs expensive, so they are made for one chunk of edges at a time and made again in the
backward pass; only the scores [edges, heads] live for all edges. A small graph is a single chunk and does
nothing twice.
"""

import math
from collections.abc import Callable
from functools import cache, reduce

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from gatlib.kernels.dropout import keep_mask
from gatlib.kernels.interface import Normaliser, Score
from gatlib.kernels.sparsemax import relative_to_highest, sparsemax

# Up to this many elements, [edges, heads, channels] is held at once. 2**22 float32 are 16 MiB: small enough
# for the allocator to reuse the memory from chunk to chunk, large enough for a batch of molecules to be one.
CHUNK_ELEMENTS = 2**22


def edge_attention(
    query: Tensor,  # [N_target, H, K]
    key: Tensor,  # [N_source, H, K]
    value: Tensor,  # [N_source, H, C]
    edge_index: Tensor,  # [2, E]
    *,
    score: Score,
    att: Tensor | None,  # [H, K]
    edge_attr: Tensor | None,  # [E, D]
    edge_weight: Tensor | None,  # [H * K, D]
    bias: Tensor | None,  # [E, H]
    negative_slope: float,
    normaliser: Normaliser,
    dropout: float,
    seed: Tensor,  # []
    add_self_loops: bool,
    return_attention_weights: bool,
) -> tuple[Tensor, Tensor | None]:
    """Returns the output [N_target, H, C] and, if asked for, the applied weights [E, H]; see `gatlib.nn.functional`.

    With `add_self_loops`, E counts the edges and then the added loops. The arguments are taken as valid: the
    functional front door has checked them.
    """
    source, target = edge_index
    (num_targets, heads, key_channels), (num_sources, _, channels) = query.shape, value.shape
    kept = None
    if add_self_loops:
        source, target, kept = _with_self_loops(source, target, min(num_sources, num_targets))
        if edge_attr is not None:
            # What is left out may hold anything, even NaN.
            edge_attr = edge_attr.masked_fill(~kept, 0)
    width, num_nodes = heads * max(key_channels, channels), max(num_sources, num_targets)
    chunks = _chunks_of_edges(source.numel(), width, num_nodes)

    # Half precision is for storage: sums over a thousand neighbours need float32.
    weight_dtype = _promote(query, key, att, bias)
    dtype = torch.promote_types(weight_dtype, value.dtype)
    wide = torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype

    def gather_source(nodes: Tensor, start: int, stop: int) -> Tensor:  # [chunk, H, K or C]
        return nodes.index_select(0, source[start:stop]).to(wide)

    def project_edges(start: int, stop: int) -> Tensor:  # [chunk, H, K]
        assert edge_attr is not None
        assert edge_weight is not None
        return F.linear(edge_attr[start:stop], edge_weight).view(-1, heads, key_channels).to(wide)

    if len(chunks) == 1 and not torch.compiler.is_compiling():
        # What scores and messages have in common is made once; several chunks could share it only by holding it,
        # and a graph compiler finds it by itself.
        gather_source, project_edges = cache(gather_source), cache(project_edges)

    def score_edges(start: int, stop: int) -> Tensor:  # [chunk, H]
        query_i = query.index_select(0, target[start:stop]).to(wide)
        key_j = gather_source(key, start, stop)
        if score == "dot":
            if edge_attr is not None:
                key_j = key_j + project_edges(start, stop)
            return (query_i * key_j).sum(dim=-1) / math.sqrt(key_channels)
        hidden = query_i + key_j
        if edge_attr is not None:
            hidden = hidden + project_edges(start, stop)
        hidden = F.leaky_relu(hidden, negative_slope)
        return hidden.squeeze(-1) if att is None else (hidden * att).sum(dim=-1)

    def weigh_values(start: int, stop: int) -> Tensor:  # [chunk, H, C]
        value_j = gather_source(value, start, stop)
        if score == "dot" and edge_attr is not None:
            value_j = value_j + project_edges(start, stop)
        return weights[start:stop].unsqueeze(-1) * value_j

    # 1. One score per edge and head.
    scores = torch.cat([_recomputed(score_edges, chunk, chunks) for chunk in chunks])
    if bias is not None:
        scores = scores + bias

    # 2. Weights, by what the incoming edges of every target node score.
    weights = _normalise(scores, target, num_targets, normaliser, kept)
    if dropout > 0:
        keep = keep_mask(seed, source.numel(), heads, dropout).to(weights.dtype)
        weights = weights * (keep / (1 - dropout) if dropout < 1 else keep)

    # 3. The weighted sum of the values.
    out = value.new_zeros(num_targets, heads, channels, dtype=wide)
    for start, stop in chunks:
        messages = _recomputed(weigh_values, (start, stop), chunks)
        # Not `index_add_`: for its backward pass that would save the messages, merely to know their shape.
        out.scatter_add_(0, target[start:stop].view(-1, 1, 1).expand_as(messages), messages)
    return out.to(dtype), weights.to(weight_dtype) if return_attention_weights else None


def _with_self_loops(source: Tensor, target: Tensor, num_loops: int) -> tuple[Tensor, Tensor, Tensor]:
    """The edges followed by a self-loop for each node, and which of them to keep, [E, 1].

    Edges that are self-loops already are not kept: they stay in place without weight, so that no shape depends on the
    data.
    """
    loops = torch.arange(num_loops, device=source.device)
    kept = torch.cat([source != target, torch.ones_like(loops, dtype=torch.bool)])
    return torch.cat([source, loops]), torch.cat([target, loops]), kept.unsqueeze(-1)


def _normalise(
    scores: Tensor,
    target: Tensor,
    num_targets: int,
    normaliser: Normaliser,
    kept: Tensor | None,
) -> Tensor:
    """From scores to weights, [E, H]; zero for edges that are not kept."""
    if kept is not None:
        scores = scores.masked_fill(~kept, -math.inf)
    if normaliser == "softmax":
        weights = _softmax(scores, target, num_targets)
    elif normaliser == "sparsemax":
        weights = sparsemax(scores, target, num_targets)
    elif normaliser == "sigmoid":
        weights = scores.sigmoid()
    else:
        edges = scores.new_ones(target.shape) if kept is None else kept.squeeze(-1).to(scores.dtype)
        degree = scores.new_zeros(num_targets).scatter_add_(0, target, edges)
        weights = scores.relu() / degree.index_select(0, target).unsqueeze(-1)
    # The NaN of a node is not for edges that are no longer there.
    return weights if kept is None else weights.masked_fill(~kept, 0)


def _softmax(scores: Tensor, target: Tensor, num_targets: int) -> Tensor:
    """Softmax of the scores [E, H] over the edges that share a target node; zeros where all of them are -inf."""
    index = target.unsqueeze(-1).expand_as(scores)
    numerator = relative_to_highest(scores, target, num_targets).exp()
    denominator = scores.new_zeros(num_targets, scores.size(1)).scatter_add_(0, index, numerator)
    return numerator / denominator.masked_fill(denominator == 0, 1).index_select(0, target)


def _chunks_of_edges(num_edges: int, width: int, num_nodes: int) -> list[tuple[int, int]]:
    """Cuts the edges into spans so that one chunk of [edges, width] has about `CHUNK_ELEMENTS` elements.

    The backward pass of every chunk writes gradients the size of the node tensors, so a chunk of fewer edges
    than there are nodes would cost time and save no memory.
    """
    if torch.compiler.is_compiling():  # the number of edges may change, and what is fused is not held
        return [(0, num_edges)]
    step = max(CHUNK_ELEMENTS // max(width, 1), num_nodes, 1)
    return [(start, min(start + step, num_edges)) for start in range(0, max(num_edges, 1), step)]


def _recomputed(
    function: Callable[[int, int], Tensor],
    chunk: tuple[int, int],
    chunks: list[tuple[int, int]],
) -> Tensor:
    """Calls `function(*chunk)`; if there are several chunks, saves nothing inside for the backward pass."""
    if len(chunks) == 1:
        return function(*chunk)
    # No chunk draws random numbers, so there is no generator state to keep.
    out: Tensor = checkpoint(function, *chunk, use_reentrant=False, preserve_rng_state=False)
    return out


def _promote(*tensors: Tensor | None) -> torch.dtype:
    return reduce(torch.promote_types, [tensor.dtype for tensor in tensors if tensor is not None])
