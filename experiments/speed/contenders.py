"""Who takes part in the layer benchmark, what a step is, and whether they compute the same."""

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch_geometric.nn as pyg
from graphs import IN_CHANNELS, Graph
from torch import Tensor, nn

import gatlib.nn

LAYERS = ("GATConv", "GATv2Conv", "TransformerConv")
OURS, EAGER, COMPILED, DGL = "gatlib", "pyg eager", "pyg compiled", "dgl"
CONTENDERS = (OURS, EAGER, COMPILED, DGL)
MODES = ("infer", "train")
HEADS, CHANNELS, EDGE_DIM = 8, 16, 16
TOLERANCE = 1e-5
WATCHED_NODES = 1000


def contender(who: str, layer: str, edge_dim: int, device: str) -> nn.Module | None:
    """The layer with the same weights for everyone; None where there is no such layer."""
    if who == DGL:
        return _dgl_layer(layer, edge_dim, device)
    conv = _pyg_layer(pyg, layer, edge_dim).to(device)
    if who == OURS:
        ours = _pyg_layer(gatlib.nn, layer, edge_dim).to(device)
        ours.load_state_dict(conv.state_dict())
        return ours
    return torch.compile(conv, dynamic=False) if who == COMPILED else conv


def contenders(layer: str, edge_dim: int, device: str) -> dict[str, nn.Module]:
    torch.compiler.reset()  # else the compiler gives up after eight layers, and PyG would run uncompiled
    found = {who: contender(who, layer, edge_dim, device) for who in CONTENDERS}
    return {who: module for who, module in found.items() if module is not None}


def _pyg_layer(package: Any, layer: str, edge_dim: int) -> nn.Module:
    torch.manual_seed(0)
    # With self-loops added, PyG's layers do not compile to one graph.
    options = {} if layer == "TransformerConv" else {"add_self_loops": False}
    conv: nn.Module = getattr(package, layer)(IN_CHANNELS, CHANNELS, HEADS, edge_dim=edge_dim or None, **options)
    with torch.no_grad():
        for parameter in conv.parameters():
            parameter.mul_(64).round_().div_(64)  # see graphs._random_features
    return conv


def import_dgl() -> Any:
    """DGL, or None: its builds fit few releases of PyTorch and fail in several ways with the others."""
    os.environ.setdefault("DGLBACKEND", "pytorch")  # else it prints that it chose this, and writes it to a file
    try:
        import dgl.nn
    except (ImportError, OSError):
        return None
    return dgl


def _dgl_layer(layer: str, edge_dim: int, device: str) -> nn.Module | None:
    """DGL has no TransformerConv like PyG's, and its GATConv and GATv2Conv take no edge features."""
    dgl = import_dgl()
    if dgl is None or layer == "TransformerConv" or edge_dim:
        return None
    weights = _pyg_layer(pyg, layer, 0).state_dict()
    conv = getattr(dgl.nn, layer)(IN_CHANNELS, CHANNELS, HEADS, allow_zero_in_degree=True)
    if layer == "GATConv":
        renamed = {"fc.weight": "lin.weight", "attn_l": "att_src", "attn_r": "att_dst", "bias": "bias"}
    else:
        renamed = {f"fc_{new}.{part}": f"lin_{old}.{part}" for new, old in (("src", "l"), ("dst", "r"))
                   for part in ("weight", "bias")} | {"attn": "att"}  # fmt: skip
    conv.load_state_dict({name: weights[source] for name, source in renamed.items()})
    return _DGLLayer(dgl, conv).to(device)


class _DGLLayer(nn.Module):
    """DGL's layer called as PyG's is. Its graph is made once for each `edge_index`, outside what is timed."""

    def __init__(self, dgl: Any, conv: nn.Module) -> None:
        super().__init__()
        self.dgl, self.conv = dgl, conv
        self.edge_index: Tensor | None = None

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: None) -> Tensor:
        if edge_index is not self.edge_index:
            self.graph = self.dgl.graph((edge_index[0], edge_index[1]), num_nodes=x.size(0))
            self.edge_index = edge_index
        out: Tensor = self.conv(self.graph, x)
        return out.flatten(start_dim=1)


