"""The README.md of a model folder: what the model is for, how good it is, and what it must not be used for."""

from pathlib import Path

from gatlib.checkpoint import ALL, ModelDescription
from gatlib.data.cards import DatasetCard, card_names, load_card
from gatlib.metrics import METRIC_NAMES, METRICS

_SIDE_FEATURES = {
    "morgan": "counts of circular substructures (Morgan, radius 2, 2048 bits)",
    "descriptors": "RDKit's descriptors",
    "both": "counts of circular substructures (Morgan, radius 2, 2048 bits) and RDKit's descriptors",
}


def write_model_card(folder: Path, description: ModelDescription) -> None:
    """Write ``README.md`` from the model's description and, where there is one, the card of its data set."""
    training, settings = description.training, description.architecture
    card = load_card(training.dataset) if training.dataset in card_names() else None
    sizes = ", ".join(f"{count:,} {part}" for part, count in training.molecules.items())
    lines = [
        f"# {card.title if card else description.name}",
        "",
        card.description if card else f"Trained on {training.dataset}.",
        "",
        f"- **Predicts:** {', '.join(description.tasks)} ({description.unit})",
        f"- **Data:** {training.dataset}: {sizes}; {training.rejected} rows set aside (no valid molecule)",
        "- **Split:** "
        + (
            f"none, it has learned from all of them; seed {training.seed}"
            if training.split == ALL
            else f"{training.split}, seed {training.seed}; the best epoch was chosen on valid, test was used once"
        ),
        *([f"- **Data licence:** {card.licence}", f"- **Cite:** {card.citation}"] if card else []),
        f"- **Network:** {settings.num_layers} blocks of edge attention "
        f"({settings.conv}), {settings.hidden_channels} channels, {settings.heads} heads",
        *_starts_from(description),
        f"- **Features of the graph:** {description.featurization}",
        *(
            [f"- **Beside the graph:** {_SIDE_FEATURES[settings.side_features]}"]
            if settings.side_features != "none"
            else []
        ),
        f"- **Made with:** {', '.join(f'{package} {version}' for package, version in description.versions.items())}",
        "",
        "## How good it is",
        "",
        *(
            [
                f"Mean over {description.metrics_of}; this one has seen all molecules and has no figures of its own.",
                "",
            ]
            if description.metrics_of
            else []
        ),
        *_metrics_table(description, card),
        "",
        "## Limits",
        "",
        *_limits(description, card),
    ]
    (folder / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_pretrained_card(folder: Path, description: ModelDescription) -> None:
    """Write ``README.md`` of a pretrained network."""
    training, settings, test = description.training, description.architecture, description.metrics["test"]["mean"]
    substructures = sum(task.startswith("morgan_") for task in description.tasks)
    names = [name.split(":")[0] for name in training.dataset.split(", ")]
    licences = [f"{name}: {load_card(name).licence}" for name in names if name in card_names()]
    lines = [
        f"# {description.name}: a pretrained network",
        "",
        "It has learned what RDKit computes of a molecule, from its graph, and no measured label. Name it under "
        "`pretrained` in a recipe to start from its weights.",
        "",
        f"- **Learned:** {len(description.tasks) - substructures} RDKit descriptors (by rank, as a standard normal "
        f"distribution) and log(1 + count) of {substructures} circular substructures (Morgan, radius 2, 2048 bits)",
        f"- **Molecules:** {training.dataset}, {training.split}: "
        + ", ".join(f"{count:,} {part}" for part, count in training.molecules.items()),
        *(f"- **Data licence:** {licence}" for licence in licences),
        f"- **Network:** {settings.num_layers} blocks, {settings.hidden_channels} channels, {settings.heads} heads",
        *_starts_from(description),
        f"- **Features of the graph:** {description.featurization}",
        f"- **Held-out molecules:** mean R² {test['r2']:.3f}, mean RMSE {test['rmse']:.3f}",
        f"- **Made with:** {', '.join(f'{package} {version}' for package, version in description.versions.items())}",
    ]
    (folder / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _starts_from(description: ModelDescription) -> list[str]:
    name = description.training.pretrained
    return [] if name is None else [f"- **Starts from:** the weights of the pretrained network {name}"]


def _metrics_table(description: ModelDescription, card: DatasetCard | None) -> list[str]:
    names = METRICS[description.task_type]
    meanings = {task.column: task.meaning for task in card.tasks} if card else {}
    test, valid = description.metrics["test"], description.metrics["valid"]
    header = [*(f"test {METRIC_NAMES[name]}" for name in names), f"valid {METRIC_NAMES[names[0]]}"]
    lines = [f"| task | meaning | {' | '.join(header)} |", f"|---|---|{'---|' * len(header)}"]
    for task in [*description.tasks, "mean"]:
        values = [*(test[task][name] for name in names), valid[task][names[0]]]
        cells = " | ".join("–" if value is None else f"{value:.3f}" for value in values)
        lines.append(f"| {task} | {meanings.get(task, '')} | {cells} |")
    return lines


def _limits(description: ModelDescription, card: DatasetCard | None) -> list[str]:
    training = description.training
    smallest, largest = training.atoms
    elements = ", ".join(training.elements)
    lines = [
        f"- It has learned from molecules of {smallest} to {largest} heavy atoms with the elements {elements}. "
        "Far from these its predictions are guesses.",
        "- It sees the molecular graph as drawn: no conformation, no dose, no metabolism, no mixture effects.",
    ]
    if description.task_type == "classification":
        lines.append(
            "- A prediction is the network's probability of the class. It is not calibrated: use it to rank, "
            "not as a frequency."
        )
    lines.append("- For research. It is no evidence of safety or of harm.")
    return lines + [f"- Data: {flaw}" for flaw in (card.known_flaws if card else [])]
