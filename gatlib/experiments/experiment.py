"""What an experiment is: a folder with a recipe, and the models that can be run on it."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from gatlib.data.cards import NetworkCard, load_any_card
from gatlib.errors import InputError
from gatlib.training.node_recipe import NodeRecipe
from gatlib.training.recipe import Recipe, read_recipe

RECIPE = "recipe"


@dataclass(frozen=True)
class Experiment:
    """``<root>/<name>/recipe.yaml``, and ``results.csv`` beside it."""

    name: str
    folder: Path
    recipe: Recipe | NodeRecipe

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
    path = root / name / "recipe.yaml"
    # The data set says which kind of recipe it is.
    named = read_recipe(path, _NamesDataset).dataset
    if named is None:
        raise InputError(f"recipe {path} names no data set: add a line 'dataset: tox21'")
    kind: type[Recipe] | type[NodeRecipe] = NodeRecipe if isinstance(load_any_card(named), NetworkCard) else Recipe
    return Experiment(name, root / name, read_recipe(path, kind))


class _NamesDataset(BaseModel):
    """The one key that recipes of all kinds have."""

    model_config = ConfigDict(extra="ignore")

    dataset: str | None = None


def recipe_id(recipe: Recipe | NodeRecipe) -> str:
    """Eight digits of every setting that is not the default, but for the seed, the split and the data sets.

    A setting that a later version adds does not change them.
    """
    settings = recipe.model_dump(exclude={"seed", "split", "dataset", "transfer"}, exclude_defaults=True)
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
