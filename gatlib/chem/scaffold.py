"""Bemis-Murcko scaffolds and canonical SMILES: which molecules belong on the same side of a split."""

from rdkit import Chem
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
