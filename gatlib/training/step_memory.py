"""A training step that would not fit into memory is refused before the first one.

The figures were measured on graphs of 100,000 to 500,000 nodes, see experiments/speed/LOG.md.
"""

import torch

from gatlib.errors import InputError
from gatlib.network.node_memory import bytes_per_edge, free_memory_on
from gatlib.training.node_recipe import NodeRecipe


def check_step_fits(recipe: NodeRecipe, num_nodes: int, num_edges: int, dense_features: int) -> None:
    """Refuse to begin what would end for want of memory, and say which key of the recipe helps.

    Args:
        recipe: the settings.
        num_nodes, num_edges: of the graph.
        dense_features: width of the features of a node; 0 where they are sparse.

    Raises:
        InputError: a step takes more than there is.
    """
    free = free_memory_on("cuda" if torch.cuda.is_available() else "cpu")
    needed = step_bytes(recipe, num_nodes, num_edges, dense_features)
    if needed <= free:
        return
    step = f"a training step on the whole graph of {num_nodes:,} nodes and {num_edges:,} edges"
    advice = "set batch_nodes in a recipe, to 10000 for instance"
    if recipe.batch_nodes:
        step = f"a training step with batch_nodes {recipe.batch_nodes}"
        advice = "set batch_nodes, neighbours or devices to less"
    checkpointed = recipe.model_copy(update={"checkpoint_activations": True})
    if step_bytes(checkpointed, num_nodes, num_edges, dense_features) <= free:
        advice = f"set checkpoint_activations to true, or {advice}"
    raise InputError(
        f"{step} would take about {needed / 1e9:,.1f} GB of memory where {free / 1e9:,.1f} GB are free: {advice}"
    )


def step_bytes(recipe: NodeRecipe, num_nodes: int, num_edges: int, dense_features: int) -> int:
    """What the layers take at most in a step beside the graph, until the backward pass, in all processes together."""
    # 1. Nodes with vectors of every layer, further nodes that only enter, edges.
    nodes, further, edges, chosen = num_nodes, 0, num_edges, 0
    if recipe.neighbours:
        reach = [recipe.batch_nodes * recipe.neighbours**step for step in range(recipe.num_layers + 1)]
        nodes = min(num_nodes, sum(reach[:-1]))
        further = min(num_nodes, sum(reach)) - nodes
        edges = min(num_edges, nodes * recipe.neighbours)
    elif 0 < recipe.batch_nodes < num_nodes:
        nodes = recipe.batch_nodes
        edges = int(num_edges * (nodes / num_nodes) ** 2)
        chosen = 24 * num_edges  # both ends of every edge in the numbers of the part, and whether it is in there
    # 2. Vectors of a node that are kept, by every layer or by one at a time, and some that are not.
    inside = 7 + 5 * recipe.feed_forward + 12 * recipe.global_attention + recipe.jumping_knowledge
    kept = recipe.num_layers + inside if recipe.checkpoint_activations else recipe.num_layers * inside
    vector = 4 * recipe.hidden_channels
    saved = (nodes * kept + 3 * further) * vector + 12 * recipe.heads * edges
    passing = 3 * nodes * vector + edges * bytes_per_edge(recipe) + chosen
    features = 4 * dense_features * (nodes + further) if recipe.batch_nodes else 0
    passes = 2 if recipe.consistency else 1
    return (passes * saved + passing + features) * recipe.devices
