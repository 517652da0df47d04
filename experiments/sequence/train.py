"""Graph to canonical SMILES: train for a given time, then score the test molecules once.

    python experiments/sequence/train.py [--budget-minutes 90] [--seed 0] [--small]

A run that was stopped goes on from its last checkpoint when the same command is repeated. Figures are appended to
results.csv beside this file, and exact_match.png is drawn; with --small both go to the folder of the run.
"""

import datetime as dt
import hashlib
import json
import math
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import torch
import typer
import yaml
from pydantic import Field, ValidationError
from safetensors import safe_open
from safetensors.torch import save_file
from smiles_data import (
    Molecules,
    cut_into_pieces,
    is_atom,
    make_molecules,
    make_vocabulary,
    read_smiles,
    tokenize,
    training_batches,
)
from smiles_evaluation import GOAL_ATOMS, decode, draw_exact_match, predict, scores, share_exact, share_valid
from smiles_network import GraphToSmiles, Sizes
from torch import Tensor
from torch_geometric.data import Data

from gatlib.checkpoint import FEATURIZATION
from gatlib.data.files import atomic_path, data_dir
from gatlib.data.splits import random_split
from gatlib.errors import InputError, describe
from gatlib.experiments.results import COLUMNS, commit
from gatlib.training.run_folder import library_versions, one_line

HERE = Path(__file__).parent
#: What `--small` changes, to see in less than a minute whether all of it works.
SMALL = {
    "rows": 300,
    "cuts_per_molecule": 1,
    "channels": 32,
    "heads": 2,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "budget_minutes": 0.3,
    "report_minutes": 0.1,
    "batch_tokens": 512,
    "valid_molecules": 20,
}


class Recipe(Sizes):
    """The keys of `recipe.yaml`: those of the network and these."""

    files: list[str] = Field(min_length=1, description="tables of molecules, below the data directory")
    rows: int | None = Field(ge=1, description="rows to read of each file; None: all")
    seed: int = Field(ge=0, description="of the weights and of the order of the molecules")
    split_seed: int = Field(ge=0)
    max_atoms: int = Field(ge=1, description="size of the largest molecule that is trained on")
    min_piece_atoms: int = Field(ge=1)
    cuts_per_molecule: int = Field(ge=0, description="how often each training molecule is cut into pieces")
    pieces_per_molecule: int = Field(ge=0, description="pieces in an epoch, for each training molecule")
    budget_minutes: float = Field(gt=0, description="wall-clock time of the training")
    warmup: float = Field(gt=0, lt=1, description="part of the budget in which the learning rate rises")
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    batch_tokens: int = Field(ge=1)
    pointer_weight: float = Field(ge=0, description="of the loss that asks which atom a token names")
    report_minutes: float = Field(gt=0, description="between two checkpoints, each with a row of the log")
    valid_molecules: int = Field(ge=1, description="of the fixed sample that the log is about")
    beam_width: int = Field(ge=1)


@dataclass(frozen=True)
class Dataset:
    """What is learned from: real molecules, `num_real` of them, and then pieces; and what is held out."""

    vocabulary: tuple[str, ...]
    train: Molecules
    num_real: int
    valid: Molecules
    test: Molecules


def main(
    budget_minutes: Annotated[float | None, typer.Option(help="Wall-clock time of the training.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the weights and of the order of the molecules.")] = None,
    small: Annotated[bool, typer.Option(help="A tiny network on a few hundred molecules.")] = False,
    folder: Annotated[Path | None, typer.Option(help="Where the run is kept.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of the data files.")] = None,
) -> None:
    given = {"budget_minutes": budget_minutes, "seed": seed}
    changes = (SMALL if small else {}) | {key: value for key, value in given.items() if value is not None}
    recipe = load_recipe(HERE / "recipe.yaml", changes)
    folder = folder or Path("runs/sequence") / ("small" if small else f"seed{recipe.seed}")
    run(recipe, folder, folder if small else HERE, data_dir(data))


def load_recipe(path: Path, changes: dict[str, object]) -> Recipe:
    """Read and validate a recipe.

    Raises:
        InputError: an unknown key, a missing one, a value out of range.
    """
    try:
        return Recipe.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) | changes)
    except ValidationError as error:
        raise InputError(f"recipe {path}: {describe(error)}") from None


