"""Multi-task training: further data sets whose labels a network learns beside its own, and then forgets.

Sources: Caruana, "Multitask learning", Machine Learning 1997; of assays Ramsundar et al., "Massively multitask
networks for drug discovery", arXiv 1502.02072.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gatlib.chem import InvalidMolecule, constitution
from gatlib.chem.graphs import join_graphs
from gatlib.data.splits import Split
from gatlib.training.molecules import LabelledMolecules


def join_auxiliary(molecules: LabelledMolecules, split: Split) -> tuple[LabelledMolecules, Split]:
    """One table of the molecules and, as further rows of train with further tasks, of ``molecules.auxiliary``.

    No molecule of valid or test is among the further rows, in any stereochemistry. Values of further tasks are brought
    to mean 0 and standard deviation 1.
    """
    held_out = {_key(molecules.smiles[row]) for rows in (split.valid, split.test) for row in rows}
    parts, train, blocks = [molecules, *molecules.auxiliary], [split.train], [molecules.targets]
    first_row = len(molecules.smiles)
    for others in molecules.auxiliary:
        graphs, smiles = others.graphs, others.smiles
        free = [error is None and _key(text) not in held_out for error, text in zip(graphs.errors, smiles, strict=True)]
        rows = np.flatnonzero(free)
        train.append(first_row + rows)
        blocks.append(others.targets if others.task_type == "classification" else _standardized(others.targets, rows))
        first_row += len(smiles)
    joint = replace(
        molecules,
        cells=[cells for part in parts for cells in part.cells],
        smiles=[text for part in parts for text in part.smiles],
        tasks=[*molecules.tasks, *(f"{part.source}: {task}" for part in molecules.auxiliary for task in part.tasks)],
        targets=_block_diagonal(blocks),
        graphs=join_graphs([part.graphs for part in parts]),
        auxiliary=(),
    )
    return joint, replace(split, train=np.concatenate(train))


def _key(smiles: str) -> str | None:
    """None for what RDKit does not read: sets that come with graphs may have such."""
    try:
        return constitution(smiles)
    except InvalidMolecule:
        return None


def _standardized(values: NDArray[np.float64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
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
