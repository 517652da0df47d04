"""How often the network writes the right SMILES: greedy and with beams, by number of heavy atoms."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from smiles_data import Molecules, batches_alike, to_smiles
from smiles_network import GraphToSmiles

from gatlib.chem import InvalidMolecule, parse

GOAL_ATOMS = 20
_BATCH_ATOMS = 4096
_FEWEST = 5  # molecules of a size that make a point of the picture
_SIZES_BEYOND = 12  # sizes in the picture that are larger than those of training


@torch.no_grad()
def decode(
    network: GraphToSmiles, molecules: Molecules, vocabulary: Sequence[str], beam_width: int | None = None
) -> list[str]:
    """The SMILES that the network writes for each molecule: greedily, or the likeliest of so many beams."""
    written = [""] * len(molecules.smiles)
    for rows in batches_alike(np.arange(len(written)), molecules.num_atoms, _BATCH_ATOMS):
        data, _ = molecules.batch(rows)
        x = network.encode(data)
        if beam_width is None:
            sequences = network.readout.greedy(x, data.batch, len(rows))
        else:
            sequences = [beams.sequences[0] for beams in network.readout.beam(x, data.batch, beam_width, len(rows))]
        for row, sequence in zip(rows, sequences, strict=True):
            written[row] = to_smiles(sequence, vocabulary)
    return written


def is_valid(smiles: str) -> bool:
    try:
        parse(smiles)
    except InvalidMolecule:
        return False
    return True


def share_exact(written: Sequence[str], smiles: Sequence[str]) -> float:
    return float(np.mean([text == target for text, target in zip(written, smiles, strict=True)]))


def share_valid(written: Sequence[str]) -> float:
    return float(np.mean([is_valid(text) for text in written]))


def predict(network: GraphToSmiles, molecules: Molecules, vocabulary: Sequence[str], beam_width: int) -> pd.DataFrame:
    """A row for each molecule: `smiles`, `atoms`, and what is written, `greedy` and `beam`."""
    network.eval()
    return pd.DataFrame(
        {
            "smiles": molecules.smiles,
            "atoms": molecules.num_atoms,
            "greedy": decode(network, molecules, vocabulary),
            "beam": decode(network, molecules, vocabulary, beam_width),
        }
    )


def scores(predictions: pd.DataFrame, beam_width: int) -> pd.DataFrame:
    """Rows of `part`, `metric`, `value` and `n`, the number of molecules that the value is the mean of."""
    parts = {"test": predictions, f"test up to {GOAL_ATOMS} atoms": predictions[predictions["atoms"] <= GOAL_ATOMS]}
    rows = []
    for part, molecules in parts.items():
        for how, name in (("greedy", "greedy"), ("beam", f"beam{beam_width}")):
            rows.append((part, f"exact_match_{name}", share_exact(molecules[how], molecules["smiles"]), len(molecules)))
            rows.append((part, f"validity_{name}", share_valid(molecules[how]), len(molecules)))
    return pd.DataFrame(rows, columns=["part", "metric", "value", "n"])


def draw_exact_match(predictions: pd.DataFrame, max_atoms: int, beam_width: int, picture: Path) -> None:
    """Exact match against the number of heavy atoms; larger molecules than `max_atoms` were not trained on."""
    figure = Figure(figsize=(7, 3.8), layout="constrained", facecolor="white")
    axes = figure.subplots()
    names = {"beam": (f"beam of {beam_width}", "#0b66b3"), "greedy": ("greedy", "#8fbfe6")}
    for how, (name, colour) in names.items():
        exact = (predictions[how] == predictions["smiles"]).groupby(predictions["atoms"])
        share = exact.mean()[exact.size() >= _FEWEST]
        axes.plot(share.index, 100 * share, color=colour, marker="o", markersize=3, label=name)
    last = max_atoms + _SIZES_BEYOND + 0.5
    axes.axvspan(max_atoms + 0.5, last, color="#eeeeee", zorder=0)
    axes.text(max_atoms + 1, 99, "larger than any training molecule", va="top", fontsize=8, color="#555555")
    axes.set(xlabel="heavy atoms", ylabel="exact match, % of test molecules", xlim=(0, last), ylim=(0, 102))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower left")
    figure.savefig(picture, dpi=150)