def run(recipe: Recipe, folder: Path, results_folder: Path, data: Path) -> None:
    """Train, or go on training, then score the test molecules.

    Raises:
        InputError: the folder holds a finished run, or a run of another recipe.
    """
    if (folder / "test_predictions.csv").exists():
        raise InputError(f"{folder} holds a finished run: delete it, or name another folder with --folder")
    folder.mkdir(parents=True, exist_ok=True)
    dataset = read_dataset(recipe, data)
    print(f"{dataset.num_real:,} training molecules, {len(dataset.train.smiles) - dataset.num_real:,} pieces")
    torch.manual_seed(recipe.seed)
    network = GraphToSmiles(recipe, dataset.vocabulary)
    minutes = train(network, dataset, recipe, folder)
    predictions = predict(network, dataset.test, dataset.vocabulary, recipe.beam_width)
    predictions.to_csv(folder / "test_predictions.csv", index=False)
    table = scores(predictions, recipe.beam_width)
    append_results(results_folder / "results.csv", table, recipe, minutes)
    draw_exact_match(predictions, recipe.max_atoms, recipe.beam_width, results_folder / "exact_match.png")
    print(table.to_string(index=False))


def read_dataset(recipe: Recipe, folder: Path) -> Dataset:
    """The molecules, split at random. No piece is a molecule of any part."""
    smiles = read_smiles([folder / name for name in recipe.files], recipe.rows)
    parts = random_split(smiles, recipe.split_seed).parts()
    train, valid, test = ([smiles[row] for row in parts[part]] for part in ("train", "valid", "test"))
    real = up_to(recipe.max_atoms, train)
    sizes = range(recipe.min_piece_atoms, recipe.max_atoms + 1)
    pieces = cut_into_pieces(chain.from_iterable(repeat(train, recipe.cuts_per_molecule)), sizes, recipe.split_seed)
    known = real + sorted(pieces - set(smiles))
    vocabulary = make_vocabulary(known)
    few = np.random.default_rng(recipe.split_seed).permutation(up_to(GOAL_ATOMS, valid))[: recipe.valid_molecules]
    return Dataset(
        vocabulary,
        make_molecules(known, vocabulary),
        len(real),
        make_molecules(few.tolist(), vocabulary),
        make_molecules(test, vocabulary),
    )


def up_to(max_atoms: int, smiles: Iterable[str]) -> list[str]:
    return [text for text in smiles if sum(map(is_atom, tokenize(text))) <= max_atoms]


def train(network: GraphToSmiles, dataset: Dataset, recipe: Recipe, folder: Path) -> float:
    """Train until the budget is spent, from the last checkpoint if there is one; the minutes that it took."""
    optimizer = make_optimizer(network, recipe)
    checkpoint, log = folder / "checkpoint.safetensors", folder / "training_log.csv"
    step, earlier = load_checkpoint(checkpoint, network, optimizer, recipe) if checkpoint.exists() else (0, 0.0)
    drop_rows_after(step, log)
    lengths = np.array([len(sequence) for sequence in dataset.train.sequences])
    batches = training_batches(lengths, dataset.num_real, recipe.pieces_per_molecule, recipe.batch_tokens, recipe.seed)
    batches = islice(batches, step, None)
    started, minutes, next_report, losses = time.monotonic(), earlier, earlier + recipe.report_minutes, []
    while minutes < recipe.budget_minutes:
        learning_rate = recipe.learning_rate * schedule(minutes / recipe.budget_minutes, recipe.warmup)
        losses.append(training_step(network, optimizer, *dataset.train.batch(next(batches)), learning_rate, recipe))
        step += 1
        minutes = earlier + (time.monotonic() - started) / 60
        if minutes >= min(next_report, recipe.budget_minutes):
            row = {
                "step": step,
                "minutes": round(minutes, 2),
                "train_loss": np.mean(losses),
                **report(network, dataset),
            }
            pd.DataFrame([row]).to_csv(log, mode="a", header=not log.exists(), index=False, float_format="%.5g")
            print("  ".join(f"{name} {value:.4g}" for name, value in row.items()), flush=True)
            minutes = earlier + (time.monotonic() - started) / 60
            save_checkpoint(checkpoint, network, optimizer, step, minutes, recipe)
            next_report, losses = minutes + recipe.report_minutes, []
    return minutes


