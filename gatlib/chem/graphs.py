"""SMILES to graphs: OGB's atom and bond features, with stereo of the molecule, or the reason why there is no graph."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem

from gatlib.chem.ogb_tables import atom_feature_dims, bond_feature_dims
from gatlib.chem.parsing import InvalidMolecule, parse, parse_quietly
from gatlib.chem.serialized import (
    CHIRALITY,
    DEGREE,
    IN_RING,
    STEREO,
    RawFeatures,
    layout_is_known,
    read_fast,
    read_slow,
    serialize,
)
from gatlib.chem.stereo import (
    BOND_STEREO,
    CHIRALITY_LABELS,
    LABELLED_WHEN_PARSED,
    atom_chirality,
    bond_stereo,
    stereo_from_rdkit,
    written,
)

#: What a network may be given beside the graph; see :func:`gatlib.chem.side_features.side_features`.
SideFeatures = Literal["none", "morgan", "descriptors", "both"]

NUM_ATOM_FEATURES = 9
NUM_BOND_FEATURES = 3
_BLOCK = 64
_MAX_DEGREE_INDEX = 11  # OGB's table: 0 to 10, then everything larger


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


def featurize(
    smiles: Iterable[object], side_features: SideFeatures = "none", canonical: bool = False
) -> MoleculeGraphs:
    """Featurise many SMILES; what has no graph keeps its place, with the reason in ``errors``.

    Features are OGB's, equal to ``ogb.utils.smiles2graph``, but for isotopes, which count as their element, and for
    stereo, which is the same for every spelling of a molecule: see :mod:`gatlib.chem.stereo`.

    Args:
        smiles: any number of them.
        side_features: what to compute of each whole molecule as well, for ``side``.
        canonical: number the atoms as in RDKit's canonical SMILES, for networks to whom their order matters. That takes
            three times as long.
    """
    if canonical:
        smiles = _canonical(smiles)
    if side_features != "none":
        from gatlib.chem.side_features import side_features as compute  # it parses with this module

        smiles = list(smiles)
        return replace(featurize(smiles), side=compute(smiles, side_features))
    errors: list[str | None] = []
    raw: list[RawFeatures] = []
    items = iter(smiles)
    with stereo_from_rdkit():
        # Parsing and reading take turns in blocks: each runs faster while its own code is in the cache.
        while block := list(islice(items, _BLOCK)):
            parsed: list[tuple[str, bytes, Chem.Mol | None]] = []
            for item in block:
                try:
                    mol = parse_quietly(item)
                except InvalidMolecule as reason:
                    errors.append(str(reason))
                else:
                    errors.append(None)
                    text = str(item)
                    # Others have no stereo that asks for a second look, and to hold them slows the parser down.
                    parsed.append((text, serialize(mol), mol if "@" in text or "|" in text else None))
            raw += [_read(*molecule) for molecule in parsed]
    return _assemble(raw, errors)


def featurize_mol(mol: Chem.Mol) -> MoleculeGraphs:
    """The graph of one RDKit molecule, its atoms numbered as in its canonical SMILES."""
    return featurize([written(Chem.RemoveHs(mol))], canonical=True)


def _canonical(smiles: Iterable[object]) -> Iterator[object]:
    for item in smiles:
        try:
            yield written(parse(item))
        except InvalidMolecule:
            yield item


def _read(text: str, data: bytes, mol: Chem.Mol | None) -> RawFeatures:
    molecule = partial(parse_quietly, text)
    raw = (read_fast(data, molecule) if layout_is_known() else None) or read_slow(molecule())
    return raw if mol is None else _with_labels(raw, mol)


def _with_labels(raw: RawFeatures, mol: Chem.Mol) -> RawFeatures:
    atoms = _labelled(raw.atoms, NUM_ATOM_FEATURES, CHIRALITY, b"\0", partial(atom_chirality, mol))
    bonds = _labelled(raw.bonds, NUM_BOND_FEATURES, STEREO, LABELLED_WHEN_PARSED, partial(bond_stereo, mol))
    return RawFeatures(atoms, raw.ends, bonds, raw.ring_atoms)


def _labelled(
    features: bytes, width: int, column: int, usual: bytes, labels: Callable[[Sequence[int]], Sequence[int]]
) -> bytes:
    """Features with labels in place of those values of a column that are none of the usual ones."""
    values = features[column::width]
    if not values.strip(usual):
        return features
    indices = [index for index, value in enumerate(values) if value not in usual]
    changed = bytearray(features)
    for index, label in zip(indices, labels(indices), strict=True):
        changed[index * width + column] = label
    return bytes(changed)


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
    """Number of values of each of the 9 atom features and of each of the 3 bond features.

    OGB's graphs fit in, too: their values of chirality and stereo are fewer.
    """
    atom_dims, bond_dims = atom_feature_dims(), bond_feature_dims()
    atom_dims[CHIRALITY] = max(atom_dims[CHIRALITY], len(CHIRALITY_LABELS))
    bond_dims[STEREO] = max(bond_dims[STEREO], len(BOND_STEREO))
    return atom_dims, bond_dims
