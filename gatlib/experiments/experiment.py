"""What an experiment is: a folder with a recipe, and the models that can be run on it."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from gatlib.errors import InputError
from gatlib.training.recipe import Recipe, load_recipe, make_recipe

#: Networks to compare the recipe's own with: what each changes of the recipe.
NETWORKS: dict[str, dict[str, object]] = {
    "gat": {"conv": "gat", "attention": "edges"},
    "gatv2": {"conv": "gatv2", "attention": "edges"},
    "transformer": {"conv": "transformer", "attention": "edges"},
    "gps": {"attention": "both", "random_walk": 16},
    "morgan": {"side_features": "morgan"},
    "descriptors": {"side_features": "descriptors"},
    "both": {"side_features": "both"},
}
BASELINES = ("rf", "gb", "chemprop")
RECIPE = "recipe"
MODELS = (RECIPE, *NETWORKS, *BASELINES)


@dataclass(frozen=True)
class Experiment:
    """``<root>/<name>/recipe.yaml``, and ``results.csv`` beside it."""

    name: str
    folder: Path
    recipe: Recipe

    @property
    def results(self) -> Path:
        return self.folder / "results.csv"

    @property
    def dataset(self) -> str:
        assert self.recipe.dataset is not None  # else it would not be one; see `load_experiment`
        return self.recipe.dataset


def experiment_names(root: Path) -> list[str]:
    """The folders below ``root`` with a recipe that names a data set."""
    if not root.is_dir():
        raise InputError(f"there is no folder {root}: run this in a checkout of gatlib, or name one with --folder")
    names = []
    for path in sorted(root.glob("*/recipe.yaml")):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        if any(line.startswith("dataset:") for line in lines):
            names.append(path.parent.name)
    return names


def load_experiment(root: Path, name: str) -> Experiment:
    """The experiment of that name.

    Raises:
        InputError: there is none, or its recipe is not valid.
    """
    names = experiment_names(root)
    if name not in names:
        raise InputError(f"there is no experiment {name!r} in {root}; there are: {', '.join(names) or 'none'}")
    recipe = load_recipe(root / name / "recipe.yaml")
    if recipe.dataset is None:
        raise InputError(f"recipe {root / name / 'recipe.yaml'} names no data set: add a line 'dataset: tox21'")
    return Experiment(name, root / name, recipe)


def recipe_of(experiment: Experiment, model: str, split: str | None, seed: int) -> Recipe:
    """The settings of one run of a network.

    Raises:
        InputError: they do not fit together.
    """
    changes = NETWORKS.get(model, {}) | {"seed": seed} | ({} if split is None else {"split": split})
    return make_recipe(experiment.recipe.model_dump() | changes, f"experiment {experiment.name}, model {model}")


def network_name(recipe: Recipe) -> str:
    """What a network is called in results and tables; without a +, it sees the graph only."""
    kind = {"edges": recipe.conv, "full": "full attention", "both": f"gps ({recipe.conv})"}
    name = kind.get(recipe.attention, f"{recipe.attention} ({recipe.conv})")
    name += "" if recipe.pretrained is None else ", pretrained"
    return name if recipe.side_features == "none" else f"{name} + {recipe.side_features}"


def recipe_id(recipe: Recipe) -> str:
    """Eight digits of every setting that is not the default, but for the seed, the split and the data set.

    A setting that a later version adds does not change them.
    """
    settings = recipe.model_dump(exclude={"seed", "split", "dataset"}, exclude_defaults=True)
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
