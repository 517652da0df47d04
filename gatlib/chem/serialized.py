"""All atoms and bonds of an RDKit molecule from one call, by walking its own serialisation.

Asking RDKit for nine features of every atom costs one Python object per atom and nine calls: more time than
parsing the SMILES took. ``Mol.ToBinary`` hands everything over at once. Its layout (RDKit's
``Code/GraphMol/MolPickler.cpp``, molecules of at most 255 atoms) is::

    20 bytes of header | int32 atoms | int32 bonds | 2 bytes
    each atom: element, flags, int32 of property bits, then 1 byte for each of the property bits 1-7 that
               is set and 4 bytes for bit 8 (isotope)
    1 byte
    each bond: begin, end, flags, then type, direction and stereo where the flags say so
    1 byte | int32 rings | each ring: its length, its atoms

Only the lengths of the records are taken from here. What a record means is asked of RDKit once, through
:mod:`gatlib.chem.ogb_tables`, and remembered under the record's bytes. A molecule with anything unusual
(query atoms, atom maps, dummy labels, residues, over 255 atoms) is refused, and so is every molecule if the
installed RDKit should write another layout: :func:`layout_is_known` compares both ways on molecules
that have one of everything. What is refused goes the slow way, with the same result.
"""

from functools import cache
from typing import NamedTuple

from rdkit import Chem

from gatlib.chem.ogb_tables import atom_features, bond_features

DEGREE, IN_RING = 2, 8  # columns of the 9 atom features

_MAX_ATOMS = 255
_FIRST_ATOM = 30
_UNUSUAL_ATOM = 0b00011110  # query, atom map, dummy label, residue
_UNUSUAL_BOND = 0b00010001  # query, attachment points
_HAS_TYPE, _HAS_DIRECTION, _HAS_STEREO = 0b1000, 0b0100, 0b0010
_ATOM_SIZE = [6 + (bits & 0b11111110).bit_count() for bits in range(256)]
_BOND_SIZE = [
    1 + bool(flags & _HAS_TYPE) + bool(flags & _HAS_DIRECTION) + bool(flags & _HAS_STEREO) for flags in range(256)
]

# The meaning of each record seen so far. Chemistry has a few hundred of them.
_atom_meaning: dict[bytes, bytes] = {}
_bond_meaning: dict[bytes, bytes] = {}


class RawFeatures(NamedTuple):
    """A molecule as bytes, one per value.

    The degree column holds the number of hydrogens only: the bonds are counted for a whole batch at once.
    The ring column is set for the atoms that ``ring_atoms`` does not list.
    """

    atoms: bytes  # 9 per atom
    ends: bytes | list[int]  # begin and end of each bond
    bonds: bytes  # 3 per bond
    ring_atoms: bytes


def read_fast(mol: Chem.Mol) -> RawFeatures | None:
    """The features of ``mol`` from its serialisation, or None if it has to go the slow way."""
    num_atoms = mol.GetNumAtoms()
    if num_atoms > _MAX_ATOMS:
        return None
    data = mol.ToBinary(0)
    position = _FIRST_ATOM
    atoms = []
    for index in range(num_atoms):
        if data[position + 1] & _UNUSUAL_ATOM:
            return None
        size = _ATOM_SIZE[data[position + 2]] + 4 * (data[position + 3] & 1)
        record = data[position : position + size]
        meaning = _atom_meaning.get(record)
        if meaning is None:
            meaning = _atom_meaning[record] = _atom_without_ring(mol.GetAtomWithIdx(index))
        atoms.append(meaning)
        position += size
    position += 1
    ends, bonds = [], []
    for index in range(mol.GetNumBonds()):
        ends.append(data[position : position + 2])
        position += 2
        flags = data[position]
        if flags & _UNUSUAL_BOND:
            return None
        size = _BOND_SIZE[flags]
        record = data[position : position + size]
        meaning = _bond_meaning.get(record)
        if meaning is None:
            meaning = _bond_meaning[record] = bytes(bond_features(mol.GetBondWithIdx(index)))
        bonds.append(meaning)
        position += size
        if flags & _HAS_STEREO:
            position += 1 + data[position]
    position += 1
    num_rings = int.from_bytes(data[position : position + 4], "little")
    position += 4
    rings = []
    for _ in range(num_rings):
        end = position + 1 + data[position]
        rings.append(data[position + 1 : end])
        position = end
    return RawFeatures(b"".join(atoms), b"".join(ends), b"".join(bonds), b"".join(rings))


def read_slow(mol: Chem.Mol) -> RawFeatures:
    """The same through RDKit's atom and bond objects: the definition, for any molecule."""
    atoms, ends, bonds = [], [], []
    for atom in mol.GetAtoms():
        features = atom_features(atom)
        features[DEGREE] = atom.GetTotalNumHs()
        atoms.append(bytes(features))
    for bond in mol.GetBonds():
        ends += [bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()]
        bonds.append(bytes(bond_features(bond)))
    return RawFeatures(b"".join(atoms), ends, b"".join(bonds), b"")


def _atom_without_ring(atom: Chem.Atom) -> bytes:
    features = atom_features(atom)
    features[DEGREE] = atom.GetTotalNumHs()
    features[IN_RING] = 0
    return bytes(features)


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
)


@cache
def layout_is_known() -> bool:
    """Whether the installed RDKit writes the layout that :func:`read_fast` walks."""
    try:
        return all(_agree(Chem.MolFromSmiles(smiles)) for smiles in _PROBES)
    except IndexError:
        return False
    finally:
        _atom_meaning.clear()
        _bond_meaning.clear()


def _agree(mol: Chem.Mol) -> bool:
    fast, slow = read_fast(mol), read_slow(mol)
    if fast is None:
        return False
    columns = len(fast.atoms) // mol.GetNumAtoms()
    atoms = bytearray(fast.atoms)
    for atom in fast.ring_atoms:
        atoms[atom * columns + IN_RING] = 1
    return (bytes(atoms), list(fast.ends), fast.bonds) == (slow.atoms, slow.ends, slow.bonds)