def step_of(layer: nn.Module, graph: Graph, mode: str) -> Callable[[], None]:
    """One training step of a hidden layer (all gradients, that of x too), or one inference."""
    layer.train(mode == "train")
    return partial(_train_step if mode == "train" else _infer_step, layer, graph)


def clear_gradients(layer: nn.Module, graph: Graph) -> None:
    layer.zero_grad()
    graph.x.grad = None


def _train_step(layer: nn.Module, graph: Graph) -> None:
    clear_gradients(layer, graph)
    layer(graph.x, graph.edge_index, graph.edge_attr).square().sum().backward()


def _infer_step(layer: nn.Module, graph: Graph) -> None:
    with torch.no_grad():
        layer(graph.x, graph.edge_index, graph.edge_attr)


def check_agreement(layer: str, edge_dim: int, modules: dict[str, nn.Module], graph: Graph, sample: bool) -> float:
    """Outputs and all gradients against PyG's layer in float64; ends the run where they differ.

    What counts is the largest difference relative to the largest value. It must stay below 1e-5, or below twice that of
    PyG's own layer in float32, whose sums over a hub or over all edges may round off more.

    Args:
        layer: its name.
        edge_dim: its edge features, 0 for none.
        modules: who is checked.
        graph: on what.
        sample: only look at 1,000 nodes, for which PyG needs no other edges than theirs: where it cannot have all.

    Returns:
        The largest difference that was found in ours.

    Raises:
        SystemExit: it names the layer, the tensor and the difference.
    """
    device = graph.x.device
    watched, reached = slice(None), graph
    if sample:
        watched = torch.randperm(graph.x.size(0), generator=torch.Generator().manual_seed(2))[:WATCHED_NODES].to(device)
        edges = torch.isin(graph.edge_index[1], watched).nonzero().squeeze(1)
        reached = graph._replace(
            edge_index=graph.edge_index[:, edges],
            edge_attr=None if graph.edge_attr is None else graph.edge_attr[edges],
        )
    double = Graph(
        reached.x.detach().double().requires_grad_(),
        reached.edge_index,
        None if reached.edge_attr is None else reached.edge_attr.double(),
    )
    theirs = _pyg_layer(pyg, layer, edge_dim).to(device)
    rounded = _results(theirs, reached, watched)
    exact = _results(theirs.double(), double, watched)
    rounding = _differences(exact, rounded)
    largest = 0.0
    for who, module in modules.items():
        for name, difference in _differences(exact, _results(module, graph, watched)).items():
            if not difference <= max(TOLERANCE, 2 * rounding[name]):  # so that NaN is refused too
                raise SystemExit(
                    f"{layer} of {who}: {name} differs from PyG's in float64 by {difference:.1e} of the largest value: "
                    "no speed is reported"
                )
            largest = max(largest, difference) if who == OURS else largest
    graph.x.grad = None
    return largest


def _results(module: nn.Module, graph: Graph, watched: slice | Tensor) -> dict[str, Tensor]:
    module.train()
    clear_gradients(module, graph)
    out = module(graph.x, graph.edge_index, graph.edge_attr)[watched]
    out.square().sum().backward()
    assert graph.x.grad is not None
    results = {"output": out.detach(), "gradient of x": graph.x.grad}
    module.eval()
    with torch.no_grad():
        results["output of inference"] = module(graph.x, graph.edge_index, graph.edge_attr)[watched]
    if not isinstance(module, _DGLLayer):  # whose parameters have other names
        for name, parameter in module.named_parameters():
            gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.clone()
            results[f"gradient of {name.removeprefix('_orig_mod.')}"] = gradient
    return results


def _differences(expected: dict[str, Tensor], found: dict[str, Tensor]) -> dict[str, float]:
    """Relative to the largest value. A bias is measured by the gradient of its weight where that is larger, because the
    gradient of TransformerConv's key bias is zero but for rounding."""
    largest: dict[str, float] = {}
    for name, tensor in expected.items():
        group = name.split(".")[0]
        largest[group] = max(largest.get(group, 0.0), float(tensor.abs().max()))
    return {
        name: float((tensor.double() - expected[name]).abs().max()) / (largest[name.split(".")[0]] or 1.0)
        for name, tensor in found.items()
    }
