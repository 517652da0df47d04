"""Carry a model over from the features ogb-v1 to ogb-v2, where no molecule that it has learned from looks different.

    python experiments/pretraining/carry_over.py OLD_FOLDER NEW_FOLDER

The two differ in the stereo of tetrahedral centres alone: ogb-v1 had RDKit's tag, clockwise or counterclockwise in the
order of the SMILES, ogb-v2 has R and S. Tags of spellings say nothing of a molecule, so every label starts from the
mean of both: a centre is known to be one, its hand is not known until a training tells. All other weights stay.
"""

from pathlib import Path

import safetensors.torch
import torch
import typer
from torch import Tensor

from gatlib.checkpoint import ModelDescription
from gatlib.chem import feature_dims
from gatlib.chem.serialized import CHIRALITY
from gatlib.model_files import read_model_json, read_weights, sha256, write_model_files

EMBEDDING = "atom_embedding.embedding.weight"
OLD_LABELS = 5  # of OGB: none, clockwise, counterclockwise, other, unknown


def main(old: Path, new: Path) -> None:
    content = read_model_json(old, None)
    if content["featurization"] != "ogb-v1":
        raise typer.BadParameter(f"{old} has the features {content['featurization']}, not ogb-v1")
    weights = safetensors.torch.load(read_weights(old, content["weights_sha256"]))
    weights[EMBEDDING] = with_new_labels(weights[EMBEDDING])
    data = safetensors.torch.save(weights)
    description = ModelDescription(**{**content, "featurization": "ogb-v2", "weights_sha256": sha256(data)})
    network = description.build()
    network.load_state_dict(weights)  # refuses what does not fit
    new.mkdir(parents=True, exist_ok=True)
    write_model_files(new, data, description)
    card = (old / "README.md").read_text(encoding="utf-8")
    features = "- **Features of the graph:** ogb-v2, carried over from ogb-v1 (experiments/pretraining/LOG.md)\n"
    card = card.replace("- **Made with:**", f"{features}- **Made with:**")
    (new / "README.md").write_text(card, encoding="utf-8")


def with_new_labels(embedding: Tensor) -> Tensor:
    """``[sum of dims, channels]`` with a row for each label of ogb-v2 in place of those of ogb-v1."""
    atom_dims = feature_dims()[0]
    first = sum(atom_dims[:CHIRALITY])
    none, clockwise, counterclockwise = embedding[first : first + 3]
    centre = (clockwise + counterclockwise) / 2
    rows = torch.stack([none, *[centre] * (atom_dims[CHIRALITY] - 1)])
    return torch.cat([embedding[:first], rows, embedding[first + OLD_LABELS :]])


if __name__ == "__main__":
    typer.run(main)
