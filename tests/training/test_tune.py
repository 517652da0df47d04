"""The search: it never looks at test, goes on where it was stopped, and writes a recipe that trains."""

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gatlib.errors import InputError
from gatlib.training.fit import TrainedNetwork, train_network
from gatlib.training.molecules import LabelledMolecules, read_molecules, split_molecules
from gatlib.training.pretrained import settings_of
from gatlib.training.recipe import Recipe, load_recipe
from gatlib.training.tune import _searched_settings, _suggest, tune


@pytest.fixture
def molecules(table_file: Path) -> LabelledMolecules:
    return read_molecules(str(table_file), ["nitrogen"], "classification")


def test_a_search_goes_on_and_writes_its_best(
    molecules: LabelledMolecules, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    split = split_molecules(molecules, tiny_recipe.split, tiny_recipe.seed)
    molecules.targets[split.test] = np.nan  # whoever looked at them would fall over it
    said: list[str] = []
    recipe = tiny_recipe.model_copy(update={"max_epochs": 1})
    tune(recipe, molecules, tmp_path, 2, None, said.append)
    best = tune(recipe, molecules, tmp_path, 3, None, said.append)
    assert [line.split(":")[0] for line in said] == ["trial 0", "trial 1", "trial 2"]
    assert load_recipe(tmp_path / "recipe.yaml") == best
    trials = pd.read_csv(tmp_path / "trials.csv")
    assert len(trials) == 3
    assert f"{trials['value'].max():.4f}" in (tmp_path / "recipe.yaml").read_text()
    assert best.max_epochs == 1
    assert tune(recipe, molecules, tmp_path, 3, None, said.append) == best
    assert len(said) == 3
    assert not list(tmp_path.glob("trial[0-9]*"))

    with pytest.raises(InputError, match="holds a search with another recipe, data set or number of seeds"):
        tune(recipe.model_copy(update={"max_epochs": 2}), molecules, tmp_path, 3, None, said.append)


def test_a_score_is_the_mean_over_seeds(
    molecules: LabelledMolecules, tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores: list[float] = []
    seeds: list[int] = []

    def train_and_note(*arguments: Any) -> TrainedNetwork:
        trained = train_network(*arguments)
        scores.append(trained.valid_score)
        seeds.extend(given.seed for given in arguments if isinstance(given, Recipe))
        return trained

    monkeypatch.setattr("gatlib.training.tune.train_network", train_and_note)
    recipe = tiny_recipe.model_copy(update={"max_epochs": 1})
    best = tune(recipe, molecules, tmp_path, 1, None, print, num_seeds=3)
    assert len(set(seeds)) == 3
    assert pd.read_csv(tmp_path / "trials.csv")["value"].tolist() == pytest.approx([np.mean(scores)])
    assert len(scores) == 3
    assert best.seed == recipe.seed
    assert "the mean of 3 seeds" in (tmp_path / "recipe.yaml").read_text()
    with pytest.raises(InputError, match="number of seeds: name another folder"):
        tune(recipe, molecules, tmp_path, 2, None, print)


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(hidden_channels=96, heads=6, dropout=0.2),
        Recipe.model_validate(settings_of("molecules") | {"pretrained": "molecules", "learning_rate": 5e-4}),
    ],
    ids=["from scratch", "pretrained"],
)
def test_the_first_trial_is_the_recipe(recipe: Recipe) -> None:
    class Given:
        """A trial that answers with what is in the queue."""

        number = 0

        def __init__(self, settings: dict[str, object]) -> None:
            self.settings = settings

        def __getattr__(self, name: str) -> Any:
            assert name.startswith("suggest_")
            return lambda setting, *space, **options: self.settings[setting]

    assert _suggest(Given(_searched_settings(recipe)), recipe) == recipe


def test_a_pretrained_network_keeps_its_shape() -> None:
    recipe = Recipe.model_validate(settings_of("molecules") | {"pretrained": "molecules"})
    assert set(_searched_settings(recipe)) == {"dropout", "learning_rate", "weight_decay", "batch_size"}


def test_without_optuna_the_extra_is_named(
    molecules: LabelledMolecules, tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported = builtins.__import__

    def no_optuna(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "optuna":
            raise ModuleNotFoundError(name)
        return imported(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", no_optuna)
    with pytest.raises(InputError, match=r"pip install 'gatlib\[tune\]'"):
        tune(tiny_recipe, molecules, tmp_path, 1, None, print)
