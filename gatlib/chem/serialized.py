"""All atoms and bonds of an RDKit molecule from one call, by cutting up its own serialisation.

Asking RDKit for nine features of every atom costs one Python object per atom and nine calls: more time than
parsing the SMILES took. ``Mol.ToBinary`` hands everything over at once. Its layout (RDKit's
``Code/GraphMol/MolPickler.cpp``), where an atom's number takes 1 byte in molecules of up to 255 atoms and of up to 255
bonds, and else 4::

    20 bytes of header | int32 atoms | int32 bonds | 2 bytes
    each atom: element, flags, int32 of property bits, then 1 byte for each of the property bits 1-7 that
               is set and 4 bytes for bit 8 (isotope)
    1 byte
    each bond: begin, end, flags, then type, direction and stereo where the flags say so; after stereo, the
               number of atoms that define it, and these atoms
    1 byte | int32 rings | each ring: its length, its atoms

Only the lengths of the records are taken from here. What a record means is asked of RDKit once, through
:mod:`gatlib.chem.ogb_tables`, and remembered under the record's bytes. A molecule with anything unusual
(query atoms, atom maps, dummy labels, residues) is refused, and so is every molecule if the installed RDKit
should write another layout: :func:`layout_is_known` compares both ways on molecules that have one of
everything. What is refused goes the slow way, with the same result.
"""

import re
import struct
from collections.abc import Callable, Iterable
from functools import cache
from itertools import chain, islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem

from gatlib.chem.ogb_tables import atom_features, bond_features

CHIRALITY, DEGREE, IN_RING = 1, 2, 8  # columns of the 9 atom features
STEREO = 1  # column of the 3 bond features

_COUNTS = struct.Struct("<ii")
_FIRST_ATOM = 30


def _one_of(values: Iterable[int]) -> bytes:
    """A regular expression for one byte out of these."""
    return b"[" + b"".join(b"\\x%02x" % value for value in values) + b"]"


def _atom_pattern() -> re.Pattern[bytes]:
    usual = _one_of(flags for flags in range(256) if not flags & 0b00011110)
    records = []
    for count in range(8):
        bits = _one_of(bits for bits in range(256) if (bits & 0b11111110).bit_count() == count)
        records.append(bits + rb"(?:\x00\x00\x00.{%d}|\x01\x00\x00.{%d})" % (count, count + 4))
    return re.compile(b"." + usual + b"(?:" + b"|".join(records) + b")", re.DOTALL)


def _bond_pattern(index_size: int) -> re.Pattern[bytes]:
    """Groups, of which all bytes are in one: both ends; a plain bond; a bond with stereo; the atoms that define it."""
    plain, stereo = [], []
    for count in range(3):
        usual = [flags for flags in range(256) if not flags & 0b00010001 and (flags & 0b1100).bit_count() == count]
        plain.append(_one_of(flags for flags in usual if not flags & 0b0010) + b".{%d}" % count)
        stereo.append(_one_of(flags for flags in usual if flags & 0b0010) + b".{%d}" % (count + 1))
    ends, definition = b".{%d}" % (2 * index_size), rb"\x00|\x02.{%d}" % (2 * index_size)
    pattern = b"(%s)(?:(%s)|(%s)(%s))" % (ends, b"|".join(plain), b"|".join(stereo), definition)
    return re.compile(pattern, re.DOTALL)


_ATOM = _atom_pattern()
_BOND = {1: _bond_pattern(1), 4: _bond_pattern(4)}
_INDEX_TYPE: dict[int, np.dtype[np.integer]] = {1: np.dtype("u1"), 4: np.dtype("<i4")}

# The meaning of each record seen so far. Chemistry has a few hundred of them.
_atom_meaning: dict[bytes, bytes] = {}
_bond_meaning: dict[bytes, bytes] = {}


class RawFeatures(NamedTuple):
    """A molecule before its bonds and rings are counted in, with RDKit's tags in the columns of stereo.

    The degree column of ``atoms`` holds the number of hydrogens only: the bonds are counted for a whole batch at
    once. Its ring column is set for the atoms that ``ring_atoms`` does not list.
    """

    atoms: bytes  # 9 per atom
    ends: NDArray[np.integer]  # begin and end of each bond, one after the other
    bonds: bytes  # 3 per bond
    ring_atoms: NDArray[np.integer]


def serialize(mol: Chem.Mol) -> bytes:
    """RDKit's serialisation, without properties."""
    return mol.ToBinary(0)


