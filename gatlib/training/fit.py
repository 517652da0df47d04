"""Train one model and write its folder."""

import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import lightning
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, RichProgressBar
from numpy.typing import NDArray

from gatlib.checkpoint import ALL, Metrics, ModelDescription, TrainingSummary, save_model
from gatlib.chem import feature_dims
from gatlib.data.batches import GraphBatches
from gatlib.data.cards import TaskType
from gatlib.data.splits import Split
from gatlib.errors import InputError
from gatlib.metrics import HIGHER_IS_BETTER, METRICS, metrics_per_task, metrics_with_mean
from gatlib.models import GraphAttentionNetwork
from gatlib.training.epoch_log import EpochLog, plot_learning_curve, quiet_lightning
from gatlib.training.model_card import write_model_card
from gatlib.training.module import Scale, TrainingModule, evaluation_loader, training_loader
from gatlib.training.molecules import LabelledMolecules
from gatlib.training.pretrained import start_from
from gatlib.training.recipe import Recipe
from gatlib.training.run_folder import STATE, check_output_folder, library_versions, same_run


@dataclass(frozen=True)
class Trained:
    """What :func:`fit` gives back."""

    folder: Path
    description: ModelDescription
    metrics: pd.DataFrame  # split, task, labels, (positives,) and each metric; task "mean" last of each split
    epochs: int
    seconds: float


@dataclass(frozen=True)
class TrainedNetwork:
    """What :func:`train_network` gives back."""

    network: GraphAttentionNetwork
    valid_score: float  # of the best epoch, the first of the metrics; NaN without molecules in valid
    epochs: int
    seconds: float


def fit(
    molecules: LabelledMolecules,
    split: Split,
    recipe: Recipe,
    folder: Path,
    name: str,
    unit: str,
    progress: bool = False,
) -> Trained:
    """Train a network, keep the weights of the best validation epoch, test them once, write the model folder.

    An unfinished run in ``folder`` is taken up where it stopped, with the same result as without the stop.

    Args:
        molecules: what to learn from.
        split: its rows in train, valid and test.
        recipe: the settings.
        folder: where to write ``model.safetensors``, ``model.json``, ``README.md``, ``metrics.csv``,
            ``training_log.csv``, ``learning_curve.png``, ``split.csv``, ``valid_predictions.csv``,
            ``test_predictions.csv`` and, when rows were set aside, ``rejected.csv``.
        name: of the model.
        unit: of the targets.
        progress: show a progress bar.

    Raises:
        InputError: the folder cannot take the model, or holds an unfinished run of another recipe or data set; there
            is nothing to learn from or to choose an epoch by; the training diverged.
    """
    check_labels(molecules, split)
    scale = target_scale(molecules, split)
    check_output_folder(folder)
    molecules = molecules.featurized_for(recipe)
    state = folder / STATE
    same_run(state / "run.json", {"recipe": recipe.model_dump(), "source": molecules.source, "tasks": molecules.tasks})
    rejected = molecules.rejected()
    if len(rejected):
        # Bytes that are not UTF-8 leave as they came; see gatlib.data.tables.
        rejected.to_csv(folder / "rejected.csv", index=False, errors="surrogateescape")

    bars = [RichProgressBar(leave=False)] if progress else []
    trained = train_network(molecules, split, recipe, scale, folder, bars)
    network = trained.network

    parts = {"valid": split.valid, "test": split.test}
    values = {part: predict_rows(network, molecules, rows, scale) for part, rows in parts.items()}
    tables = [
        metrics_with_mean(molecules.targets[rows], values[part], molecules.tasks, molecules.task_type)
        for part, rows in parts.items()
    ]
    metrics = pd.concat(tables, keys=parts, names=["split", None]).reset_index("split")
    metrics.to_csv(folder / "metrics.csv", index=False)
    write_split(molecules, split, folder / "split.csv")
    for part, rows in parts.items():
        write_predictions(molecules, rows, values[part], folder / f"{part}_predictions.csv")
    plot_learning_curve(folder / "training_log.csv", folder / "learning_curve.png", METRICS[molecules.task_type][0])

    description = save_trained(
        folder, network, molecules, split, recipe, scale, name, unit, _nested(metrics, molecules.task_type)
    )
    shutil.rmtree(state)
    return Trained(folder, description, metrics, trained.epochs, trained.seconds)


