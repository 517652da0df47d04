"""The README.md of the folder of a model of nodes."""

from pathlib import Path

from gatlib.data.cards import card_names, load_network_card
from gatlib.metrics import METRIC_NAMES
from gatlib.network.node_model import NodeModelDescription

_MANY = 30


def write_node_card(folder: Path, description: NodeModelDescription) -> None:
    """Write ``README.md`` from the description of the model."""
    training, settings = description.training, description.architecture
    sizes = ", ".join(f"{count:,} {part}" for part, count in training.labelled.items())
    names = [
        name for name in METRIC_NAMES if any(found.get(name) is not None for found in description.metrics.values())
    ]
    lines = [
        f"# {description.name}",
        "",
        f"Predicts `{description.target}` of each node of a network.",
        "",
        f"- **Classes:** {some_of(description.classes)}",
        f"- **Network:** {training.network}: {training.nodes:,} nodes, {training.edges:,} "
        f"{'directed' if description.directed else 'undirected'} edges; labelled: {sizes}",
        *_data_lines(training.network),
        f"- **Split:** {training.split}, seed {training.seed}; the best epoch and the temperature were chosen on "
        "valid, test was used once",
        f"- **Sees of a node:** {some_of(description.rule.names)}",
        f"- **Sees of an edge:** {'nothing' if description.mean_weight is None else 'its weight'}",
        f"- **Model:** {settings.num_layers} layers ({settings.conv}), {settings.hidden_channels} channels, "
        f"{settings.heads} heads",
        f"- **Made with:** {', '.join(f'{package} {version}' for package, version in description.versions.items())}",
        "",
        "## How good it is",
        "",
        f"| split | {' | '.join(METRIC_NAMES[name] for name in names)} |",
        f"|---|{'---|' * len(names)}",
    ]
    for part, found in description.metrics.items():
        values = [found[name] for name in names]
        lines.append(f"| {part} | {' | '.join('–' if value is None else f'{value:.3f}' for value in values)} |")
    lines += [
        "",
        "## Limits",
        "",
        "- Edges and attributes of all nodes were seen in training, labels those of train alone: the figures are those "
        "of unlabelled nodes of this network. New nodes and other networks can be predicted and were not judged.",
        "- Probabilities are calibrated on the valid nodes of this network "
        f"(temperature {description.temperature:.2f}).",
        "- What it says of a person it says of their friends: no ground for a decision about anyone.",
    ]
    (folder / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _data_lines(name: str) -> list[str]:
    """What there is to say of the data set of that name, if it is one."""
    if name not in card_names():
        return []
    card = load_network_card(name)
    return [f"- **Data:** {card.title}. {card.description} Licence: {card.licence}. Cite: {card.citation}"]


def some_of(names: list[str]) -> str:
    more = f" and {len(names) - _MANY:,} more" if len(names) > _MANY else ""
    return ", ".join(names[:_MANY]) + more
