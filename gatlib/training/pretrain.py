"""Pretraining: a network learns from SMILES alone what RDKit computes of a molecule, and is fine-tuned later.

The targets of a molecule are its RDKit descriptors and its counts of circular substructures; no measured label is used.

Sources: Li et al., "KPGT: knowledge-guided pre-training of graph transformer", KDD 2022 (descriptors and fingerprints
as targets); Burns et al., "CheMeleon", arXiv 2506.15792 (descriptors).
"""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import RichProgressBar
from numpy.typing import NDArray
from pydantic import Field

from gatlib.checkpoint import ModelDescription, TrainingSummary, save_model
from gatlib.chem import featurize
from gatlib.chem.descriptor_names import DESCRIPTOR_NAMES
from gatlib.chem.side_features import morgan_counts, rdkit_descriptors
from gatlib.data.files import atomic_path
from gatlib.data.splits import Split
from gatlib.errors import InputError
from gatlib.metrics import metrics_with_mean
from gatlib.training.corpus import collect_molecules
from gatlib.training.fit import predict_rows, train_network
from gatlib.training.model_card import write_pretrained_card
from gatlib.training.module import Scale
from gatlib.training.molecules import LabelledMolecules
from gatlib.training.recipe import Recipe
from gatlib.training.run_folder import STATE, check_output_folder, library_versions, same_run

_BLOCK = 1000  # molecules whose descriptors are computed and written at once


class PretrainingRecipe(Recipe):
    """The keys of a recipe for pretraining: those of a :class:`Recipe`, of which dataset and split say nothing here."""

    sources: list[str] = Field(min_length=1, description="data set cards, or files with SMILES")
    left_out: list[str] = Field(
        [],
        description="what must not be learned from: cards, files, or card:split for valid and test of that split",
    )
    held_out: int = Field(2000, ge=2, description="molecules to choose the epoch by, and as many to test on")
    rarest: float = Field(
        0.01, ge=0, lt=1, description="share of molecules in which a target must differ from its most common value"
    )


class PretrainingTargets(NamedTuple):
    """What there is to learn of each molecule, ``[molecules, targets]``; NaN where RDKit has no value."""

    names: list[str]
    values: NDArray[np.float32]
    scale: Scale  # under it descriptors and substructures weigh the same, all in all


def pretrain(
    recipe: PretrainingRecipe,
    folder: Path,
    data_dir: Path | None,
    say: Callable[[str], None],
    progress: bool = False,
) -> ModelDescription:
    """Pretrain a network and write its folder; an unfinished run in it is taken up where it stopped.

    Args:
        recipe: the settings.
        folder: of the network; recipes name it under ``pretrained``.
        data_dir: folder of the data files.
        say: is told what happens, a line at a time.
        progress: show a bar.

    Raises:
        InputError: the folder cannot take the model or holds an unfinished run of another recipe; there are too few
            molecules; see also :func:`~gatlib.training.corpus.collect_molecules`.
    """
    check_output_folder(folder)
    state = folder / STATE
    same_run(state / "run.json", recipe.model_dump())
    smiles = _kept(state / "molecules.json", lambda: collect_molecules(recipe.sources, recipe.left_out, data_dir))
    if len(smiles) <= 3 * recipe.held_out:
        raise InputError(
            f"{len(smiles):,} molecules are too few to hold out {recipe.held_out:,} twice: lower held_out in the recipe"
        )
    say(f"{len(smiles):,} molecules; descriptors are computed once")
    descriptors = _kept_descriptors(state / "descriptors", smiles, say)
    order = np.random.default_rng(recipe.seed).permutation(len(smiles))
    parts = np.split(order, [recipe.held_out, 2 * recipe.held_out])
    split = Split(train=np.sort(parts[2]), valid=np.sort(parts[0]), test=np.sort(parts[1]))
    targets = pretraining_targets(descriptors, np.log1p(morgan_counts(smiles), dtype=np.float32), recipe.rarest)
    say(f"{len(targets.names):,} targets")
    molecules = LabelledMolecules(
        source="pretraining",
        columns=["smiles"],
        cells=[[text] for text in smiles],
        smiles=smiles,
        tasks=targets.names,
        task_type="regression",
        targets=targets.values.astype(np.float64),
        graphs=featurize(smiles),
    ).featurized_for(recipe)
    bars = [RichProgressBar(leave=False)] if progress else []
    network = train_network(molecules, split, recipe, targets.scale, folder, bars).network
    metrics = {
        part: _means(molecules, rows, predict_rows(network, molecules, rows, targets.scale))
        for part, rows in (("valid", split.valid), ("test", split.test))
    }
    atoms = np.diff(molecules.graphs.atom_ptr)[split.train]
    description = save_model(
        folder,
        network,
        name=folder.resolve().name,
        task_type="regression",
        tasks=targets.names,
        unit="standard normal by rank (descriptors), log(1 + count) (substructures)",
        architecture=recipe.architecture(),
        target_mean=targets.scale.mean.tolist(),
        target_std=targets.scale.std.tolist(),
        training=TrainingSummary(
            dataset=", ".join(recipe.sources),
            split=f"without {', '.join(recipe.left_out)}" if recipe.left_out else "random",
            seed=recipe.seed,
            pretrained=Path(recipe.pretrained).name if recipe.pretrained else None,
            molecules={part: len(rows) for part, rows in split.parts().items()},
            rejected=0,
            elements=molecules.elements(split.train),
            atoms=(int(atoms.min()), int(atoms.max())),
        ),
        metrics=metrics,
        versions=library_versions(),
    )
    write_pretrained_card(folder, description)
    shutil.rmtree(state)
    return description


