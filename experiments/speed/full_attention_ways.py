"""The ways to compute full attention within the graphs of a batch, and whether they compute the same.

A way is a function of a layer, `x` and `batch`. All start from these and end with rows in the order of `x`, so what a
way needs to know about the batch is in its time. Those around `scaled_dot_product_attention` project the nodes before
they pad or cut them, which is faster than after.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from contenders import OURS, TOLERANCE
from full_attention_batches import CHANNELS, Nodes, nodes_of
from torch import Tensor, nn
from torch_geometric.utils import to_dense_batch

from gatlib.nn.full_attention import FullAttention

HEADS = 4
BUCKETS = 8
SEEN = "gatlib, batch seen before"
GPS, JAGGED = "GPSConv's path", "jagged SDPA"

Way = Callable[[nn.Module, Tensor, Tensor], Tensor]
# Of projected nodes [N, 3, H, C / H] and `batch`, the heads side by side [N, C].
Attend = Callable[[Tensor, Tensor], Tensor]


def _gatlib(layer: nn.Module, x: Tensor, batch: Tensor) -> Tensor:
    """On a tensor that was not seen before: what gatlib works out about it is part of the time."""
    out: Tensor = layer(x, batch.clone())
    return out


def _gatlib_again(layer: nn.Module, x: Tensor, batch: Tensor) -> Tensor:
    """As in the second layer of a network and those after it, to which the same `batch` comes."""
    out: Tensor = layer(x, batch)
    return out


def _gps(layer: nn.Module, x: Tensor, batch: Tensor) -> Tensor:
    """What `torch_geometric.nn.GPSConv` does."""
    dense, mask = to_dense_batch(x, batch)
    out: Tensor = layer(dense, dense, dense, key_padding_mask=~mask, need_weights=False)[0]
    return out[mask]


def _projected(attend: Attend, layer: nn.Module, x: Tensor, batch: Tensor) -> Tensor:
    nodes = F.linear(x, layer.in_proj_weight, layer.in_proj_bias).unflatten(1, (3, HEADS, CHANNELS // HEADS))
    out: Tensor = layer.out_proj(attend(nodes, batch))
    return out


def _padded(nodes: Tensor, batch: Tensor) -> Tensor:
    dense, mask = to_dense_batch(nodes, batch)
    query, key, value = dense.permute(2, 0, 3, 1, 4)
    out = F.scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None, :])
    return out.transpose(1, 2).reshape(-1, CHANNELS).index_select(0, mask.flatten().nonzero().squeeze(1))


def _one_by_one(nodes: Tensor, batch: Tensor) -> Tensor:
    sizes = batch.bincount().tolist()
    graphs = zip(*(part.split(sizes, dim=2) for part in nodes.permute(1, 2, 0, 3).unsqueeze(1)), strict=True)
    out = torch.cat([F.scaled_dot_product_attention(*graph) for graph in graphs], dim=2)
    return out.squeeze(0).transpose(0, 1).flatten(start_dim=1)


def _by_size(layer: nn.Module, x: Tensor, batch: Tensor) -> Tensor:
    def attend(nodes: Tensor, _: Tensor, size: int) -> Tensor:
        query, key, value = nodes.unflatten(0, (-1, size)).permute(2, 0, 3, 1, 4)
        return F.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(-1, CHANNELS)

    return _in_groups(attend, batch.bincount(), layer, x, batch)


def _in_buckets(layer: nn.Module, x: Tensor, batch: Tensor) -> Tensor:
    """Buckets of equal width, which leave less padding to these batches than buckets of as many graphs each."""

    def attend(nodes: Tensor, graph: Tensor, _: int) -> Tensor:
        return _padded(nodes, graph.unique_consecutive(return_inverse=True)[1])

    sizes = batch.bincount()
    return _in_groups(attend, (sizes - 1) * BUCKETS // sizes.max(), layer, x, batch)


def _in_groups(
    attend: Callable[[Tensor, Tensor, int], Tensor], group_of_graph: Tensor, layer: nn.Module, x: Tensor, batch: Tensor
) -> Tensor:
    """Each group of graphs apart; `attend` gets its nodes, their graphs and the number of the group."""
    group = group_of_graph[batch]
    order = group.argsort(stable=True)
    counts = group.bincount()
    groups = counts.nonzero().squeeze(1)
    rows = counts[groups].tolist()

    def attend_all(nodes: Tensor, graph: Tensor) -> Tensor:
        parts = zip(nodes.split(rows), graph.split(rows), groups.tolist(), strict=True)
        return torch.cat([attend(*part) for part in parts])

    out = _projected(attend_all, layer, x.index_select(0, order), batch[order])
    return out.index_select(0, order.argsort())


def _jagged(nodes: Tensor, batch: Tensor) -> Tensor:
    ptr = F.pad(batch.bincount().cumsum(dim=0), (1, 0))
    query, key, value = (
        # On a CPU it takes contiguous tensors only.
        torch.nested.nested_tensor_from_jagged(part.contiguous(), ptr).transpose(1, 2)
        for part in nodes.unbind(dim=1)
    )
    return F.scaled_dot_product_attention(query, key, value).transpose(1, 2).values().flatten(start_dim=1)


WAYS: dict[str, Way] = {
    OURS: _gatlib,
    SEEN: _gatlib_again,
    GPS: _gps,
    "padded SDPA": partial(_projected, _padded),
    "SDPA in a loop": partial(_projected, _one_by_one),
    "SDPA by exact size": _by_size,
    f"SDPA in {BUCKETS} buckets": _in_buckets,
    JAGGED: partial(_projected, _jagged),
}


def ways_here() -> dict[str, Way]:
    """All but jagged tensors, where this PyTorch has no attention over them on a CPU."""
    try:
        _results(JAGGED, WAYS[JAGGED], nodes_of([2, 3]))
    except RuntimeError as error:
        print(f"{JAGGED}: left out, {error}")
        return {who: way for who, way in WAYS.items() if who != JAGGED}
    return WAYS


def layer_of(who: str) -> nn.Module:
    """The layer that a way takes, with the same weights for everyone."""
    torch.manual_seed(0)
    theirs = nn.MultiheadAttention(CHANNELS, HEADS, batch_first=True)
    with torch.no_grad():
        for bias in (theirs.in_proj_bias, theirs.out_proj.bias):  # zero by default, and any mistake about them unseen
            bias.normal_()
    if who not in (OURS, SEEN):
        return theirs
    ours = FullAttention(CHANNELS, HEADS)
    ours.load_state_dict(theirs.state_dict())
    return ours


def step_of(way: Way, layer: nn.Module, nodes: Nodes, mode: str) -> Callable[[], None]:
    """One training step of a hidden layer (all gradients, that of x too), or one inference."""
    layer.train(mode == "train")
    return partial(_train_step if mode == "train" else _infer_step, way, layer, nodes)


def clear_gradients(layer: nn.Module, nodes: Nodes) -> None:
    layer.zero_grad()
    nodes.x.grad = None


def _train_step(way: Way, layer: nn.Module, nodes: Nodes) -> None:
    clear_gradients(layer, nodes)
    way(layer, nodes.x, nodes.batch).square().sum().backward()


def _infer_step(way: Way, layer: nn.Module, nodes: Nodes) -> None:
    with torch.no_grad():
        way(layer, nodes.x, nodes.batch)


def check_agreement(ways: dict[str, Way], nodes: Nodes) -> float:
    """Outputs and all gradients against GPSConv's path in float64; ends the run where they differ.

    What counts is the largest difference relative to the largest value, which must stay below 1e-5.

    Returns:
        The largest difference that was found.

    Raises:
        SystemExit: it names the way, the tensor and the difference.
    """
    double = Nodes(nodes.x.detach().double().requires_grad_(), nodes.batch)
    exact = _results(GPS, _gps, double)
    largest = 0.0
    for who, way in ways.items():
        for name, found in _results(who, way, nodes).items():
            difference = float((found - exact[name]).abs().max() / exact[name].abs().max())
            if not difference <= TOLERANCE:  # so that NaN is refused too
                raise SystemExit(
                    f"{who}: {name} differs from {GPS} in float64 by {difference:.1e} of the largest value: "
                    "no speed is reported"
                )
            largest = max(largest, difference)
    return largest


def _results(who: str, way: Way, nodes: Nodes) -> dict[str, Tensor]:
    layer = layer_of(who).to(nodes.x.dtype)
    nodes.x.grad = None
    out = way(layer, nodes.x, nodes.batch)
    out.square().sum().backward()
    assert nodes.x.grad is not None
    results = {"output": out.detach(), "gradient of x": nodes.x.grad}
    results |= {f"gradient of {name}": parameter.grad for name, parameter in layer.named_parameters()}
    nodes.x.grad = None
    layer.eval()
    with torch.no_grad():
        results["output of inference"] = way(layer, nodes.x, nodes.batch)
    return results
