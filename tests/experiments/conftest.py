"""What the tests of experiments share."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from gatlib.chem import featurize
from gatlib.experiments.experiment import Experiment, load_experiment
from gatlib.training.molecules import LabelledMolecules
from gatlib.training.recipe import Recipe


@pytest.fixture
def experiment(tmp_path: Path, tiny_recipe: Recipe) -> Experiment:
    """Named `little`, with a network that trains in a second."""
    folder = tmp_path / "experiments" / "little"
    folder.mkdir(parents=True)
    settings = tiny_recipe.model_dump(exclude_defaults=True) | {"dataset": "tox21"}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(settings))
    return load_experiment(folder.parent, "little")


@pytest.fixture
def lengths() -> Callable[[list[str]], LabelledMolecules]:
    """Molecules whose target is the length of their SMILES."""

    def of(smiles: list[str]) -> LabelledMolecules:
        return LabelledMolecules(
            source="lengths",
            columns=["smiles"],
            cells=[[text] for text in smiles],
            smiles=smiles,
            tasks=["length"],
            task_type="regression",
            targets=np.array([[float(len(text))] for text in smiles]),
            graphs=featurize(smiles),
        )

    return of