def schedule(spent: float, warmup: float) -> float:
    """Linear warm-up, then a cosine down to zero, as a function of the part of the budget that is spent."""
    return spent / warmup if spent < warmup else 0.5 * (1 + math.cos(math.pi * (spent - warmup) / (1 - warmup)))


def make_optimizer(network: GraphToSmiles, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW; biases and what scales a normalisation are vectors, and do not decay."""
    matrices = [parameter for parameter in network.parameters() if parameter.dim() > 1]
    vectors = [parameter for parameter in network.parameters() if parameter.dim() <= 1]
    groups = [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)


def training_step(
    network: GraphToSmiles,
    optimizer: torch.optim.Optimizer,
    data: Data,
    tokens: Tensor,
    learning_rate: float,
    recipe: Recipe,
) -> float:
    """One step; the loss of the tokens before it."""
    network.train()
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
    of_tokens, of_atoms = network.losses(data, tokens)
    optimizer.zero_grad()
    (of_tokens + recipe.pointer_weight * of_atoms).backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0, error_if_nonfinite=True)
    optimizer.step()
    return of_tokens.item()


def report(network: GraphToSmiles, dataset: Dataset) -> dict[str, float]:
    """How the network does on the fixed sample of validation molecules."""
    network.eval()
    valid = dataset.valid
    with torch.no_grad():
        of_tokens, _ = network.losses(*valid.batch(np.arange(len(valid.smiles))))
    written = decode(network, valid, dataset.vocabulary)
    return {
        "valid_loss": of_tokens.item(),
        "valid_exact_match": share_exact(written, valid.smiles),
        "valid_validity": share_valid(written),
    }


def save_checkpoint(
    path: Path, network: GraphToSmiles, optimizer: torch.optim.Optimizer, step: int, minutes: float, recipe: Recipe
) -> None:
    tensors = dict(network.state_dict())
    for name, parameter in network.named_parameters():
        tensors |= {f"adam.{key}.{name}": value for key, value in optimizer.state[parameter].items()}
    state = {"step": step, "minutes": minutes, "recipe": recipe.model_dump()}
    with atomic_path(path) as partial:
        save_file(tensors, partial, metadata={"state": json.dumps(state)})


def load_checkpoint(
    path: Path, network: GraphToSmiles, optimizer: torch.optim.Optimizer, recipe: Recipe
) -> tuple[int, float]:
    """Put the network and the optimiser back where they were; the steps and the minutes that were done.

    Raises:
        InputError: it is the checkpoint of another recipe.
    """
    with safe_open(path, framework="pt") as file:
        state = json.loads(file.metadata()["state"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if state["recipe"] != recipe.model_dump():
        raise InputError(
            f"{path.parent} holds an unfinished run of another recipe: delete it, or name another --folder"
        )
    network.load_state_dict({name: tensors[name] for name in network.state_dict()})
    for name, parameter in network.named_parameters():
        keys = ("step", "exp_avg", "exp_avg_sq")
        optimizer.state[parameter] = {key: tensors[f"adam.{key}.{name}"] for key in keys}
    return state["step"], state["minutes"]


def drop_rows_after(step: int, log: Path) -> None:
    """Steps after the checkpoint are done again; without a checkpoint all of them are."""
    if log.exists():
        rows = pd.read_csv(log)
        log.unlink()
        if step:
            rows[rows["step"] <= step].to_csv(log, index=False)


def append_results(path: Path, table: pd.DataFrame, recipe: Recipe, minutes: float) -> None:
    """Add the rows of a finished run, in the columns of every experiment but for the CPU time, and `n`."""
    settings = recipe.model_dump_json(exclude={"seed"})
    rows = table.assign(
        date=dt.date.today().isoformat(),
        commit=commit(),
        model="sequence readout",
        recipe=hashlib.sha256(settings.encode()).hexdigest()[:8],
        seed=recipe.seed,
        split="random",
        value=table["value"].round(6),
        seconds=round(60 * minutes, 1),
        device=f"{os.cpu_count()} CPU cores",
        versions=one_line(library_versions()),
        featurization=FEATURIZATION,
    )
    columns = [name for name in COLUMNS if name not in ("cpu_seconds", "featurization")]
    rows[[*columns, "n", "featurization"]].to_csv(path, mode="a", header=not path.exists(), index=False)


if __name__ == "__main__":
    typer.run(main)
