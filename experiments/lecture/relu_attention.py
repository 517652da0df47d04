r"""ReLU, divided by the number of neighbours, in the place of softmax: nearly as accurate, and most weights are zero.

.. math::
    \alpha_{ij} = \frac{\exp s_{ij}}{\sum_{k \in \mathcal{N}(i)} \exp s_{ik}} \qquad \mathrm{or} \qquad
    \alpha_{ij} = \frac{\max(s_{ij}, 0)}{|\mathcal{N}(i)|}, \qquad
    s_{ij} = \mathbf{q}_i^\top \mathbf{k}_j / \sqrt{C}

A graph transformer of two blocks over the edges classifies nodes. Every node has a name (one of 16), a class (one of 4)
and a question; it hears itself and one random node of each other name, and its label is the class of the neighbour with
the name it asks for. To average over the neighbours is no help; one has to be picked. Features carry noise, so that
nobody is always right. No graph comes twice.

Source: Wortsman et al., "Replacing softmax with ReLU in Vision Transformers", 2023, https://arxiv.org/abs/2309.08586,
who divide by the length of the sequence.

Prints the accuracy on a new graph after training, mean and standard deviation over the seeds, that of naming the
commonest class among the neighbours, and for each block the share of weights that are exactly zero and of those below
0.001.
"""

import torch
import torch.nn.functional as F
from checks import (
    BLUE,
    GREY,
    ORANGE,
    SEEDS,
    Example,
    GraphTransformer,
    Row,
    correct,
    over_seeds,
    panels,
    record,
    save,
    train,
)
from torch import Tensor

from gatlib.kernels.interface import Normaliser
from gatlib.nn.full_attention import TruncatedAttention
from gatlib.nn.graph_transformer_block import GraphTransformerBlock

NORMALISERS: tuple[Normaliser, ...] = ("softmax", "relu")
COLOURS = (BLUE, ORANGE)
NAMES, CLASSES = 16, 4
NODES_PER_NAME, NODES_TESTED = 16, 100
NOISE = 0.2
CHANNELS, HEADS, BLOCKS = 32, 4, 2
STEPS = 2000
STEPS_BETWEEN = 100  # two points of a learning curve
LEAST = 1e-8  # where the picture, which has a logarithmic axis, puts zero


def main() -> None:
    rows: list[Row] = []
    tested = draw_graph(NODES_TESTED, torch.Generator().manual_seed(1000))
    guess = commonest_class(tested)
    rows.append(("commonest class among the neighbours", None, "accuracy", guess))
    print(f"commonest class among the neighbours: accuracy {guess:.3f}")
    curves: dict[str, list[list[float]]] = {name: [] for name in NORMALISERS}
    weights: dict[str, list[Tensor]] = {name: [] for name in NORMALISERS}
    for normaliser in NORMALISERS:
        for seed in SEEDS:
            model = make_model(normaliser, seed)
            curve = train_on_graphs(model, tested, STEPS, seed)
            curves[normaliser].append(curve)
            rows.append((normaliser, seed, "accuracy", curve[-1]))
            for block, of_block in enumerate(attention_weights(model, tested), start=1):
                weights[normaliser].append(of_block.flatten())
                setting = f"{normaliser}, block {block}"
                rows.append((setting, seed, "share of weights zero", float((of_block == 0).float().mean())))
                rows.append((setting, seed, "share of weights below 0.001", float((of_block < 0.001).float().mean())))
        mean, std = over_seeds(rows, "accuracy")[normaliser]
        print(f"{normaliser}: accuracy {mean:.3f} ± {std:.3f}")
        for block in range(1, BLOCKS + 1):
            for metric in ("share of weights zero", "share of weights below 0.001"):
                mean, std = over_seeds(rows, metric)[f"{normaliser}, block {block}"]
                print(f"{normaliser}, block {block}: {metric} {mean:.3f} ± {std:.3f}")
    record("relu_attention", rows)
    draw(curves, guess, {name: torch.cat(of_seeds) for name, of_seeds in weights.items()})


