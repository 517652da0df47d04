r"""GATv2 with one head looks up a dictionary; GAT, whose ranking of the keys is the same for all who ask, does not.

A complete bipartite graph of k keys and k queries. A key shows its name and its value, one of k, and a query the name
that it looks for; it is to give the value. One attention layer, and a linear readout that sees nothing but what the
query attended to. The scores are

.. math::
    \mathrm{GAT:} \; \mathrm{LeakyReLU}(\mathbf{a}_q^\top \mathbf{W} \mathbf{x}_i + \mathbf{a}_k^\top \mathbf{W}
    \mathbf{x}_j), \qquad \mathrm{GATv2:} \; \mathbf{a}^\top \mathrm{LeakyReLU}(\mathbf{W}_r \mathbf{x}_i + \mathbf{W}_l
    \mathbf{x}_j), \qquad \mathrm{UniMP:} \; (\mathbf{W}_q \mathbf{x}_i)^\top \mathbf{W}_k \mathbf{x}_j / \sqrt{C}

LeakyReLU rises, so GAT's score rises with the term of the key, and the key that ranks first does so for every query:
static attention. Several heads may each pick a key of their own, which helps while there are about as many heads as
keys.

Source: Brody, Alon & Yahav, "How Attentive are Graph Attention Networks?", ICLR 2022,
https://arxiv.org/abs/2105.14491, section 4.1. Two things differ. Values are drawn one by one; where they are a
permutation, as in the paper, a query may also attend to all keys but its own and name the value that is missing. And
every step of training sees new graphs, so that nothing can be learned by heart and accuracy in training is accuracy on
graphs never seen before.

Prints that accuracy for each layer and number of keys: mean and standard deviation over the seeds.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from checks import (
    BLUE,
    GREY,
    LIGHT_BLUE,
    ORANGE,
    RED,
    SEEDS,
    Example,
    Row,
    correct,
    over_seeds,
    panels,
    record,
    save,
    train,
)
from torch import Tensor, nn

from gatlib.nn import GATConv, GATv2Conv, TransformerConv

CHANNELS = 64  # over all heads
QUERIES_PER_STEP, QUERIES_TESTED = 320, 6000
NUM_KEYS = (5, 10, 15, 20)
STEPS = 1000
LEARNING_RATE = 0.01
SHOWN_KEYS = 10

# A layer for so many keys, from their names and values to the names that are asked for.
LAYERS: dict[str, Callable[[int], nn.Module]] = {
    "GAT, 1 head": lambda k: GATConv((2 * k, k), CHANNELS, 1, add_self_loops=False),
    "GAT, 8 heads": lambda k: GATConv((2 * k, k), CHANNELS // 8, 8, add_self_loops=False),
    "GATv2, 1 head": lambda k: GATv2Conv((2 * k, k), CHANNELS, 1, add_self_loops=False),
    "TransformerConv, 1 head": lambda k: TransformerConv((2 * k, k), CHANNELS, 1, root_weight=False),
}
STYLES = ((RED, 1.5), (ORANGE, 1.5), (BLUE, 5.0), (LIGHT_BLUE, 1.5))  # colour and width; equal curves lie on each other


class Lookup(nn.Module):
    """An attention layer from keys to queries, and a linear readout of what comes out."""

    def __init__(self, attention: nn.Module, num_keys: int) -> None:
        super().__init__()
        self.attention = attention
        self.readout = nn.Linear(CHANNELS, num_keys)

    def forward(self, keys: Tensor, queries: Tensor, edge_index: Tensor) -> Tensor:
        return self.readout(self.attention((keys, queries), edge_index))


def main() -> None:
    rows: list[Row] = []
    shown = {}
    for num_keys in NUM_KEYS:
        for name, make_layer in LAYERS.items():
            setting = f"{name}, {num_keys} keys"
            for seed in SEEDS:
                model = make_lookup(make_layer, num_keys, seed)
                train_to_look_up(model, num_keys, STEPS, seed)
                rows.append((setting, seed, "accuracy", accuracy(model, num_keys)))
                if num_keys == SHOWN_KEYS and seed == 0:
                    shown[name] = attention_weights(model, num_keys)
            mean, std = over_seeds(rows, "accuracy")[setting]
            print(f"{setting}: accuracy {mean:.3f} ± {std:.3f}")
    record("dictionary_lookup", rows)
    draw(rows, shown)


def make_lookup(make_layer: Callable[[int], nn.Module], num_keys: int, seed: int) -> Lookup:
    torch.manual_seed(seed)
    return Lookup(make_layer(num_keys), num_keys)


def complete_bipartite(num_keys: int, num_graphs: int) -> Tensor:
    """Edges from the keys to the queries of each graph, in the order of the queries."""
    node = torch.arange(num_keys * num_graphs).view(num_graphs, num_keys)
    return torch.stack([node.repeat(1, num_keys).flatten(), node.flatten().repeat_interleave(num_keys)])


def draw_dictionaries(num_keys: int, edge_index: Tensor, generator: torch.Generator) -> Example:
    """Values for the keys of each graph of :func:`complete_bipartite`; query i asks for key i."""
    num_graphs = edge_index.size(1) // num_keys**2
    value = torch.randint(num_keys, (num_graphs * num_keys,), generator=generator)
    queries = torch.eye(num_keys).repeat(num_graphs, 1)
    keys = torch.cat([queries, F.one_hot(value, num_keys).float()], dim=1)
    return (keys, queries, edge_index), value


def train_to_look_up(model: Lookup, num_keys: int, steps: int, seed: int) -> float:
    """Returns the seconds of a step."""
    edge_index = complete_bipartite(num_keys, QUERIES_PER_STEP // num_keys)
    return train(
        model,
        lambda generator: draw_dictionaries(num_keys, edge_index, generator),
        steps=steps,
        learning_rate=LEARNING_RATE,
        seed=seed,
    )


def accuracy(model: Lookup, num_keys: int) -> float:
    edge_index = complete_bipartite(num_keys, QUERIES_TESTED // num_keys)
    return float(correct(model, draw_dictionaries(num_keys, edge_index, torch.Generator().manual_seed(1000))).mean())


@torch.no_grad()
def attention_weights(model: Lookup, num_keys: int) -> Tensor:
    """On one graph, [queries, keys, heads]."""
    edge_index = complete_bipartite(num_keys, 1)
    (keys, queries, _), _ = draw_dictionaries(num_keys, edge_index, torch.Generator().manual_seed(1000))
    _, (_, weights) = model.attention((keys, queries), edge_index, return_attention_weights=True)
    return weights.view(num_keys, num_keys, -1)


def draw(rows: list[Row], shown: dict[str, Tensor]) -> None:
    figure, (left, middle, right) = panels("aabc", 12, 3.6)
    found = over_seeds(rows, "accuracy")
    for name, (colour, width) in zip(LAYERS, STYLES, strict=True):
        mean, std = zip(*(found[f"{name}, {num_keys} keys"] for num_keys in NUM_KEYS), strict=True)
        left.errorbar(NUM_KEYS, mean, std, color=colour, linewidth=width, elinewidth=1, capsize=3, label=name)
    left.plot(NUM_KEYS, [1 / k for k in NUM_KEYS], color=GREY, linestyle="--", linewidth=1, label="chance")
    left.set_title("Accuracy, mean ± std over seeds")
    left.set_xlabel("keys")
    left.set_xticks(NUM_KEYS)
    left.set_ylim(0, 1.05)
    left.legend(fontsize=9, loc="center right", bbox_to_anchor=(1.0, 0.55))
    for axes, name in ((middle, "GAT, 1 head"), (right, "GATv2, 1 head")):
        axes.imshow(shown[name][..., 0].numpy(), cmap="Blues", vmin=0, vmax=1)
        axes.set_title(f"Weights of {name}")
        axes.set_xlabel("key")
        axes.set_ylabel("query")
        axes.set_xticks([])
        axes.set_yticks([])
    save(figure, "dictionary_lookup")


if __name__ == "__main__":
    main()
