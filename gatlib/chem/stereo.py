"""Stereochemistry as a property of the molecule, whatever the spelling of its SMILES.

RDKit's tags say whether the neighbours of an atom, *in the order of the SMILES*, stand clockwise: another spelling has
another tag. Here an atom has its CIP label, R or S, and a double bond Z or E, as RDKit labels them while it parses.
Centres without a label, such as those of cis- and trans-1,4-dimethylcyclohexane, have the tag that they have in RDKit's
canonical SMILES. Atropisomers are M or P.

Source: Cahn, Ingold and Prelog, "Specification of molecular chirality", Angew. Chem. Int. Ed. 1966.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from rdkit import Chem, rdBase

#: Values of the atom feature "chirality"; the last one for what is no tetrahedron, such as square planar.
CHIRALITY_LABELS = ("", "R", "S", "clockwise", "counterclockwise", "other")
#: Values of the bond feature "stereo"; the last one for a double bond of which it is said that either is meant.
BOND_STEREO = ("", "Z", "E", "M", "P", "any")
LABELLED_WHEN_PARSED = b"\0\1\2"  # none, Z and E are OGB's indices too, and need no second look

_TETRAHEDRAL = {
    Chem.ChiralType.CHI_TETRAHEDRAL_CW: "clockwise",
    Chem.ChiralType.CHI_TETRAHEDRAL_CCW: "counterclockwise",
}
_DOUBLE_BOND = {Chem.BondStereo.STEREONONE: "", Chem.BondStereo.STEREOZ: "Z", Chem.BondStereo.STEREOE: "E"}
_ATROPISOMER = (Chem.BondStereo.STEREOATROPCW, Chem.BondStereo.STEREOATROPCCW)
_MAX_CIP_STEPS = 100_000  # of RDKit's slower labels: less than a tenth of a second


@contextmanager
def stereo_from_rdkit() -> Iterator[None]:
    """RDKit is quiet, and labels what it parses R, S, Z and E, as it does unless somebody has switched that off."""
    labels = Chem.GetUseLegacyStereoPerception()
    with rdBase.BlockLogs():
        if labels:
            yield
            return
        Chem.SetUseLegacyStereoPerception(True)
        try:
            yield
        finally:
            Chem.SetUseLegacyStereoPerception(False)


def atom_chirality(mol: Chem.Mol, indices: Sequence[int]) -> list[int]:
    """The index in :data:`CHIRALITY_LABELS` of each of these atoms, which have a chiral tag."""
    labels = [_cip_label(mol.GetAtomWithIdx(index)) for index in indices]
    if "" in labels:
        canonical = Chem.MolFromSmiles(Chem.MolToSmiles(mol))
        written = list(mol.GetPropsAsDict(True, True)["_smilesAtomOutputOrder"])
        tags = [canonical.GetAtomWithIdx(written.index(index)).GetChiralTag() for index in indices]
        labels = [label or _TETRAHEDRAL.get(tag, "other") for label, tag in zip(labels, tags, strict=True)]
    return [CHIRALITY_LABELS.index(label) for label in labels]


def bond_stereo(mol: Chem.Mol, indices: Sequence[int]) -> list[int]:
    """The index in :data:`BOND_STEREO` of each of these bonds."""
    bonds = [mol.GetBondWithIdx(index) for index in indices]
    if axes := [bond.GetIdx() for bond in bonds if bond.GetStereo() in _ATROPISOMER]:
        from rdkit.Chem import rdCIPLabeler  # few molecules want it

        with suppress(RuntimeError):  # where it takes more steps there is no label
            rdCIPLabeler.AssignCIPLabels(mol, [], axes, _MAX_CIP_STEPS)
    labels = [_DOUBLE_BOND.get(bond.GetStereo(), _cip_label(bond) or "any") for bond in bonds]
    return [BOND_STEREO.index(label) for label in labels]


def _cip_label(part: Chem.Atom | Chem.Bond) -> str:
    try:
        label: str = part.GetProp("_CIPCode")
    except KeyError:
        return ""
    return label
