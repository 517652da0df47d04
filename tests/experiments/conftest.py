"""What the tests of experiments share."""

from pathlib import Path

import pytest
import yaml

from gatlib.experiments.experiment import Experiment, load_experiment
from gatlib.training.recipe import Recipe


@pytest.fixture
def experiment(tmp_path: Path, tiny_recipe: Recipe) -> Experiment:
    """Named `little`, with a network that trains in a second."""
    folder = tmp_path / "experiments" / "little"
    folder.mkdir(parents=True)
    settings = tiny_recipe.model_dump(exclude_defaults=True) | {"dataset": "tox21"}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(settings))
    return load_experiment(folder.parent, "little")
