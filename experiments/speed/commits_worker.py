"""What commits.py times: for each line that comes in, the seconds of CPU time of some training steps go out."""

import sys
import time

import torch

import gatlib.nn


def main() -> None:
    num_nodes, num_edges, layer, edges = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
    torch.manual_seed(0)
    x = torch.randn(num_nodes, 64, requires_grad=True)
    step_of = _over_all_nodes if layer == "FullAttention" else _over_edges
    step, graph = step_of(layer, x, num_edges)
    # A short step is repeated: the clock counts in larger steps than it takes.
    repeats = min(200, max(1, 100_000 // num_edges))
    for _ in sys.stdin:
        copies = [graph.clone() if edges == "new" else graph for _ in range(repeats)]
        start = time.process_time()
        for copy in copies:
            step(copy)
        print((time.process_time() - start) / repeats, flush=True)


def _over_edges(layer, x, num_edges):  # type: ignore[no-untyped-def]
    conv = getattr(gatlib.nn, layer)(64, 16, heads=8)
    graph = torch.randint(x.size(0), (2, num_edges))
    return lambda edge_index: conv(x, edge_index).sum().backward(), graph


def _over_all_nodes(layer, x, num_edges):  # type: ignore[no-untyped-def]
    attention = getattr(gatlib.nn, layer)(64, heads=8)
    batch = torch.arange(x.size(0)) // 23
    return lambda graph: attention(x, graph).sum().backward(), batch


if __name__ == "__main__":
    main()