def draw_graph(nodes_per_name: int, generator: torch.Generator) -> Example:
    num_nodes = NAMES * nodes_per_name
    node = torch.arange(num_nodes)
    name = node // nodes_per_name
    # Who answers to each name, [node, name]; to its own name a node answers itself.
    heard = torch.randint(nodes_per_name, (num_nodes, NAMES), generator=generator)
    heard = heard + nodes_per_name * torch.arange(NAMES)
    heard[node, name] = node
    edge_index = torch.stack([heard.flatten(), node.repeat_interleave(NAMES)])
    asked = torch.randint(NAMES, (num_nodes,), generator=generator)
    own_class = torch.randint(CLASSES, (num_nodes,), generator=generator)
    features = [F.one_hot(name, NAMES), F.one_hot(asked, NAMES), F.one_hot(own_class, CLASSES)]
    x = torch.cat(features, dim=1).float()
    x = x + NOISE * torch.randn(x.shape, generator=generator)
    return (x, node, edge_index, torch.zeros_like(node)), own_class[heard[node, asked]]


def commonest_class(example: Example) -> float:
    """Accuracy of naming the class that most of the neighbours show: what can be known without picking one."""
    (x, _, (source, target), _), labels = example
    shown = x[:, -CLASSES:].argmax(dim=1)
    votes = torch.zeros(x.size(0), CLASSES).index_add(0, target, F.one_hot(shown, CLASSES).float()[source])
    return float((votes.argmax(dim=1) == labels).float().mean())


def make_model(normaliser: Normaliser, seed: int) -> GraphTransformer:
    torch.manual_seed(seed)
    blocks = [
        GraphTransformerBlock(
            CHANNELS, TruncatedAttention(CHANNELS, HEADS, num_hops=1, normaliser=normaliser), full=False
        )
        for _ in range(BLOCKS)
    ]
    return GraphTransformer(2 * NAMES + CLASSES, CHANNELS, CLASSES, blocks)


def train_on_graphs(model: GraphTransformer, tested: Example, steps: int, seed: int) -> list[float]:
    """The accuracy on the tested graph every so many steps, first before training and last after it."""
    curve = []

    def watch(step: int) -> None:
        if step % STEPS_BETWEEN == 0:
            curve.append(float(correct(model, tested).mean()))

    train(
        model,
        lambda generator: draw_graph(NODES_PER_NAME, generator),
        steps=steps,
        learning_rate=5e-3,
        seed=seed,
        watch=watch,
    )
    return curve


@torch.no_grad()
def attention_weights(model: GraphTransformer, example: Example) -> list[Tensor]:
    """Of every block, [pairs, heads]."""
    (x, _, edge_index, batch), _ = example
    x = model.embed(x)
    weights = []
    for block in model.blocks:
        _, (_, of_block) = block.local(block.local_norm(x), edge_index, return_attention_weights=True)
        weights.append(of_block)
        x = block(x, edge_index, batch)
    return weights


def draw(curves: dict[str, list[list[float]]], guess: float, weights: dict[str, Tensor]) -> None:
    figure, (left, right) = panels("ab", 11, 3.8)
    for (normaliser, of_seeds), colour in zip(curves.items(), COLOURS, strict=True):
        curve = torch.tensor(of_seeds)
        steps = [STEPS_BETWEEN * point for point in range(curve.size(1))]
        left.plot(steps, curve.mean(dim=0), color=colour, label=normaliser)
        left.fill_between(steps, curve.amin(dim=0), curve.amax(dim=0), color=colour, alpha=0.2, linewidth=0)
        ordered = weights[normaliser].sort().values
        share = torch.linspace(0, 1, ordered.numel())
        every = slice(None, None, max(1, ordered.numel() // 2000))
        right.plot(ordered[every].clamp(min=LEAST), share[every], color=colour, label=normaliser)
    left.axhline(guess, color=GREY, linestyle="--", linewidth=1, label="commonest class among neighbours")
    left.set_title("Accuracy on a new graph, mean and range of seeds")
    left.set_xlabel("steps of training")
    left.set_ylim(0, 1)
    left.legend(loc="lower right")
    right.set_title("Share of attention weights up to a size")
    right.set_xscale("log")
    right.set_xlim(LEAST, 2)
    right.set_xticks([LEAST, *(10.0**power for power in range(-6, 1, 2))])
    right.set_xticklabels(["0", *(f"$10^{{{power}}}$" for power in range(-6, 1, 2))])
    right.minorticks_off()
    right.set_ylim(0, 1.02)
    right.set_xlabel("weight")
    right.legend(loc="upper left")
    save(figure, "relu_attention")


if __name__ == "__main__":
    main()
