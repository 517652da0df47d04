"""Stereochemistry as a property of the molecule, whatever the spelling of its SMILES.

RDKit's tags say whether the neighbours of an atom, *in the order of the SMILES*, stand clockwise: another spelling has
another tag. Here an atom has its CIP label, R or S, and a double bond Z or E, as RDKit labels them while it parses.
What has no such label is asked of RDKit's slower ``rdCIPLabeler``: centres that differ only in space, such as those of
cis- and trans-1,4-dimethylcyclohexane, are r or s, and axes are M or P. Where it has none either, r and s stand for the
tag in RDKit's canonical SMILES.

Sources: Cahn, Ingold and Prelog, "Specification of molecular chirality", Angew. Chem. Int. Ed. 1966; Hanson et al.,
"Algorithmic analysis of Cahn-Ingold-Prelog rules of stereochemistry", J. Chem. Inf. Model. 2018.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

from rdkit import Chem, rdBase

#: Values of the atom feature "chirality"; the last one for what is no tetrahedron, such as square planar.
CHIRALITY_LABELS = ("", "R", "S", "r", "s", "other")
#: Values of the bond feature "stereo".
BOND_STEREO = ("", "Z", "E", "M", "P")
LABELLED_WHEN_PARSED = b"\0\1\2"  # none, Z and E are OGB's indices too, and need no second look

_TETRAHEDRAL = {Chem.ChiralType.CHI_TETRAHEDRAL_CW: "r", Chem.ChiralType.CHI_TETRAHEDRAL_CCW: "s"}
_ATROPISOMER = (Chem.BondStereo.STEREOATROPCW, Chem.BondStereo.STEREOATROPCCW)
_DOUBLE_BOND = {Chem.BondStereo.STEREOZ: "Z", Chem.BondStereo.STEREOE: "E"}
_MAX_CIP_STEPS = 100_000  # of the slower labels: less than a tenth of a second


class _Settings:
    """Of RDKit, for the whole process; who comes first sets them, who leaves last puts them back."""

    def __init__(self) -> None:
        self.lock, self.users, self.before = threading.Lock(), 0, (True, True)

    def enter(self) -> None:
        with self.lock:
            if self.users == 0:
                self.before = (Chem.GetUseLegacyStereoPerception(), Chem.GetAllowNontetrahedralChirality())
                self.set((True, True))
            self.users += 1

    def leave(self) -> None:
        with self.lock:
            self.users -= 1
            if self.users == 0:
                self.set(self.before)

    def set(self, values: tuple[bool, bool]) -> None:
        Chem.SetUseLegacyStereoPerception(values[0])
        Chem.SetAllowNontetrahedralChirality(values[1])


_settings = _Settings()


@contextmanager
def stereo_from_rdkit() -> Iterator[None]:
    """RDKit is quiet, and labels what it parses R, S, Z and E, as it does unless somebody has switched that off."""
    _settings.enter()
    try:
        with rdBase.BlockLogs():
            yield
    finally:
        _settings.leave()


def atom_chirality(mol: Chem.Mol, indices: Sequence[int]) -> list[int]:
    """The index in :data:`CHIRALITY_LABELS` of each of these atoms, which have a chiral tag."""
    atoms = [mol.GetAtomWithIdx(index) for index in indices]
    labels = [_cip_label(atom) if atom.GetChiralTag() in _TETRAHEDRAL else "other" for atom in atoms]
    if "" in labels:
        _assign_cip_labels(mol, [index for index, label in zip(indices, labels, strict=True) if not label], [])
        labels = [label or _cip_label(atom) for label, atom in zip(labels, atoms, strict=True)]
    if "" in labels:
        canonical: Any = as_written(Chem.MolToSmiles(mol))
        written = list(mol.GetPropsAsDict(True, True)["_smilesAtomOutputOrder"])
        tags = [canonical.GetAtomWithIdx(written.index(index)).GetChiralTag() for index in indices]
        labels = [label or _TETRAHEDRAL.get(tag, "other") for label, tag in zip(labels, tags, strict=True)]
    return [CHIRALITY_LABELS.index(label) for label in labels]


def bond_stereo(mol: Chem.Mol, indices: Sequence[int]) -> list[int]:
    """The index in :data:`BOND_STEREO` of each of these bonds; that either is meant is no stereo."""
    bonds = [mol.GetBondWithIdx(index) for index in indices]
    if axes := [bond.GetIdx() for bond in bonds if bond.GetStereo() in _ATROPISOMER]:
        _assign_cip_labels(mol, [], axes)
    # m and p are axes that differ only in space.
    labels = [_cip_label(bond).upper() if bond.GetIdx() in axes else "" for bond in bonds]
    return [
        BOND_STEREO.index(label or _DOUBLE_BOND.get(bond.GetStereo(), ""))
        for bond, label in zip(bonds, labels, strict=True)
    ]


def as_written(smiles: str) -> Chem.Mol | None:
    """The molecule with all atoms that the SMILES has, hydrogens too; None if it is not valid."""
    return Chem.MolFromSmiles(smiles, _all_atoms())


@cache
def _all_atoms() -> Any:
    settings: Any = Chem.SmilesParserParams()
    settings.removeHs = False
    return settings


def written(mol: Chem.Mol) -> str:
    """Canonical SMILES, with what it needs beside it to tell the sides of an axis."""
    has_axis = any(bond.GetStereo() in _ATROPISOMER for bond in mol.GetBonds())
    return Chem.MolToCXSmiles(mol) if has_axis else Chem.MolToSmiles(mol)


def _assign_cip_labels(mol: Chem.Mol, atoms: Sequence[int], bonds: Sequence[int]) -> None:
    from rdkit.Chem import rdCIPLabeler  # few molecules want it

    with suppress(RuntimeError):  # where it takes more steps there is no label
        rdCIPLabeler.AssignCIPLabels(mol, atoms, bonds, _MAX_CIP_STEPS)


def _cip_label(part: Chem.Atom | Chem.Bond) -> str:
    try:
        label: str = part.GetProp("_CIPCode")
    except KeyError:
        return ""
    return label
