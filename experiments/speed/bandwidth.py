"""The least time that memory allows for attention on a graph, and how far the layers are from it.

Every edge needs rows of other nodes, which lie anywhere in memory; the rows of its own node are read one after the
other. So the floor is

    edges * (wide * H * C + narrow * H) * 4 bytes / rate of gathering random rows
    + nodes * streamed * H * C * 4 bytes / rate of copying

with the constants of `TRAFFIC`. Left out: the indices of the edges (8 of over 500 bytes), arithmetic, and the products
of x with the weights, which are in the time of the layer but not in the floor.
"""

from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from contenders import CHANNELS, HEADS, MODES, OURS, contender, step_of
from graphs import Graph
from timing import quartiles, ratios, take_turns

FLOAT_BYTES = 4
COPY_FLOATS = 2**26  # 256 MiB, more than any cache


class Traffic(NamedTuple):
    wide: int  # rows [H, C] gathered per edge
    narrow: int  # rows [H] gathered per edge, or written and read again in another order
    streamed: int  # rows [H, C] read or written once per node


# Backward, a walk over the edges by target gathers value and key and writes a record of two numbers per head (and for
# GATv2 a bit per channel, as much as another row [H]); a walk by source gathers the records, grad_out, and the query
# where the gradient of the key needs it.
TRAFFIC: dict[str, dict[str, Traffic]] = {
    "GATConv": {
        "forward": Traffic(wide=1, narrow=1, streamed=1),  # value, key; out
        "backward": Traffic(wide=2, narrow=5, streamed=2),  # value, grad_out; key, records; grad_out, grad_value
    },
    "GATv2Conv": {  # the key is the value
        "forward": Traffic(wide=1, narrow=0, streamed=2),  # key; query, out
        "backward": Traffic(wide=2, narrow=5, streamed=5),  # key, grad_out; records; query, key, grad_out, 2 gradients
    },
    "TransformerConv": {
        "forward": Traffic(wide=2, narrow=0, streamed=2),  # key, value; query, out
        "backward": Traffic(wide=4, narrow=4, streamed=5),  # all four; records; query, grad_out, 3 gradients
    },
}


def edge_bytes(layer: str, mode: str, edges: int) -> int:
    parts = _parts(layer, mode)
    return sum(edges * (part.wide * HEADS * CHANNELS + part.narrow * HEADS) * FLOAT_BYTES for part in parts)


def node_bytes(layer: str, mode: str, nodes: int) -> int:
    return sum(nodes * part.streamed * HEADS * CHANNELS * FLOAT_BYTES for part in _parts(layer, mode))


def _parts(layer: str, mode: str) -> list[Traffic]:
    return [TRAFFIC[layer][part] for part in (("forward", "backward") if mode == "train" else ("forward",))]


def floor_rows(layers: list[str], graph: Graph, rounds: int) -> list[dict]:
    """How many times the floor each layer takes; memory and layer take turns."""
    device = graph.x.device
    nodes, edges = graph.x.size(0), graph.edge_index.size(1)
    table = torch.randn(nodes, HEADS * CHANNELS, device=device)
    sources, out = graph.edge_index[0].contiguous(), torch.empty(edges, HEADS * CHANNELS, device=device)
    starts = torch.arange(0, edges, max(edges // nodes, 1), device=device)
    block = torch.ones(COPY_FLOATS, device=device)
    memory = {
        "copy": partial(torch.empty_like(block).copy_, block),
        # Two ways to read random rows: with a sum over each node's, or with writing all of them; the faster counts.
        "bag": partial(F.embedding_bag, sources, table, starts, mode="sum"),
        "select": partial(torch.index_select, table, 0, sources, out=out),
    }
    rows = []
    for layer in layers:
        for mode in MODES:
            module = contender(OURS, layer, 0, str(device))
            assert module is not None
            seconds = take_turns({**memory, "layer": step_of(module, graph, mode)}, rounds)
            gather = [edges * HEADS * CHANNELS * FLOAT_BYTES / min(pair)
                      for pair in zip(seconds["bag"], seconds["select"], strict=True)]  # fmt: skip
            copy = [2 * block.numel() * FLOAT_BYTES / each for each in seconds["copy"]]
            floors = [
                edge_bytes(layer, mode, edges) / gathered + node_bytes(layer, mode, nodes) / copied
                for gathered, copied in zip(gather, copy, strict=True)
            ]
            median, first, third = quartiles(ratios(seconds["layer"], floors))
            rows.append(
                {
                    "layer": layer,
                    "mode": mode,
                    "edge_mb": round(edge_bytes(layer, mode, edges) / 1e6),
                    "node_mb": round(node_bytes(layer, mode, nodes) / 1e6),
                    "gather_gb_per_second": round(quartiles(gather)[0] / 1e9, 1),
                    "copy_gb_per_second": round(quartiles(copy)[0] / 1e9, 1),
                    "times_floor_median": round(median, 2),
                    "times_floor_q1": round(first, 2),
                    "times_floor_q3": round(third, 2),
                    "rounds": rounds,
                }
            )
    return rows