def read_fast(data: bytes, molecule: Callable[[], Chem.Mol]) -> RawFeatures | None:
    """The features of a molecule from its serialisation, or None if it has to go the slow way.

    Args:
        data: the serialisation.
        molecule: gives the molecule itself; called when a record is met for the first time.
    """
    num_atoms, num_bonds = _COUNTS.unpack_from(data, 20)
    index_size = 1 if max(num_atoms, num_bonds) <= 255 else 4

    # 1. Atoms. The search skips a record that does not match, so what it found must stand there without gaps.
    records = [match[0] for match in islice(_ATOM.finditer(data, _FIRST_ATOM), num_atoms)]
    found = b"".join(records)
    if len(records) < num_atoms or not data.startswith(found, _FIRST_ATOM):
        return None
    atoms = [
        _atom_meaning.get(record) or _learn_atom(molecule(), index, record) for index, record in enumerate(records)
    ]

    # 2. Bonds.
    first_bond = _FIRST_ATOM + len(found) + 1
    groups = _BOND[index_size].findall(data, first_bond)[:num_bonds]
    found = b"".join(chain.from_iterable(groups))
    if len(groups) < num_bonds or not data.startswith(found, first_bond):
        return None
    kinds = [plain or stereo for _, plain, stereo, _ in groups]
    bonds = [_bond_meaning.get(kind) or _learn_bond(molecule(), index, kind) for index, kind in enumerate(kinds)]
    ends = b"".join([group[0] for group in groups])

    # 3. Rings.
    position = first_bond + len(found) + 1
    num_rings = int.from_bytes(data[position : position + 4], "little")
    if num_rings > num_bonds:
        return None
    position += 4
    rings = []
    for _ in range(num_rings):
        start = position + index_size
        position = start + index_size * int.from_bytes(data[position:start], "little")
        rings.append(data[start:position])
    dtype = _INDEX_TYPE[index_size]
    return RawFeatures(
        b"".join(atoms), np.frombuffer(ends, dtype), b"".join(bonds), np.frombuffer(b"".join(rings), dtype)
    )


def _learn_atom(mol: Chem.Mol, index: int, record: bytes) -> bytes:
    features = _without_bonds(mol.GetAtomWithIdx(index))
    features[IN_RING] = 0
    _atom_meaning[record] = bytes(features)
    return _atom_meaning[record]


def _learn_bond(mol: Chem.Mol, index: int, kind: bytes) -> bytes:
    _bond_meaning[kind] = bytes(bond_features(mol.GetBondWithIdx(index)))
    return _bond_meaning[kind]


def _without_bonds(atom: Chem.Atom) -> list[int]:
    features = atom_features(atom)
    features[DEGREE] = atom.GetTotalNumHs()
    return features


def read_slow(mol: Chem.Mol) -> RawFeatures:
    """The same through RDKit's atom and bond objects: the definition, for any molecule."""
    atoms = [bytes(_without_bonds(atom)) for atom in mol.GetAtoms()]
    ends = [index for bond in mol.GetBonds() for index in (bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())]
    bonds = [bytes(bond_features(bond)) for bond in mol.GetBonds()]
    none = np.zeros(0, dtype=np.int32)
    return RawFeatures(b"".join(atoms), np.array(ends, dtype=np.int32), b"".join(bonds), none)


# One of everything: charges, radicals, isotopes, chirality, stereo bonds, aromatic and fused rings,
# salts, metals, explicit hydrogens, every bond type, no bonds at all.
_PROBES = (
    "C",
    "[Na+].[Cl-]",
    "[13CH3][C@H](F)[C@@](Cl)(Br)I",
    "C/C=C/C(=O)/N=C\\c1ccc2[nH]ccc2c1",
    "[CH3]",
    "[2H]C([2H])([2H])O[N+](=O)[O-]",
    "C#CC1CC12CCCS2(=O)=O",
    "F[P-](F)(F)(F)(F)F.CS(C)=O",
    "[NH3][Pt]([NH3])(Cl)Cl",
    "c1ccc2c(c1)[se]c1ccccc12",
    "FS(F)(F)F.[O][O].[H][H].OB(O)c1ccncc1",
    "C" * 256 + "C1CC1/C=C/[2H]",
    "C1CC1" * 70,  # fewer atoms than 256, more bonds
)


@cache
def layout_is_known() -> bool:
    """Whether the installed RDKit writes the layout that :func:`read_fast` cuts up."""
    try:
        return all(_agree(Chem.MolFromSmiles(smiles)) for smiles in _PROBES)
    except (IndexError, ValueError, struct.error):
        return False
    finally:
        _atom_meaning.clear()
        _bond_meaning.clear()


def _agree(mol: Chem.Mol) -> bool:
    fast, slow = read_fast(serialize(mol), lambda: mol), read_slow(mol)
    if fast is None:
        return False
    atoms = bytearray(fast.atoms)
    for atom in fast.ring_atoms.tolist():
        atoms[atom * len(atoms) // mol.GetNumAtoms() + IN_RING] = 1
    same_ends = np.array_equal(fast.ends, slow.ends)
    return same_ends and (bytes(atoms), fast.bonds) == (slow.atoms, slow.bonds)