def save_trained(
    folder: Path,
    network: GraphAttentionNetwork,
    molecules: LabelledMolecules,
    split: Split,
    recipe: Recipe,
    scale: Scale,
    name: str,
    unit: str,
    metrics: Metrics,
    metrics_of: str | None = None,
) -> ModelDescription:
    """Write the model and its card; for what they say see :class:`~gatlib.checkpoint.ModelDescription`."""
    atoms = np.diff(molecules.graphs.atom_ptr)[split.train]
    description = save_model(
        folder,
        network,
        name=name,
        task_type=molecules.task_type,
        tasks=molecules.tasks,
        unit=unit,
        architecture=recipe.architecture(),
        target_mean=scale.mean.tolist(),
        target_std=scale.std.tolist(),
        training=TrainingSummary(
            dataset=recipe.dataset or Path(molecules.source).name,
            split=recipe.split if len(split.test) else ALL,
            seed=recipe.seed,
            pretrained=Path(recipe.pretrained).name if recipe.pretrained else None,
            molecules={part: len(rows) for part, rows in split.parts().items()},
            rejected=sum(error is not None for error in molecules.graphs.errors),
            elements=molecules.elements(split.train),
            atoms=(int(atoms.min()), int(atoms.max())),
        ),
        metrics=metrics,
        metrics_of=metrics_of,
        versions=library_versions(),
    )
    write_model_card(folder, description)
    return description


def predict_rows(
    network: GraphAttentionNetwork, molecules: LabelledMolecules, rows: NDArray[np.int64], scale: Scale
) -> NDArray[np.float64]:
    """Probabilities or values of these rows, ``[rows, tasks]``."""
    network.eval()
    with torch.inference_mode():
        outputs = torch.cat([network(batch) for batch in evaluation_loader(GraphBatches(molecules.graphs, rows))])
    outputs = outputs.sigmoid() if molecules.task_type == "classification" else outputs
    return outputs.double().numpy() * scale.std + scale.mean


def check_labels(molecules: LabelledMolecules, split: Split) -> None:
    """Refuse labels from which nothing can be learned, or no epoch chosen."""
    lacking = "both classes of any target" if molecules.task_type == "classification" else "a label"
    for part, rows in (("training", split.train), ("validation", split.valid)):
        known = molecules.targets[rows]
        per_task = metrics_per_task(known, np.zeros_like(known), molecules.tasks, molecules.task_type)
        if per_task[METRICS[molecules.task_type][0]].isna().all():
            raise InputError(
                f"{molecules.source}: the {len(rows)} {part} rows do not hold {lacking}: "
                "split in another way (--split random, --seed, or a column)"
            )


def target_scale(molecules: LabelledMolecules, split: Split) -> Scale:
    """Values are learned with mean 0 and standard deviation 1 over the training rows, classes as they are."""
    tasks = len(molecules.tasks)
    if molecules.task_type == "classification":
        return Scale(np.zeros(tasks), np.ones(tasks))
    known = molecules.targets[split.train]
    for task, column in zip(molecules.tasks, known.T, strict=True):
        if np.isnan(column).all():
            raise InputError(f"{molecules.source}: target column {task!r} has no labels in the training rows")
    std = np.nanstd(known, axis=0)
    return Scale(np.nanmean(known, axis=0), np.where(std > 0, std, 1.0))


