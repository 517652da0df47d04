"""RDKit's 2D descriptors: molecular weight, logP, polar surface, counts of groups, and some two hundred more."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from rdkit import rdBase
from rdkit.Chem import Descriptors

from gatlib.chem.graphs import parse


def descriptors(smiles: Iterable[str]) -> NDArray[np.float64]:
    """All of RDKit's 2D descriptors, ``[molecules, descriptors]``, NaN where one is not defined.

    Raises:
        InvalidMolecule: for a SMILES that is no molecule.
    """
    with rdBase.BlockLogs():
        molecules = [parse(text) for text in smiles]
        rows = [[function(mol) for _, function in Descriptors.descList] for mol in molecules]
    values = np.array(rows, dtype=np.float64).reshape(-1, len(Descriptors.descList))
    values[~np.isfinite(values)] = np.nan
    return values
