"""Scaffolds and canonical SMILES: what belongs together."""

import pytest

from gatlib.chem import InvalidMolecule, canonical_smiles, constitution, murcko_scaffold


@pytest.mark.parametrize(
    ("smiles", "scaffold"),
    {
        "no ring": ("CCO", ""),
        "a single ring": ("Cc1ccccc1O", "c1ccccc1"),
        "rings and the chain between them": ("CC(=O)c1ccc(CCc2ccncc2)cc1", "c1ccc(CCc2ccncc2)cc1"),
        "chirality": ("C[C@H]1CC[C@@H](c2ccccc2)O1", "c1ccc([C@@H]2CCCO2)cc1"),
        "a salt": ("[Na+].[O-]C(=O)c1ccccc1", "c1ccccc1"),
        "a single atom": ("[Na+]", ""),
        "a carbonyl on the ring": ("CN1CCCC1=O", "O=C1CCCN1"),
        "map numbers": ("[CH3:1][c:2]1[cH:3]cccc1", "c1ccccc1"),
    }.values(),
    ids=lambda value: value or "none",
)
def test_the_scaffold_is_the_rings_and_what_joins_them(smiles: str, scaffold: str) -> None:
    assert murcko_scaffold(smiles) == scaffold


def test_chirality_can_be_left_out() -> None:
    both = {murcko_scaffold(f"C[C@H]1CC[{tag}H](c2ccccc2)O1", include_chirality=False) for tag in ("C@", "C@@")}
    assert both == {"c1ccc(C2CCCO2)cc1"}


def test_spellings_of_one_molecule_have_one_canonical_smiles_and_scaffold() -> None:
    spellings = ["OCc1ccccc1", "c1ccc(CO)cc1", "C(O)C1=CC=CC=C1", " [OH][CH2]c1ccccc1 "]
    assert len({canonical_smiles(smiles) for smiles in spellings}) == 1
    assert len({murcko_scaffold(smiles) for smiles in spellings}) == 1


@pytest.mark.parametrize("function", [murcko_scaffold, canonical_smiles])
def test_no_molecule_no_scaffold(function: object) -> None:
    with pytest.raises(InvalidMolecule, match="not a valid SMILES"):
        function("C1CC")  # type: ignore[operator]


def test_stereoisomers_have_one_constitution() -> None:
    assert constitution("C[C@H](N)F") == constitution("C[C@@H](N)F") == "CC(N)F"
