"""OGB's feature tables, imported without OGB's version check.

Importing any part of ``ogb`` starts a thread that asks the package index whether a newer ``ogb``
exists; without a network the interpreter waits for that thread at exit. ``ogb`` skips the check when the
package ``outdated`` cannot be imported, so it is hidden while ``ogb`` is imported here.
"""

import sys
from functools import cache
from importlib import import_module
from types import ModuleType

from rdkit.Chem import Atom, Bond, GetPeriodicTable


@cache
def ogb_features() -> ModuleType:
    """``ogb.utils.features``, the module that holds the tables."""
    if "ogb" not in sys.modules:
        hidden = sys.modules.get("outdated")
        sys.modules["outdated"] = None  # type: ignore[assignment]
        try:
            import_module("ogb")
        finally:
            if hidden is None:
                del sys.modules["outdated"]
            else:
                sys.modules["outdated"] = hidden
    import ogb.utils.features as features

    return features


def atom_features(atom: Atom) -> list[int]:
    """The 9 OGB indices of an atom: element, chirality, degree, charge, hydrogens, radical electrons,
    hybridisation, aromatic, in ring."""
    return ogb_features().atom_to_feature_vector(atom)


def bond_features(bond: Bond) -> list[int]:
    """The 3 OGB indices of a bond: type, stereo, conjugated.

    OGB's own function raises on a stereo label that its table lacks (RDKit's atropisomers); here such a
    label takes the table's last index, as OGB does for every other unknown value.
    """
    features = ogb_features()
    tables = features.allowable_features
    return [
        features.safe_index(tables["possible_bond_type_list"], str(bond.GetBondType())),
        features.safe_index(tables["possible_bond_stereo_list"], str(bond.GetStereo())),
        int(bond.GetIsConjugated()),
    ]


def atom_feature_dims() -> list[int]:
    """Number of OGB's values of each atom feature, in the order of :func:`atom_features`."""
    return ogb_features().get_atom_feature_dims()


def bond_feature_dims() -> list[int]:
    """Number of OGB's values of each bond feature, in the order of :func:`bond_features`."""
    return ogb_features().get_bond_feature_dims()


def ogb_element(index: int) -> str:
    """The element symbol of OGB's first atom feature; ``*`` for what is no element."""
    numbers = ogb_features().allowable_features["possible_atomic_num_list"]
    return GetPeriodicTable().GetElementSymbol(numbers[index]) if numbers[index] != "misc" else "*"
