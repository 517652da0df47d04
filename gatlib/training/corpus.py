"""The molecules to pretrain on: those of many tables, once each, without those that a later test shall be fair to."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from gatlib.chem import InvalidMolecule, canonical_smiles, constitution
from gatlib.data.cards import card_names, load_card
from gatlib.data.files import dataset_file
from gatlib.data.tables import open_table
from gatlib.errors import InputError
from gatlib.training.molecules import split_molecules
from gatlib.training.train import read_dataset


def collect_molecules(sources: Sequence[str], left_out: Sequence[str], data_dir: Path | None = None) -> list[str]:
    """Canonical SMILES of the sources' molecules in their order, each once; what is no molecule is passed over.

    Molecules are the same when their SMILES without stereochemistry are.

    Args:
        sources: names of data set cards, or files with SMILES.
        left_out: what must not be among them: the same, or ``name:split`` for valid and test of a card's split.
        data_dir: folder of the data files.

    Raises:
        InputError: no such card, file or split; nothing is left.
    """
    seen = {key for source in left_out for key, _ in _molecules(_held_out(source, data_dir))}
    found = []
    for source in sources:
        for key, canonical in _molecules(_smiles(source, data_dir)):
            if key not in seen:
                seen.add(key)
                found.append(canonical)
    if not found:
        raise InputError(f"no molecule of {', '.join(sources)} is left to pretrain on")
    return found


def _molecules(smiles: Sequence[str]) -> Iterator[tuple[str, str]]:
    """SMILES without stereochemistry, and canonical SMILES, of what is a molecule."""
    for text in smiles:
        with suppress(InvalidMolecule):
            yield constitution(text), canonical_smiles(text)


def _held_out(source: str, data_dir: Path | None) -> list[str]:
    name, _, split = source.partition(":")
    if name not in card_names() or not split:
        return _smiles(source, data_dir)
    molecules = read_dataset(name, data_dir, split)
    parts = split_molecules(molecules, split, 0)
    return [molecules.smiles[row] for rows in (parts.valid, parts.test) for row in rows]


def _smiles(source: str, data_dir: Path | None) -> list[str]:
    if source in card_names():
        card = load_card(source)
        source, column = str(dataset_file(card, data_dir)), card.smiles_column
    else:
        column = None
    with open_table(source, column) as table:
        return [row.cells[table.smiles_index] if row.problem is None else "" for row in table.rows]