def train_network(
    molecules: LabelledMolecules,
    split: Split,
    recipe: Recipe,
    scale: Scale,
    folder: Path,
    extra_callbacks: Sequence[lightning.Callback] = (),
) -> TrainedNetwork:
    """Train on train, with the weights of the best epoch on valid in the end; test is not looked at.

    Without molecules in valid it is the weights of the last epoch.

    An unfinished run in ``folder`` is taken up where it stopped. The molecules have the side features of the recipe.

    Raises:
        InputError: the training diverged; the pretrained network is missing or is another one.
    """
    torch.manual_seed(recipe.seed)
    atom_dims, bond_dims = feature_dims()
    network = GraphAttentionNetwork(recipe.architecture(), atom_dims, bond_dims, len(molecules.tasks))
    if network.side is not None:
        network.side.standardize_by(molecules.graphs.side[split.train])
    if recipe.pretrained is not None:
        start_from(network, recipe.pretrained)
    module = TrainingModule(network, recipe, molecules.tasks, molecules.task_type, scale)
    state = folder / STATE
    score = METRICS[molecules.task_type][0]
    best = ModelCheckpoint(
        state,
        filename="best",
        monitor=module.monitored,
        mode="max" if score in HIGHER_IS_BETTER else "min",
        enable_version_counter=False,
    )
    last = ModelCheckpoint(state, filename="last", save_on_train_epoch_end=True, enable_version_counter=False)
    stop = EarlyStopping(module.monitored, mode=best.mode, patience=recipe.patience, check_finite=False)
    chooses = len(split.valid) > 0
    # What the last checkpoint keeps must be up to date when it is written.
    choosing = [stop, best] if chooses else []
    callbacks = [*choosing[:1], EpochLog(folder / "training_log.csv"), *choosing[1:], last, *extra_callbacks]
    shows_progress = any(isinstance(callback, RichProgressBar) for callback in extra_callbacks)
    unfinished = state / "last.ckpt"
    started = time.perf_counter()
    with quiet_lightning():
        trainer = lightning.Trainer(
            max_epochs=recipe.max_epochs,
            gradient_clip_val=1.0,
            callbacks=callbacks,
            logger=False,
            enable_progress_bar=shows_progress,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
        )
        try:
            trainer.fit(
                module,
                training_loader(GraphBatches(molecules.graphs, split.train, molecules.targets), recipe),
                evaluation_loader(GraphBatches(molecules.graphs, split.valid, molecules.targets)),
                ckpt_path=str(unfinished) if unfinished.exists() else None,
                weights_only=True,
            )
        except SystemExit:  # what Lightning makes of Ctrl+C
            raise KeyboardInterrupt from None
    seconds = time.perf_counter() - started
    if not chooses:
        return TrainedNetwork(network.cpu(), math.nan, trainer.current_epoch, seconds)
    if best.best_model_score is None or not best.best_model_score.isfinite():
        shutil.rmtree(state)
        raise InputError("the training diverged, no epoch has a validation score: lower the learning_rate in a recipe")
    weights = torch.load(best.best_model_path, weights_only=True)["state_dict"]
    module.load_state_dict(weights)
    return TrainedNetwork(network.cpu(), float(best.best_model_score), trainer.current_epoch, seconds)


def _nested(metrics: pd.DataFrame, task_type: TaskType) -> Metrics:
    nested: Metrics = {}
    for row in metrics.to_dict("records"):
        values = {name: None if math.isnan(row[name]) else row[name] for name in METRICS[task_type]}
        nested.setdefault(row["split"], {})[row["task"]] = values
    return nested


def write_split(molecules: LabelledMolecules, split: Split, path: Path) -> None:
    """A row for each molecule of the split: data row, SMILES, part."""
    rows = [
        (int(row) + 1, molecules.smiles[row], part) for part, part_rows in split.parts().items() for row in part_rows
    ]
    pd.DataFrame(sorted(rows), columns=["row", "smiles", "split"]).to_csv(path, index=False)


def write_predictions(
    molecules: LabelledMolecules, rows: NDArray[np.int64], values: NDArray[np.float64], path: Path
) -> None:
    """A row for each molecule: data row, SMILES, and target and prediction of each task."""
    left = pd.DataFrame({"row": rows + 1, "smiles": [molecules.smiles[row] for row in rows]})
    pairs = np.stack([molecules.targets[rows], values], axis=2).reshape(len(rows), -1)
    names = [column for name in molecules.tasks for column in (name, f"{name}_pred")]
    table = pd.concat([left, pd.DataFrame(pairs, columns=names)], axis=1)
    table.to_csv(path, index=False, float_format="%.6g")
