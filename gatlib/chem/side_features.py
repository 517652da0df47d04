"""What can be said of a whole molecule beside its graph: counts of substructures, and descriptors."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase
from rdkit.Chem import rdFingerprintGenerator

from gatlib.chem.descriptor_names import DESCRIPTOR_NAMES
from gatlib.chem.fingerprints import NUM_BITS, RADIUS
from gatlib.chem.graphs import SideFeatures
from gatlib.chem.parsing import InvalidMolecule, canonical_smiles, parse
from gatlib.errors import InputError

#: Beyond it a descriptor is cut off: single molecules reach 1e40 (Ipc).
LARGEST_DESCRIPTOR = 1e6


def num_side_features(kind: SideFeatures) -> int:
    """How many columns :func:`side_features` has."""
    bits = NUM_BITS if kind in ("morgan", "both") else 0
    return bits + (len(DESCRIPTOR_NAMES) if kind in ("descriptors", "both") else 0)


def side_features(smiles: Iterable[object], kind: SideFeatures) -> NDArray[np.float32]:
    """Features of whole molecules, ``[inputs, num_side_features(kind)]``; zeros where there is no molecule.

    Args:
        smiles: any number of them.
        kind: ``none``: no columns; ``morgan``: log(1 + count) of each circular substructure; ``descriptors``: RDKit's,
            cut off at 1e6, NaN where RDKit has no value; ``both``: the two in this order.
    """
    inputs = list(smiles)
    found = np.zeros((len(inputs), num_side_features(kind)), dtype=np.float32)
    if kind in ("morgan", "both"):
        np.log1p(morgan_counts(inputs), out=found[:, :NUM_BITS])
    if kind in ("descriptors", "both"):
        values = rdkit_descriptors(inputs)
        values[np.isnan(values).all(axis=1)] = 0.0  # no molecule: of any that is one, RDKit can count something
        found[:, found.shape[1] - values.shape[1] :] = values
    return found


def morgan_counts(smiles: Sequence[object]) -> NDArray[np.uint16]:
    """Counts of circular substructures, ``[inputs, 2048]``; zeros where there is no molecule.

    Source: Rogers and Hahn, "Extended-connectivity fingerprints", J. Chem. Inf. Model. 2010.
    """
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=RADIUS, fpSize=NUM_BITS)
    counts = np.zeros((len(smiles), NUM_BITS), dtype=np.uint16)
    for row, molecule in _parsed(smiles):
        counts[row] = generator.GetCountFingerprintAsNumPy(molecule)
    return counts


def rdkit_descriptors(smiles: Sequence[object]) -> NDArray[np.float32]:
    """RDKit's 2D descriptors, ``[inputs, 217]``; NaN where RDKit has no value, and where there is no molecule.

    Raises:
        InputError: this RDKit has no descriptor of one of :data:`DESCRIPTOR_NAMES`.
    """
    from rdkit.Chem import Descriptors  # importing them takes time, and few models want them

    if missing := set(DESCRIPTOR_NAMES) - {name for name, _ in Descriptors.descList}:
        raise InputError(
            f"RDKit {rdBase.rdkitVersion} has no descriptor {min(missing)!r}: install another one, "
            "such as the one in constraints.txt"
        )
    values = np.full((len(smiles), len(DESCRIPTOR_NAMES)), np.nan)
    for row, molecule in _parsed(smiles):
        with rdBase.BlockLogs():
            found = Descriptors.CalcMolDescriptors(molecule, missingVal=np.nan, silent=True)
        values[row] = [found[name] for name in DESCRIPTOR_NAMES]
    return np.clip(values, -LARGEST_DESCRIPTOR, LARGEST_DESCRIPTOR).astype(np.float32)


def _parsed(smiles: Sequence[object]) -> Iterator[tuple[int, Chem.Mol]]:
    for row, text in enumerate(smiles):
        with suppress(InvalidMolecule):
            yield row, parse(canonical_smiles(text))  # some descriptors depend on the order of the atoms
