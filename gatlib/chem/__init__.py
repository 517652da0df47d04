"""SMILES in, graphs out: parsing, OGB's features, scaffolds."""

from gatlib.chem.graphs import MoleculeGraphs, SideFeatures, feature_dims, featurize, featurize_mol
from gatlib.chem.ogb_tables import ogb_element
from gatlib.chem.parsing import (
    MAX_ATOMS,
    MAX_SMILES_LENGTH,
    InvalidMolecule,
    canonical_smiles,
    constitution,
    parse,
)
from gatlib.chem.scaffold import murcko_scaffold

__all__ = [
    "MAX_ATOMS",
    "MAX_SMILES_LENGTH",
    "InvalidMolecule",
    "MoleculeGraphs",
    "SideFeatures",
    "canonical_smiles",
    "constitution",
    "feature_dims",
    "featurize",
    "featurize_mol",
    "murcko_scaffold",
    "ogb_element",
    "parse",
]
