"""Molecules as pairs of a graph and its canonical SMILES: reading, cutting into pieces, tokens, batches."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rdkit import Chem, rdBase
from torch import Tensor
from torch_geometric.data import Data

from gatlib.chem import InvalidMolecule, MoleculeGraphs, canonical_smiles, featurize, parse
from gatlib.data.batches import GraphBatches
from gatlib.data.tables import open_table

PAD, START, END, UNKNOWN = range(4)
SPECIAL_TOKENS = ("<pad>", "<start>", "<end>", "<unknown>")
# An atom in brackets is one token, and so are the elements of two letters and the ring closures of two digits.
_TOKEN = re.compile(r"\[[^\]]+\]|Br|Cl|%\d\d|.")


def tokenize(smiles: str) -> list[str]:
    return _TOKEN.findall(smiles)


def is_atom(token: str) -> bool:
    return token[0].isalpha() or token[0] in "[*"


def make_vocabulary(smiles: Iterable[str]) -> tuple[str, ...]:
    """Every token of these SMILES, after the special ones."""
    return (*SPECIAL_TOKENS, *sorted({token for text in smiles for token in tokenize(text)}))


def to_smiles(sequence: Tensor, vocabulary: Sequence[str]) -> str:
    """The text of a decoded sequence; an unknown token shows as itself, so that no molecule matches it."""
    return "".join(vocabulary[token] for token in sequence.tolist() if token != END)


def flat_smiles(mol: Chem.Mol) -> str | None:
    """Canonical SMILES without stereo marks and isotopes.

    None where it is not the canonical SMILES of the molecule that it denotes: that molecule has another target.
    """
    smiles = Chem.MolToSmiles(mol, isomericSmiles=False)
    try:
        return smiles if canonical_smiles(smiles) == smiles else None
    except InvalidMolecule:
        return None


def read_smiles(paths: Iterable[Path], rows: int | None) -> list[str]:
    """The flat canonical SMILES of every molecule of these tables, each once; of their first `rows` rows."""
    found: dict[str, None] = {}
    for path in paths:
        with open_table(str(path)) as table:
            for row in islice(table.rows, rows):
                try:
                    smiles = flat_smiles(parse(row.cells[table.smiles_index]))
                except InvalidMolecule:
                    continue
                if smiles is not None:
                    found[smiles] = None
    return list(found)


def cut_into_pieces(smiles: Iterable[str], sizes: range, seed: int) -> set[str]:
    """Further molecules: what remains of each one when one or two of its bonds are cut, as flat canonical SMILES.

    Single bonds outside rings between uncharged atoms are cut, and hydrogens take the place of what was cut off.

    Args:
        smiles: the molecules.
        sizes: numbers of atoms that a piece may have.
        seed: of the choice of the bonds.
    """
    generator = np.random.default_rng(seed)
    with rdBase.BlockLogs():
        return {
            piece
            for text in smiles
            for mol in _cut(parse(text), generator)
            if mol.GetNumAtoms() in sizes and (piece := flat_smiles(mol)) is not None
        }


def _cut(mol: Chem.Mol, generator: np.random.Generator) -> Sequence[Chem.Mol]:
    bonds = [bond.GetIdx() for bond in mol.GetBonds() if _may_be_cut(bond)]
    if not bonds:
        return ()
    cut = generator.choice(bonds, size=min(len(bonds), generator.integers(1, 3)), replace=False)
    try:
        return Chem.GetMolFrags(Chem.FragmentOnBonds(mol, cut.tolist(), addDummies=False), asMols=True)
    except Chem.MolSanitizeException:
        return ()


def _may_be_cut(bond: Chem.Bond) -> bool:
    charged = bond.GetBeginAtom().GetFormalCharge() or bond.GetEndAtom().GetFormalCharge()
    return bond.GetBondType() == Chem.BondType.SINGLE and not bond.IsInRing() and not charged


@dataclass(frozen=True)
class Molecules:
    """Graphs and the sequences to be read from them, in the order of `smiles`."""

    smiles: list[str]
    graphs: MoleculeGraphs
    sequences: list[NDArray[np.int64]]

    @property
    def num_atoms(self) -> NDArray[np.int64]:
        return np.diff(self.graphs.atom_ptr)

    def batch(self, rows: NDArray[np.int64]) -> tuple[Data, Tensor]:
        """The graphs of these molecules and their sequences, `[len(rows), T]`, padded."""
        sequences = [torch.from_numpy(self.sequences[row]) for row in rows]
        tokens = torch.nn.utils.rnn.pad_sequence(sequences, batch_first=True, padding_value=PAD)
        return GraphBatches(self.graphs, rows)[np.arange(len(rows))], tokens


def make_molecules(smiles: list[str], vocabulary: Sequence[str]) -> Molecules:
    number = {token: index for index, token in enumerate(vocabulary)}
    sequences = [np.array([*(number.get(token, UNKNOWN) for token in tokenize(text)), END]) for text in smiles]
    return Molecules(smiles, featurize(smiles), sequences)


def batches_alike(rows: NDArray[np.int64], sizes: NDArray[np.int64], batch_size: int) -> Iterator[NDArray[np.int64]]:
    """Batches of molecules of nearly the same size, with `batch_size` tokens or atoms in all when padded."""
    rows = rows[np.argsort(sizes[rows], kind="stable")]
    begin = 0
    for end in range(1, len(rows) + 1):
        if end == len(rows) or (end + 1 - begin) * sizes[rows[end]] > batch_size:
            yield rows[begin:end]
            begin = end


def training_batches(
    lengths: NDArray[np.int64], num_real: int, pieces_per_molecule: int, batch_tokens: int, seed: int
) -> Iterator[NDArray[np.int64]]:
    """Batches without end; in each epoch all real molecules, the first ones, and so many of the pieces after them.

    The order depends on the seed alone, so that a resumed run goes on with the same batches.
    """
    real, pieces = np.arange(num_real), np.arange(num_real, len(lengths))
    for epoch in count():
        generator = np.random.default_rng([seed, epoch])
        some = generator.permutation(pieces)[: pieces_per_molecule * num_real]
        rows = generator.permutation(np.concatenate([real, some]))
        batches = list(batches_alike(rows, lengths, batch_tokens))
        for index in generator.permutation(len(batches)):
            yield batches[index]
