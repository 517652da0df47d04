"""The graphs and networks of the benchmark of whole trainings, what an epoch is, and whether all learn the same."""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
import torch_geometric.nn as pyg
from contenders import COMPILED, EAGER, OURS
from graphs import power_law
from torch import Tensor, nn

from gatlib.models import NodeArchitecture, NodeAttentionNetwork
from gatlib.network.datasets import read_network_dataset
from gatlib.nn.sparse_linear import take_rows, taking_sparse_input
from gatlib.training.node_parts import induced_subgraph
from gatlib.training.node_recipe import NodeRecipe
from gatlib.training.node_tensors import node_tensors

FACEBOOK, SOCIAL = "facebook", "social"
GRAPHS = (FACEBOOK, SOCIAL)
EAGER_SPARSE = "pyg eager, sparse x"
# The self-loops are among the edges: with PyG's own the network does not compile to one graph.
SETTINGS = NodeArchitecture(conv="gatv2", hidden_channels=64, heads=8, num_layers=3, self_loops=False)
SOCIAL_NODES, SOCIAL_FEATURES, CLASSES = 1_000_000, 64, 4
EXPONENT = 0.6  # the number of friends then falls as degree^-2.7, as in most social networks
TRAIN_SHARE = 0.48
TOLERANCE = 1e-4


class Problem(NamedTuple):
    x: Tensor  # [N, F], torch.sparse_csr where most are zero
    edge_index: Tensor  # [2, E], with a self-loop for each node
    y: Tensor  # [N]
    train: Tensor  # nodes to learn from


def load_problem(name: str, small: bool = False) -> Problem:
    """The graph of this name, or with ``small`` a little one of its kind.

    Raises:
        InputError: its files are missing.
    """
    x, edge_index, y = facebook(small) if name == FACEBOOK else social(2_000 if small else SOCIAL_NODES)
    loops = torch.arange(len(y)).expand(2, -1)
    train = torch.randperm(len(y), generator=torch.Generator().manual_seed(3))[: int(TRAIN_SHARE * len(y))]
    return Problem(x, torch.cat([edge_index, loops], dim=1), y, train)


def facebook(small: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Facebook page-page (Rozemberczki et al., 2019), its 4,714 features as they stand in the file."""
    found = read_network_dataset("facebook")
    tensors = node_tensors(found.network, found.labels, found.target, NodeRecipe())
    if not small:
        return tensors.x, tensors.edge_index, tensors.y
    nodes = torch.arange(2_000)
    edge_index, _ = induced_subgraph(nodes, tensors.edge_index, len(tensors.y))
    return take_rows(tensors.x, nodes), edge_index, tensors.y[nodes]


def social(num_nodes: int) -> tuple[Tensor, Tensor, Tensor]:
    """Twenty edges per node, both directions counted, whose ends are drawn by a power law; random features."""
    _, pairs = power_law(num_nodes, 10 * num_nodes, EXPONENT)
    pairs = pairs[:, pairs[0] != pairs[1]]
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(num_nodes, SOCIAL_FEATURES, generator=generator)
    return x, torch.cat([pairs, pairs.flip(0)], dim=1), torch.randint(CLASSES, (num_nodes,), generator=generator)


def contenders(problem: Problem) -> list[str]:
    """Who takes part: dense features are no sparse ones."""
    sparse = [EAGER_SPARSE] if problem.x.layout == torch.sparse_csr else []
    return [OURS, EAGER, *sparse, COMPILED]


def network_of(who: str, problem: Problem) -> nn.Module:
    """The same network with the same weights for everyone, but for the attention layers."""
    torch.manual_seed(0)
    network = NodeAttentionNetwork(SETTINGS, problem.x.size(1), CLASSES)
    if who == OURS:
        return network
    for layer in network.layers:
        ours = layer.conv
        conv = pyg.GATv2Conv(ours.in_channels, ours.out_channels, ours.heads, add_self_loops=False)
        conv.load_state_dict(ours.state_dict())
        layer.conv = taking_sparse_input(conv) if who == EAGER_SPARSE else conv
    return torch.compile(network, dynamic=False) if who == COMPILED else network


def own_copy(who: str, problem: Problem) -> Problem:
    """A copy of the graph, with the features as the contender takes them: PyG's layers are for dense ones."""
    is_sparse, keeps_sparse = problem.x.layout == torch.sparse_csr, who in (OURS, EAGER_SPARSE)
    x = problem.x.to_dense() if is_sparse and not keeps_sparse else problem.x.clone()
    return problem._replace(x=x, edge_index=problem.edge_index.clone())


def epoch_of(network: nn.Module, problem: Problem) -> Callable[[], float]:
    """A step on the whole graph: forward, loss, backward, and Adam; it gives back the loss."""
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3, weight_decay=5e-4)
    x, edge_index, y, train = problem

    def epoch() -> float:
        optimizer.zero_grad()
        loss = F.cross_entropy(network(x, edge_index)[train], y[train])
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return epoch


def check_agreement(problem: Problem, networks: dict[str, nn.Module], epochs: int = 3) -> float:
    """Losses of the first epochs and outputs after them, without dropout, against PyG's; refuses what differs.

    Returns:
        the largest difference, relative to the largest value.

    Raises:
        SystemExit: it names who differs, in what, and by how much.
    """
    found = {}
    for who, network in networks.items():
        own = own_copy(who, problem)
        epoch = epoch_of(network.eval(), own)
        losses = torch.tensor([epoch() for _ in range(epochs)])
        with torch.no_grad():
            found[who] = {"losses": losses, "outputs": network(own.x, own.edge_index)}
    largest = 0.0
    for who, results in found.items():
        for name, expected in found[EAGER].items():
            difference = float((results[name] - expected).abs().max() / expected.abs().max())
            if not difference <= TOLERANCE:  # so that NaN is refused too
                raise SystemExit(
                    f"{who}: its {name} differ from those of {EAGER} by {difference:.1e} of the largest: "
                    "no speed is reported"
                )
            largest = max(largest, difference)
    return largest
