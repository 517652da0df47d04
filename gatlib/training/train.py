"""From a recipe or a user's table to a trained model folder."""

from collections.abc import Callable, Sequence
from pathlib import Path

from gatlib.data.cards import DatasetCard, TaskType, load_card
from gatlib.data.files import dataset_file
from gatlib.errors import InputError
from gatlib.training.fit import Trained, fit
from gatlib.training.molecules import LabelledMolecules, describe_split, read_molecules, split_molecules
from gatlib.training.pretrained import describe_overlap
from gatlib.training.recipe import Recipe

Say = Callable[[str], None]


def read_dataset(name: str, data_dir: Path | None = None, split: str = "scaffold") -> LabelledMolecules:
    """The molecules of a data set card; for the split ``ogb`` with OGB's own graphs and their official split.

    Raises:
        InputError: no such card, or its file is missing and cannot be downloaded, or is another file; the split
            ``ogb`` of a set that OGB does not have.
    """
    card = load_card(name)
    if split == "ogb":
        return _read_ogb(card, data_dir)
    path = dataset_file(card, data_dir)
    return read_molecules(str(path), card.targets, card.task_type, card.smiles_column)


def _read_ogb(card: DatasetCard, data_dir: Path | None) -> LabelledMolecules:
    if card.ogb is None:
        raise InputError(f"the card of {card.name} names no data set of OGB: take another split than 'ogb'")
    from gatlib.data.ogb import load_ogb

    found = load_ogb(card.ogb, data_dir)
    return LabelledMolecules(
        source=card.ogb,
        columns=["smiles"],
        cells=[[text] for text in found.smiles],
        smiles=found.smiles,
        tasks=found.tasks,
        task_type=card.task_type,
        targets=found.targets,
        graphs=found.graphs,
        official_split=found.split,
    )


def train_dataset(
    recipe: Recipe, folder: Path, data_dir: Path | None = None, progress: bool = False, say: Say | None = None
) -> Trained:
    """Train on the data set that the recipe names.

    Args:
        recipe: the settings.
        folder: of the new model.
        data_dir: folder of the data files.
        progress: show it.
        say: is told what valid and test share with train and with what a pretrained network has seen, and which tasks
            do not count in them.

    Raises:
        InputError: the recipe names none; see also :func:`read_dataset` and :func:`~gatlib.training.fit.fit`.
    """
    if recipe.dataset is None:
        raise InputError("the recipe names no dataset: add a line 'dataset: tox21', or give a table with -i")
    card = load_card(recipe.dataset)
    molecules = read_dataset(recipe.dataset, data_dir, recipe.split)
    split = split_molecules(molecules, recipe.split, recipe.seed)
    if say is not None:
        for note in describe_split(molecules, split):
            say(note)
        if recipe.pretrained and (overlap := describe_overlap(recipe.pretrained, recipe.dataset, recipe.split)):
            say(overlap)
    return fit(molecules, split, recipe, folder, name=recipe.dataset, unit=card.unit, progress=progress)


def train_table(
    source: str,
    targets: Sequence[str],
    task_type: TaskType,
    recipe: Recipe,
    folder: Path,
    smiles_column: str | None = None,
    data_dir: Path | None = None,
    progress: bool = False,
    say: Say | None = None,
) -> Trained:
    """Train on a user's table; see :func:`train_dataset`.

    Raises:
        InputError: see :func:`~gatlib.training.molecules.read_molecules` and :func:`~gatlib.training.fit.fit`.
    """
    molecules = read_molecules(source, targets, task_type, smiles_column)
    split = split_molecules(molecules, recipe.split, recipe.seed)
    if say is not None:
        for note in describe_split(molecules, split):
            say(note)
    unit = "probability of class 1" if task_type == "classification" else "unit of the target column"
    return fit(molecules, split, recipe, folder, name=folder.resolve().name, unit=unit, progress=progress)
