"""Molecules whose stereo is hard to tell, real ones, and other spellings of a molecule."""

from functools import cache
from pathlib import Path

import pandas as pd
from rdkit import Chem, rdBase

from gatlib.chem import canonical_smiles, featurize

CIS, TRANS = "C[C@H]1CC[C@@H](C)CC1", "C[C@H]1CC[C@H](C)CC1"
#: Centres with and without CIP labels, double bonds, bridges, several fragments, sulphur, phosphorus, wedged axes.
HARD = [
    "N[C@@H](C)C(=O)O",
    CIS,
    TRANS,
    f"{CIS}.{TRANS}",
    f"{TRANS}.N[C@@H](C)C(=O)O.Cl",
    "[C@@H]1([C@H](C(C)C)CC[C@H](C1)C)O",
    "C[C@H]1C[C@@H](C)C[C@@H](C)C1",
    "C[C@H]1C[C@H](C)C[C@@H](C)C1",
    "O[C@H]1[C@H](O)[C@@H](O)[C@H](O)[C@H](O)[C@@H]1O",
    "C[C@H]1[C@@H](C)[C@H](C)[C@@H]1C",
    "C[C@]12CC[C@](C)(CC1)CC2",
    "[H]/N=C(N)C[C@H]1CC[C@@H](C)CC1",
    "[H]/C=C.[H]/C=C.[O-][S@+]1CC[S@@+]([O-])CC1",
    "F[Pt@SP1](Cl)(Br)I",
    "C[C@H](F)c1cccc([C@@H](C)F)c1-c1c(C)cccc1Br",
    "C" + "C(c1ccccc1)C" * 29 + "C",  # fewer atoms than 256, more bonds
    "N[C@H]1CC[C@H](C(=O)O)CC1",
    "C[C@@H](O)[C@H](O)[C@H](O)C",
    "C/C=C/[C@H](O)/C=C\\C",
    "F/C=C/C=C\\Cl",
    "C[S@](=O)c1ccccc1",
    "C[P@](=O)(O)c1ccccc1",
    "C[C@H](F)/C=C(/[C@H](C)F)[C@@H](C)F",
    "CC1=C2C=C[C@H](C)[C@@H]2CC1",
    "C[C@]12CC[C@H]3[C@@H](CCc4cc(O)ccc34)[C@@H]1CC[C@@H]2O",
    "Cl[Pt@SP1](Cl)([NH3])[NH3]",
]


def spellings(smiles: str, count: int, seed: int = 0) -> list[str]:
    """Other SMILES of the same molecule, which RDKit reads as the same molecule."""
    canonical = canonical_smiles(smiles)
    mol = Chem.MolFromSmiles(canonical)
    with rdBase.BlockLogs():
        found = Chem.MolToRandomSmilesVect(mol, count, randomSeed=seed + 1)
        return [text for text in found if canonical_smiles(text) == canonical]


@cache
def real_molecules(data_dir: Path) -> tuple[str, ...]:
    """500 of four files, more with stereo than without."""
    found: list[str] = []
    for file in ("tox21", "clintox", "BBBP", "sider"):
        smiles = pd.read_csv(data_dir / "molecules" / f"{file}.csv.gz")["smiles"].drop_duplicates().head(800)
        smiles = smiles[[error is None for error in featurize(smiles).errors]]
        stereo = smiles.str.contains("[@/]")
        found += [*smiles[stereo].head(90), *smiles[~stereo].head(35)]
    return tuple(found)
