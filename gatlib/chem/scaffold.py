"""Bemis-Murcko scaffolds and canonical SMILES: which molecules belong on the same side of a split."""

from rdkit import Chem
from rdkit.Chem.Scaffolds import MurckoScaffold

from gatlib.chem.graphs import parse


def murcko_scaffold(smiles: str) -> str:
    """Canonical SMILES of the Bemis-Murcko scaffold (rings and the chains between them; empty for a
    molecule without rings), with chirality, as OGB's scaffold split has it.

    Source: Bemis and Murcko, "The properties of known drugs. 1", J. Med. Chem. 1996.
    """
    return MurckoScaffold.MurckoScaffoldSmiles(mol=parse(smiles), includeChirality=True)


def canonical_smiles(smiles: str) -> str:
    """RDKit's canonical SMILES: equal for two spellings of one molecule."""
    return Chem.MolToSmiles(parse(smiles))
