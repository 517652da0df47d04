r"""Full attention copies over any distance in one layer; L layers over the edges reach L hops, and no further.

On a path every node carries a symbol, and the last node is to name that of the first; the others are noise. One
pre-norm transformer block per layer,

.. math::
    \mathbf{H}' = \mathbf{H} + \mathrm{Attention}(\mathrm{Norm}(\mathbf{H})), \qquad
    \mathbf{H}'' = \mathbf{H}' + \mathrm{FFN}(\mathrm{Norm}(\mathbf{H}'))

which is the same for all but for whom a node attends to: itself and its neighbours, or everybody. Node features are the
symbol and the sinusoidal encoding of the position. What lies further than L hops cannot matter to L layers over the
edges: the derivative of the answer by the features of the first node is zero, not small.

Source: the path length between two positions, one layer of self-attention against a stack of local ones, is table 1 of
Vaswani et al., "Attention Is All You Need", 2017, https://arxiv.org/abs/1706.03762; for graphs it is the under-reaching
of Alon & Yahav, "On the Bottleneck of Graph Neural Networks", ICLR 2021, https://arxiv.org/abs/2006.05205.

Prints, for every number of layers and distance, the accuracy, mean and standard deviation over the seeds, and the
influence of the first node: the largest of those derivatives.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from checks import GREY, ORANGE, SEEDS, Example, GraphTransformer, Row, correct, over_seeds, panels, record, save, train
from matplotlib.axes import Axes
from torch import Tensor

from gatlib.nn.encodings import sinusoidal_encoding
from gatlib.nn.full_attention import FullAttention, TruncatedAttention
from gatlib.nn.graph_transformer_block import GraphTransformerBlock

DISTANCES = (1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 32, 64)
LAYERS = (1, 2, 4, 8)
SYMBOLS, CHANNELS, HEADS = 8, 32, 2
PATHS_PER_STEP, PATHS_TESTED = 8, 100  # of each distance
STEPS = 600
LEARNING_RATE = 3e-3
FULL = "full attention, 1 layer"
COLOURS = ("#b8d4ec", "#6fa9d8", "#0b66b3", "#083d6b")  # of 1, 2, 4 and 8 layers
NOTHING = 1e-9  # where the picture, which has a logarithmic axis, puts zero


class Paths(NamedTuple):
    """Paths one after the other, as a batch."""

    edge_index: Tensor  # both ways
    batch: Tensor
    first: Tensor  # of the nodes of every path
    last: Tensor
    encoding: Tensor  # of the positions, counted from the first node


def main() -> None:
    rows: list[Row] = []
    for name, layers in {**{edges_name(layers): layers for layers in LAYERS}, FULL: None}.items():
        for seed in SEEDS:
            model = make_model(layers, seed)
            train_to_copy(model, make_paths(DISTANCES, PATHS_PER_STEP), STEPS, seed)
            tested = make_paths(DISTANCES, PATHS_TESTED)
            for metric, values in (("accuracy", accuracies(model, tested)), ("influence", influences(model, tested))):
                by_distance = zip(DISTANCES, values.view(len(DISTANCES), -1), strict=True)
                for distance, value in by_distance:
                    figure = value.mean() if metric == "accuracy" else value.max()
                    rows.append((f"{name}, distance {distance}", seed, metric, float(figure)))
        print_results(rows, name)
    record("long_range", rows)
    draw(rows)


def edges_name(layers: int) -> str:
    return f"edges, {layers} layer{'s' if layers > 1 else ''}"


def make_model(layers: int | None, seed: int) -> GraphTransformer:
    """So many layers over the edges; None for one layer of full attention."""
    torch.manual_seed(seed)
    if layers is None:
        blocks = [GraphTransformerBlock(CHANNELS, full=FullAttention(CHANNELS, HEADS))]
    else:
        blocks = [
            GraphTransformerBlock(CHANNELS, TruncatedAttention(CHANNELS, HEADS, num_hops=1), full=False)
            for _ in range(layers)
        ]
    return GraphTransformer(SYMBOLS + CHANNELS, CHANNELS, SYMBOLS, blocks)


def make_paths(distances: tuple[int, ...], copies: int) -> Paths:
    """So many copies of a path for each distance from its first node to its last."""
    sizes = torch.tensor(distances).repeat_interleave(copies) + 1
    batch = torch.arange(sizes.numel()).repeat_interleave(sizes)
    first = sizes.cumsum(dim=0) - sizes
    position = torch.arange(batch.numel()) - first[batch]
    right = position.nonzero().flatten()
    edge_index = torch.stack([right - 1, right])
    return Paths(
        torch.cat([edge_index, edge_index.flip(0)], dim=1),
        batch,
        first,
        first + sizes - 1,
        sinusoidal_encoding(position, CHANNELS),
    )


def draw_symbols(paths: Paths, generator: torch.Generator) -> Example:
    symbol = torch.randint(SYMBOLS, paths.batch.shape, generator=generator)
    x = torch.cat([F.one_hot(symbol, SYMBOLS).float(), paths.encoding], dim=1)
    return (x, paths.last, paths.edge_index, paths.batch), symbol[paths.first]


def train_to_copy(model: GraphTransformer, paths: Paths, steps: int, seed: int) -> None:
    train(model, lambda generator: draw_symbols(paths, generator), steps=steps, learning_rate=LEARNING_RATE, seed=seed)


def accuracies(model: GraphTransformer, paths: Paths) -> Tensor:
    """Of every path, on symbols that training did not draw."""
    return correct(model, draw_symbols(paths, torch.Generator().manual_seed(1000)))


def influences(model: GraphTransformer, paths: Paths) -> Tensor:
    """Of every path, the largest derivative of a logit of the last node by a feature of the first."""
    (x, *others), _ = draw_symbols(paths, torch.Generator().manual_seed(1000))
    x.requires_grad_()
    logits = model(x, *others)
    gradients = [torch.autograd.grad(logit.sum(), x, retain_graph=True)[0] for logit in logits.unbind(dim=1)]
    return torch.stack(gradients)[:, paths.first].abs().amax(dim=(0, 2))


def print_results(rows: list[Row], name: str) -> None:
    accuracy, influence = over_seeds(rows, "accuracy"), over_seeds(rows, "influence")
    for distance in DISTANCES:
        setting = f"{name}, distance {distance}"
        mean, std = accuracy[setting]
        print(f"{setting}: accuracy {mean:.3f} ± {std:.3f}, influence {influence[setting][0]:.1e}")


def draw(rows: list[Row]) -> None:
    figure, (left, right) = panels("ab", 11, 4)
    accuracy, influence = over_seeds(rows, "accuracy"), over_seeds(rows, "influence")
    names = [*(edges_name(layers) for layers in LAYERS), FULL]
    for name, colour in zip(names, (*COLOURS, ORANGE), strict=True):
        mean, std = zip(*(accuracy[f"{name}, distance {distance}"] for distance in DISTANCES), strict=True)
        left.errorbar(DISTANCES, mean, std, color=colour, marker="o", markersize=4, capsize=2, label=name)
        derivative = [influence[f"{name}, distance {distance}"][0] or NOTHING for distance in DISTANCES]
        right.plot(DISTANCES, derivative, color=colour, marker="o", markersize=4)
    left.axhline(1 / SYMBOLS, color=GREY, linestyle="--", linewidth=1, label="chance")
    left.set_title("Accuracy, mean ± std over seeds")
    left.set_ylim(0, 1.05)
    left.legend(fontsize=9, loc="center left", bbox_to_anchor=(0.62, 0.55))
    right.set_title("Largest derivative of the answer by the first node")
    right.set_yscale("log")
    right.set_yticks([NOTHING, *(10.0**power for power in range(-6, 3, 2))])
    right.set_yticklabels(["exactly 0", *(f"$10^{{{power}}}$" for power in range(-6, 3, 2))])
    for axes in (left, right):
        _distance_axis(axes)
    save(figure, "long_range")


def _distance_axis(axes: Axes) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks := (*LAYERS, 16, 32, 64), [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("distance from the first node to the last, hops")


if __name__ == "__main__":
    main()
