"""Multi-task training: further data sets whose labels a network learns beside its own, and then forgets.

Sources: Caruana, "Multitask learning", Machine Learning 1997; of assays Ramsundar et al., "Massively multitask
networks for drug discovery", arXiv 1502.02072.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gatlib.chem import InvalidMolecule, neutral_fragments
from gatlib.chem.graphs import join_graphs
from gatlib.data.splits import Split
from gatlib.training.module import Scale
from gatlib.training.molecules import LabelledMolecules


def join_auxiliary(molecules: LabelledMolecules, split: Split, scale: Scale) -> tuple[LabelledMolecules, Split, Scale]:
    """One table of the molecules and, as further rows of train with further tasks, of ``molecules.auxiliary``.

    No molecule of valid or test is among the further rows, nor a stereoisomer or a salt of one: assays have measured
    many drugs under several names. Values of further tasks are brought to mean 0 and standard deviation 1. Each known
    label weighs the same in the loss, whichever set it is of.

    Args:
        molecules: with the further sets.
        split: of their own rows.
        scale: of their own tasks.

    Returns:
        All molecules, with the rows and tasks of the further sets behind their own; the split, with further rows in
        train; the scale, with further tasks that stay as they are.
    """
    if not molecules.auxiliary:
        return molecules, split, scale
    held_out: set[str] = set()
    for row in (*split.valid, *split.test):
        held_out |= _fragments(molecules.smiles[row])
    parts, train, blocks = [molecules, *molecules.auxiliary], [split.train], [molecules.targets]
    first_row = len(molecules.smiles)
    for others in molecules.auxiliary:
        usable = zip(others.graphs.errors, others.smiles, strict=True)
        free = [error is None and held_out.isdisjoint(_fragments(text)) for error, text in usable]
        rows = np.flatnonzero(free)
        train.append(first_row + rows)
        blocks.append(others.targets if others.task_type == "classification" else _standardised(others.targets, rows))
        first_row += len(others.smiles)
    further = sum(len(others.tasks) for others in molecules.auxiliary)
    joint = replace(
        molecules,
        cells=[cells for part in parts for cells in part.cells],
        smiles=[text for part in parts for text in part.smiles],
        tasks=[*molecules.tasks, *(f"{part.source}: {task}" for part in molecules.auxiliary for task in part.tasks)],
        targets=_block_diagonal(blocks),
        graphs=join_graphs([part.graphs for part in parts]),
        auxiliary=(),
    )
    return (
        joint,
        replace(split, train=np.concatenate(train)),
        Scale(np.append(scale.mean, np.zeros(further)), np.append(scale.std, np.ones(further))),
    )


def _fragments(smiles: str) -> frozenset[str]:
    """None of what RDKit does not read: sets that come with graphs may have such."""
    try:
        return neutral_fragments(smiles)
    except InvalidMolecule:
        return frozenset()


def _standardised(values: NDArray[np.float64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    std = np.nanstd(values[rows], axis=0)
    return (values - np.nanmean(values[rows], axis=0)) / np.where(std > 0, std, 1.0)


def _block_diagonal(blocks: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """NaN elsewhere: what one set measured is unknown of the molecules of another."""
    height, width = np.sum([block.shape for block in blocks], axis=0)
    joined = np.full((height, width), np.nan)
    row = column = 0
    for block in blocks:
        joined[row : row + block.shape[0], column : column + block.shape[1]] = block
        row, column = row + block.shape[0], column + block.shape[1]
    return joined
