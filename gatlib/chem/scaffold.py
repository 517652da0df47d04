"""Bemis-Murcko scaffolds and canonical SMILES: which molecules belong on the same side of a split."""

from rdkit import Chem, rdBase
from rdkit.Chem.Scaffolds import MurckoScaffold

from gatlib.chem.graphs import parse


def murcko_scaffold(smiles: str, include_chirality: bool = True) -> str:
    """Canonical SMILES of the Bemis-Murcko scaffold: rings and the chains between them; empty for a molecule
    without rings. Atom map numbers are left out.

    Args:
        smiles: the molecule.
        include_chirality: OGB's scaffold split tells stereoisomers apart, chemprop's does not.

    Raises:
        InvalidMolecule: see :func:`~gatlib.chem.parse`.

    Source: Bemis and Murcko, "The properties of known drugs. 1", J. Med. Chem. 1996.
    """
    mol = parse(smiles)
    if ":" in smiles:  # only then can there be map numbers
        for atom in mol.GetAtoms():
            atom.SetAtomMapNum(0)
    return MurckoScaffold.MurckoScaffoldSmiles(mol=mol, includeChirality=include_chirality)


def canonical_smiles(smiles: str) -> str:
    """RDKit's canonical SMILES: equal for two spellings of one molecule."""
    return Chem.MolToSmiles(parse(smiles))


def constitution(smiles: str) -> str:
    """Canonical SMILES without stereochemistry: equal for the stereoisomers of one molecule."""
    return Chem.MolToSmiles(parse(smiles), isomericSmiles=False)


def neutral_fragments(smiles: str) -> frozenset[str]:
    """The parts of a salt or mixture, neutral and without stereochemistry, as canonical SMILES.

    A drug, its hydrochloride and its sodium salt, which assays measure under different names, have one in common.
    Parts of fewer than six heavy atoms (most counter-ions and solvents) are left out beside larger ones.
    """
    fragments = Chem.GetMolFrags(parse(smiles), asMols=True)
    large = [fragment for fragment in fragments if fragment.GetNumHeavyAtoms() >= 6]
    return frozenset(Chem.MolToSmiles(_neutral(fragment), isomericSmiles=False) for fragment in large or fragments)


def _neutral(molecule: Chem.Mol) -> Chem.Mol:
    if not any(atom.GetFormalCharge() for atom in molecule.GetAtoms()):
        return molecule
    from rdkit.Chem.MolStandardize import rdMolStandardize  # takes its time to import

    with rdBase.BlockLogs():
        return rdMolStandardize.Uncharger().uncharge(molecule)
