"""SMILES to graphs: OGB's atom and bond features, or the reason why there is no graph."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase

from gatlib.chem.ogb_tables import atom_feature_dims, bond_feature_dims
from gatlib.chem.serialized import (
    DEGREE,
    IN_RING,
    RawFeatures,
    layout_is_known,
    read_fast,
    read_slow,
    serialize,
)

#: What a network may be given beside the graph; see :func:`gatlib.chem.side_features.side_features`.
SideFeatures = Literal["none", "morgan", "descriptors", "both"]

#: The limits of what is accepted as one molecule. The longest SMILES of MoleculeNet has 492 heavy atoms.
MAX_ATOMS = 1_000
MAX_SMILES_LENGTH = 10 * MAX_ATOMS

NUM_ATOM_FEATURES = 9
NUM_BOND_FEATURES = 3
_BLOCK = 64
_MAX_DEGREE_INDEX = 11  # OGB's table: 0 to 10, then everything larger


class InvalidMolecule(ValueError):
    """There is no graph for this input; the message is the reason."""


@dataclass(frozen=True)
class MoleculeGraphs:
    """The graphs of many molecules, end to end, in the order of the input.

    Shapes:
        - ``x``: ``[atoms, 9]`` uint8, OGB's atom features
        - ``edge_index``: ``[2, edges]`` int32, each bond in both directions, numbered within its molecule
        - ``edge_attr``: ``[edges, 3]`` uint8, OGB's bond features
        - ``atom_ptr``, ``edge_ptr``: ``[inputs + 1]`` int64, where each input's atoms and edges begin
        - ``errors``: one entry per input: None, or the reason why that input has no atoms here
        - ``side``: ``[inputs, F]`` float32, features of each whole molecule; F is 0 unless they were asked for
    """

    x: NDArray[np.uint8]
    edge_index: NDArray[np.int32]
    edge_attr: NDArray[np.uint8]
    atom_ptr: NDArray[np.int64]
    edge_ptr: NDArray[np.int64]
    errors: list[str | None]
    side: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.errors)

    def with_errors(self, errors: list[str | None]) -> "MoleculeGraphs":
        """The same graphs with other reasons, for inputs that are refused although they parse."""
        return replace(self, errors=errors)


def parse(smiles: object) -> Chem.Mol:
    """The RDKit molecule of a SMILES.

    Raises:
        InvalidMolecule: with the reason: not text, empty, too long, unparsable, no atoms, too many atoms.
    """
    with rdBase.BlockLogs():
        return _parse(smiles)


def _parse(smiles: object) -> Chem.Mol:
    if not isinstance(smiles, str):
        missing = str(smiles) in ("None", "nan", "NaT", "<NA>")  # of Python, NumPy and pandas
        raise InvalidMolecule("empty SMILES" if missing else f"not text: {smiles!r:.60}")
    text = smiles.strip()
    if not text:
        raise InvalidMolecule("empty SMILES")
    if not text.isascii() or "\0" in text:
        raise InvalidMolecule("not a SMILES: it contains a character that is not printable ASCII")
    if len(text) > MAX_SMILES_LENGTH:
        raise InvalidMolecule(f"too large: {len(text):,} characters, at most {MAX_SMILES_LENGTH:,} are accepted")
    words = text.split(maxsplit=1)
    if len(words) > 1 and not words[1].startswith("|"):  # "C O" would parse as methane with the name "O"
        raise InvalidMolecule("not a SMILES: it contains a space")
    mol = Chem.MolFromSmiles(text)
    if mol is None:
        raise InvalidMolecule(_why_refused(text))
    num_atoms = mol.GetNumAtoms()
    if num_atoms == 0:
        raise InvalidMolecule("no atoms")
    if num_atoms > MAX_ATOMS:
        raise InvalidMolecule(f"too large: {num_atoms:,} atoms, at most {MAX_ATOMS:,} are accepted")
    return mol


def _why_refused(smiles: str) -> str:
    mol = Chem.MolFromSmiles(smiles, sanitize=False)
    if mol is None:
        return "not a valid SMILES"
    problems = Chem.DetectChemistryProblems(mol)
    return f"not a valid molecule: {problems[0].Message()}" if problems else "not a valid molecule"


def featurize(smiles: Iterable[object], side_features: SideFeatures = "none") -> MoleculeGraphs:
    """Featurise many SMILES; what has no graph keeps its place, with the reason in ``errors``.

    Features are OGB's: equal to ``ogb.utils.smiles2graph`` for every molecule that RDKit accepts.

    Args:
        smiles: any number of them.
        side_features: what to compute of each whole molecule as well, for ``side``.
    """
    if side_features != "none":
        from gatlib.chem.side_features import side_features as compute  # it parses with this module

        smiles = list(smiles)
        return replace(featurize(smiles), side=compute(smiles, side_features))
    errors: list[str | None] = []
    raw: list[RawFeatures] = []
    items = iter(smiles)
    with rdBase.BlockLogs():
        # Parsing and reading take turns in blocks: each runs faster while its own code is in the cache.
        while block := list(islice(items, _BLOCK)):
            serialized: list[tuple[str, bytes]] = []
            for item in block:
                try:
                    mol = _parse(item)
                except InvalidMolecule as reason:
                    errors.append(str(reason))
                else:
                    errors.append(None)
                    serialized.append((str(item), serialize(mol)))
            raw += [_read(data, partial(_parse, text)) for text, data in serialized]
    return _assemble(raw, errors)


def featurize_mol(mol: Chem.Mol) -> MoleculeGraphs:
    """The graph of one RDKit molecule that is already parsed."""
    return _assemble([_read(serialize(mol), lambda: mol)], [None])


def _read(data: bytes, molecule: Callable[[], Chem.Mol]) -> RawFeatures:
    raw = read_fast(data, molecule) if layout_is_known() else None
    return read_slow(molecule()) if raw is None else raw


def _assemble(raw: Sequence[RawFeatures], errors: list[str | None]) -> MoleculeGraphs:
    x = np.frombuffer(bytearray().join(item.atoms for item in raw), dtype=np.uint8)
    x = x.reshape(-1, NUM_ATOM_FEATURES)
    bonds = np.frombuffer(b"".join(item.bonds for item in raw), dtype=np.uint8)
    bonds = bonds.reshape(-1, NUM_BOND_FEATURES)
    ends = _concatenate([item.ends for item in raw]).reshape(-1, 2)

    valid = np.array([error is None for error in errors], dtype=bool)
    atom_ptr = _pointers(valid, [len(item.atoms) // NUM_ATOM_FEATURES for item in raw])
    bond_ptr = _pointers(valid, [len(item.bonds) // NUM_BOND_FEATURES for item in raw])

    bond_offset = np.repeat(atom_ptr[:-1], np.diff(bond_ptr))[:, None]
    degree = x[:, DEGREE] + np.bincount((ends + bond_offset).ravel(), minlength=len(x))
    x[:, DEGREE] = np.minimum(degree, _MAX_DEGREE_INDEX)
    ring_atoms = _concatenate([item.ring_atoms for item in raw])
    ring_offset = np.repeat(atom_ptr[:-1][valid], [len(item.ring_atoms) for item in raw])
    x[ring_atoms + ring_offset, IN_RING] = 1

    both_ways = np.stack([ends, ends[:, ::-1]], axis=1).reshape(-1, 2)
    return MoleculeGraphs(
        x=x,
        edge_index=np.ascontiguousarray(both_ways.T, dtype=np.int32),
        edge_attr=np.repeat(bonds, 2, axis=0),
        atom_ptr=atom_ptr,
        edge_ptr=2 * bond_ptr,
        errors=errors,
        side=np.zeros((len(errors), 0), dtype=np.float32),
    )


def _concatenate(parts: Sequence[NDArray[np.integer]]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(0, dtype=np.int64), *parts])


def _pointers(valid: NDArray[np.bool_], counts: Sequence[int]) -> NDArray[np.int64]:
    sizes = np.zeros(len(valid), dtype=np.int64)
    sizes[valid] = counts
    return np.concatenate([[0], np.cumsum(sizes)])


def feature_dims() -> tuple[list[int], list[int]]:
    """Number of values of each of the 9 atom features and of each of the 3 bond features."""
    return atom_feature_dims(), bond_feature_dims()
