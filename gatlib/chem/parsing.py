"""The molecule of a SMILES, or the reason why there is none."""

import re

from rdkit import Chem

from gatlib.chem.stereo import as_written, stereo_from_rdkit

#: The limits of what is accepted as one molecule. The longest SMILES of MoleculeNet has 492 heavy atoms.
MAX_ATOMS = 1_000
MAX_SMILES_LENGTH = 10 * MAX_ATOMS

# Each begins with a character of its own, which is searched for ten times as fast as any of two.
_ISOTOPE = re.compile(r"\[\d+(?=[A-Za-z#])")  # not the number of an attachment point, [1*]
_MAP_NUMBER = re.compile(r":\d+\]")
_HYDROGEN = re.compile(r"\[(?:H(?![a-z])|#1(?!\d))")  # an atom of its own


class InvalidMolecule(ValueError):
    """There is no graph for this input; the message is the reason."""


def parse(smiles: object) -> Chem.Mol:
    """The RDKit molecule of a SMILES.

    Isotopes count as their element: deuterium and tritium become implicit like any hydrogen, carbon-13 is carbon, and a
    centre that only isotopes make chiral is none. Isotopologues share nearly all properties that one predicts. Atom map
    numbers are left out.

    Raises:
        InvalidMolecule: with the reason: not text, empty, too long, unparsable, no atoms, too many atoms.
    """
    with stereo_from_rdkit():
        return parse_quietly(smiles)


def parse_quietly(smiles: object) -> Chem.Mol:
    """The same, for one who has entered :func:`~gatlib.chem.stereo.stereo_from_rdkit` for many."""
    if not isinstance(smiles, str):
        missing = str(smiles) in ("None", "nan", "NaT", "<NA>")  # of Python, NumPy and pandas
        raise InvalidMolecule("empty SMILES" if missing else f"not text: {smiles!r:.60}")
    text = smiles.strip()
    if not text:
        raise InvalidMolecule("empty SMILES")
    if not text.isascii() or "\0" in text:
        raise InvalidMolecule("not a SMILES: it contains a character that is not printable ASCII")
    if len(text) > MAX_SMILES_LENGTH:
        raise InvalidMolecule(f"too large: {len(text):,} characters, at most {MAX_SMILES_LENGTH:,} are accepted")
    words = text.split(maxsplit=1)
    if len(words) > 1 and not words[1].startswith("|"):  # "C O" would parse as methane with the name "O"
        raise InvalidMolecule("not a SMILES: it contains a space")
    words[0] = _MAP_NUMBER.sub("]", _ISOTOPE.sub("[", words[0]))
    has_hydrogen = _HYDROGEN.search(words[0])
    mol = as_written(" ".join(words)) if has_hydrogen else Chem.MolFromSmiles(" ".join(words))
    if mol is None:
        raise InvalidMolecule(_why_refused(text))
    if has_hydrogen:
        mol = without_hydrogens(mol)
    num_atoms = mol.GetNumAtoms()
    if num_atoms == 0:
        raise InvalidMolecule("no atoms")
    if num_atoms > MAX_ATOMS:
        raise InvalidMolecule(f"too large: {num_atoms:,} atoms, at most {MAX_ATOMS:,} are accepted")
    return mol


def without_hydrogens(mol: Chem.Mol) -> Chem.Mol:
    """Folds the hydrogens into their neighbours, but for those that tell cis from trans: ``[H]/N=C/C``.

    RDKit also keeps those that only look so: of ``[H]/C=C/C``, where the carbon has another one, or of
    ``[H]/N=C(/C)C``, where the other side is the same twice. And it folds before it knows what is cis in a ring.
    """
    for atom in mol.GetAtoms():
        if atom.GetAtomicNum() == 1 and not any(_tells_stereo(other) for other in atom.GetNeighbors()):
            for bond in atom.GetBonds():
                bond.SetBondDir(Chem.BondDir.NONE)
    Chem.AssignStereochemistry(mol, cleanIt=True, force=True)
    return Chem.RemoveHs(mol)


def _tells_stereo(atom: Chem.Atom) -> bool:
    return atom.GetTotalNumHs(includeNeighbors=True) == 1 and any(
        bond.GetStereo() != Chem.BondStereo.STEREONONE for bond in atom.GetBonds()
    )


def _why_refused(smiles: str) -> str:
    mol = Chem.MolFromSmiles(smiles, sanitize=False)
    if mol is None:
        return "not a valid SMILES"
    problems = Chem.DetectChemistryProblems(mol)
    return f"not a valid molecule: {problems[0].Message()}" if problems else "not a valid molecule"


def canonical_smiles(smiles: object) -> str:
    """RDKit's canonical SMILES: equal for two spellings of one molecule, and for its isotopologues.

    Raises:
        InvalidMolecule: see :func:`parse`.
    """
    return Chem.MolToSmiles(parse(smiles))


def constitution(smiles: str) -> str:
    """Canonical SMILES without stereochemistry: equal for the stereoisomers of one molecule."""
    return Chem.MolToSmiles(parse(smiles), isomericSmiles=False)