def pretraining_targets(
    descriptors: NDArray[np.float32], substructures: NDArray[np.float32], rarest: float
) -> PretrainingTargets:
    """Descriptors by rank as a standard normal distribution, and substructures as they are.

    Ranks, since descriptors reach from 1e-3 to 1e6 and beyond. Columns that are nearly the same for all are left out.

    Args:
        descriptors: ``[molecules, D]``, NaN where RDKit has none.
        substructures: ``[molecules, B]``, log(1 + count).
        rarest: share of molecules in which a column must differ from its most common value.
    """
    names, columns, scales = [], [], []
    groups = (
        (DESCRIPTOR_NAMES, descriptors),
        ([f"morgan_{bit}" for bit in range(substructures.shape[1])], substructures),
    )
    for group, (labels, values) in enumerate(groups):
        varied = [column for column in range(values.shape[1]) if _varied(values[:, column]) >= max(rarest, 1e-9)]
        for column in varied:
            found = values[:, column].astype(np.float64)
            if group == 0:
                known = ~np.isnan(found)
                shares = (pd.Series(found[known]).rank().to_numpy() - 0.5) / known.sum()
                found[known] = torch.special.ndtri(torch.from_numpy(shares)).numpy()
            names.append(labels[column])
            columns.append(found.astype(np.float32))
            scales.append((np.nanmean(found), np.nanstd(found) * len(varied) ** 0.5))
    if not names:
        raise InputError("no descriptor and no substructure differs among these molecules: there is nothing to learn")
    mean, std = np.array(scales).T
    # Squared errors of each group sum to about one per molecule; all in all to one per target.
    return PretrainingTargets(names, np.stack(columns, axis=1), Scale(mean, std * (2 / len(names)) ** 0.5))


def _varied(values: NDArray[np.float32]) -> float:
    """Share of the values that are not the most common one; NaN counts as common."""
    known = values[~np.isnan(values)]
    if len(known) == 0:
        return 0.0
    _, counts = np.unique(known, return_counts=True)
    return float(len(known) - counts.max()) / len(values)


def _means(
    molecules: LabelledMolecules, rows: NDArray[np.int64], values: NDArray[np.float64]
) -> dict[str, dict[str, float | None]]:
    table = metrics_with_mean(molecules.targets[rows], values, molecules.tasks, "regression")
    mean = table.iloc[-1]
    return {"mean": {name: float(mean[name]) for name in ("rmse", "mae", "r2")}}


def _kept(path: Path, compute: Callable[[], list[str]]) -> list[str]:
    if not path.exists():
        with atomic_path(path) as partial:
            partial.write_text(json.dumps(compute()), encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


def _kept_descriptors(folder: Path, smiles: Sequence[str], say: Callable[[str], None]) -> NDArray[np.float32]:
    """Descriptors of all molecules, in blocks that a run which was stopped finds again."""
    folder.mkdir(exist_ok=True)
    blocks = []
    for start in range(0, len(smiles), _BLOCK):
        path = folder / f"{start}.npy"
        if not path.exists():
            with atomic_path(path) as partial, partial.open("wb") as file:
                np.save(file, rdkit_descriptors(smiles[start : start + _BLOCK]), allow_pickle=False)
        blocks.append(np.load(path, allow_pickle=False))
        if start % (20 * _BLOCK) == 0:
            say(f"{start:,} of {len(smiles):,}")
    return np.concatenate(blocks)
