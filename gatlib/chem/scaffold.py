"""Bemis-Murcko scaffolds: which molecules belong on the same side of a split."""

from rdkit.Chem.Scaffolds import MurckoScaffold

from gatlib.chem.parsing import canonical_smiles, parse


def murcko_scaffold(smiles: str, include_chirality: bool = True) -> str:
    """Canonical SMILES of the Bemis-Murcko scaffold: rings and the chains between them; empty for a molecule
    without rings. Spellings of one molecule have one scaffold.

    Args:
        smiles: the molecule.
        include_chirality: OGB's scaffold split tells stereoisomers apart, chemprop's does not.

    Raises:
        InvalidMolecule: see :func:`~gatlib.chem.parse`.

    Source: Bemis and Murcko, "The properties of known drugs. 1", J. Med. Chem. 1996.
    """
    # What is cut out of a molecule keeps the order of its atoms, and with it, now and then, another spelling.
    mol = parse(canonical_smiles(smiles))
    return MurckoScaffold.MurckoScaffoldSmiles(mol=mol, includeChirality=include_chirality)
