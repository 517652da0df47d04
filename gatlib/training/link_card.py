"""The README.md of the folder of a model of edges."""

from pathlib import Path

from gatlib.metrics import METRIC_NAMES
from gatlib.network.link_model import LinkModelDescription
from gatlib.training.node_card import some_of


def write_link_card(folder: Path, description: LinkModelDescription) -> None:
    """Write ``README.md`` from the description of the model."""
    training, settings = description.training, description.architecture
    kind = "directed" if description.directed else "undirected"
    sizes = ", ".join(f"{count:,} {part}" for part, count in training.edges.items())
    names = list(description.metrics["test"]["network"])
    lines = [
        f"# {description.name}",
        "",
        "Scores pairs of nodes of a network: which of those without an edge are most like those with one.",
        "",
        f"- **Network:** {training.network}: {training.nodes:,} nodes, {kind} edges: {sizes}",
        f"- **Split:** edges at random, seed {training.seed}; the best epoch was chosen on valid, test was used once",
        f"- **Pairs without an edge:** {training.missing['valid']:,} for valid and {training.missing['test']:,} for "
        "test, drawn once from all pairs that have no edge in the whole graph",
        f"- **Sees of a node:** {some_of(description.rule.names)}",
        f"- **Sees of an edge:** {'nothing' if description.mean_weight is None else 'its weight'}",
        f"- **Model:** {settings.num_layers} layers ({settings.conv}), {settings.hidden_channels} channels, "
        f"{settings.heads} heads, and an MLP on pairs",
        f"- **Made with:** {', '.join(f'{package} {version}' for package, version in description.versions.items())}",
        "",
        "## How good it is",
        "",
        "Beside scores that need no training, on the same pairs and from the same graph.",
        "",
        f"| split | scores of | {' | '.join(METRIC_NAMES.get(name, name.capitalize()) for name in names)} |",
        f"|---|---|{'---|' * len(names)}",
    ]
    for part, found in description.metrics.items():
        for scorer, values in found.items():
            cells = ["–" if values[name] is None else f"{values[name]:.3f}" for name in names]
            lines.append(f"| {part} | {scorer} | {' | '.join(cells)} |")
    lines += [
        "",
        "Hits@K is the share of the held-out edges that score above the K-th best pair without an edge.",
        "",
        "## Limits",
        "",
        "- A score ranks pairs and is no probability: the model learned from as many pairs with an edge as without.",
        "- Held-out edges are a random sample of those that are known. Edges that are to come may be of another kind.",
        "- New nodes and other networks can be scored and were not judged.",
        "- What it says of a person it says of their friends: no ground for a decision about anyone.",
    ]
    (folder / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
