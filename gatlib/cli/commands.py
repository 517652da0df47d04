"""What the commands print around the library's calls."""

import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from gatlib.cli.tables import metrics_table, plain_table, predictions_table
from gatlib.data.cards import TaskType
from gatlib.errors import InputError

# A pipe or a file has no width of its own, and a table must not be folded for it.
_out = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
_err = Console(stderr=True, highlight=False)
_PREVIEW_ROWS = 20


def _say(line: str) -> None:
    _out.print(line, soft_wrap=True, markup=False)


def predict_command(
    smiles: Sequence[str], source: str | None, output: str | None, model: str, smiles_column: str | None
) -> None:
    """``gatlib predict``: SMILES given as words, or a file."""
    if bool(smiles) == bool(source):
        raise InputError("give SMILES, or a file with -i (- for standard input), and not both: gatlib predict CCO")
    if source is None:
        _predict_words(smiles, output, model)
    else:
        _predict_file(source, output, model, smiles_column)


def _predict_words(smiles: Sequence[str], output: str | None, model: str) -> None:
    from gatlib.data.files import atomic_path
    from gatlib.predict_file import STDOUT
    from gatlib.predictor import Predictor

    predictor = Predictor.load(model)
    predictions = predictor.predict(smiles)
    if output == STDOUT:
        predictions.to_csv(_out.file, index=False, float_format="%.5g")
        return
    if output is not None:
        with atomic_path(Path(output)) as path:
            predictions.to_csv(path, index=False, float_format="%.5g")
    description = predictor.description
    rows = predictions.astype(object).where(predictions.notna(), "").values.tolist()
    _out.print(predictions_table(smiles, [row[1:-1] for row in rows], description.tasks, _title(predictor)))
    _print_errors(smiles, [row[-1] for row in rows])


def _predict_file(source: str, output: str | None, model: str, smiles_column: str | None) -> None:
    from gatlib.data.featurized import open_featurized
    from gatlib.model_folder import featurization_of
    from gatlib.predict_file import STDOUT, default_output, write_predictions

    target = output or default_output(source)
    columns = (TextColumn("predicting"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        Progress(*columns, console=_err, transient=True, disable=not _err.is_terminal) as progress,
        open_featurized(source, smiles_column, None, *featurization_of(model)) as table,
    ):
        bar = progress.add_task("", total=None)
        from gatlib.predictor import Predictor  # takes seconds, in which the table is being featurised

        predictor = Predictor.load(model)
        summary = write_predictions(predictor, table, target, lambda rows: progress.advance(bar, rows))
    if target != STDOUT:
        _print_preview(Path(target), predictor)
    without = f", {summary.errors:,} of them without a prediction" if summary.errors else ""
    where = "standard output" if target == STDOUT else target
    _err.print(f"{summary.rows:,} rows written to {where}{without}", soft_wrap=True, markup=False)
    if summary.first_error and target == STDOUT:
        _err.print(f"first: {summary.first_error}", soft_wrap=True, markup=False)


def _print_preview(path: Path, predictor: Any) -> None:
    tasks = predictor.description.tasks
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        reader = csv.reader(file)
        header = next(reader)
        rows = [row for row, _ in zip(reader, range(_PREVIEW_ROWS), strict=False)]
    names = [column.strip().lower() for column in header]
    label = next((names.index(name) for name in ("name", "compound", "id") if name in names), 0)
    labels = [row[label] for row in rows]
    first = len(header) - len(tasks) - 1
    _out.print(predictions_table(labels, [row[first:-1] for row in rows], tasks, _title(predictor)))
    _print_errors(labels, [row[-1] for row in rows])


def _title(predictor: Any) -> str:
    return f"{predictor.description.name}: {predictor.description.unit}"


def _print_errors(labels: Sequence[str], errors: Sequence[str]) -> None:
    for label, error in zip(labels, errors, strict=True):
        if error:
            _out.print(f"{label or '(blank)'}: {error}", style="yellow", markup=False, soft_wrap=True)


def train_command(
    output: Path,
    dataset: str | None,
    source: str | None,
    targets: Sequence[str],
    task_type: TaskType,
    recipe_file: Path | None,
    changes: dict[str, Any],
    smiles_column: str | None,
    data_dir: Path | None,
) -> None:
    """``gatlib train``: a user's table, or a data set, be it that of a recipe."""
    from gatlib.data.cards import load_card
    from gatlib.training.recipe import SUGGESTED, load_recipe, make_recipe

    if source is None and recipe_file is None and dataset is None:
        raise InputError("give a table with -i and --targets, the name of a data set, or a recipe with --recipe")
    if source is not None and dataset is not None:
        raise InputError("give a table with -i or the name of a data set, and not both")
    settings = load_recipe(recipe_file).model_dump() if recipe_file else dict(SUGGESTED)
    if dataset is not None:
        settings = {"split": load_card(dataset).split} | settings | {"dataset": dataset}
    settings.update({key: value for key, value in changes.items() if value is not None})
    if changes["pretrained"] is not None:
        from gatlib.training.pretrained import settings_of

        settings.update(settings_of(changes["pretrained"]))
    if source is not None:
        settings["dataset"] = None
    elif targets:
        raise InputError("--targets goes with a table (-i); a data set has its own targets")
    recipe = make_recipe(settings, f"recipe {recipe_file}" if recipe_file else "command line")

    from gatlib.training.train import train_dataset, train_table

    if source is None:
        trained = train_dataset(recipe, output, data_dir, progress=True, say=_say)
    else:
        trained = train_table(
            source, targets, task_type, recipe, output, smiles_column, data_dir, progress=True, say=_say
        )
    training = trained.description.training
    _out.print(metrics_table(trained.metrics, f"{training.dataset}, {training.split} split"))
    sizes = ", ".join(f"{count:,} {part}" for part, count in training.molecules.items())
    _out.print(
        f"{sizes}; {trained.epochs} epochs in {trained.seconds:.0f} s; model in {output}", soft_wrap=True, markup=False
    )
    if training.rejected:
        where = output / "rejected.csv"
        _out.print(f"{training.rejected} rows set aside, see {where}", style="yellow", soft_wrap=True, markup=False)


def tune_command(
    recipe_file: Path, folder: Path, trials: int, minutes: float | None, seeds: int, data_dir: Path | None
) -> None:
    """``gatlib tune``: the data set of a recipe, its settings searched."""
    from gatlib.training.recipe import load_recipe

    recipe = load_recipe(recipe_file)
    if recipe.dataset is None:
        raise InputError(f"recipe {recipe_file} names no data set: add a line 'dataset: tox21'")

    from gatlib.training.train import read_dataset
    from gatlib.training.tune import tune

    molecules = read_dataset(recipe.dataset, data_dir, recipe.split)
    tune(recipe, molecules, folder, trials, minutes, _say, seeds)
    _say(f"best recipe: {folder / 'recipe.yaml'}")


def pretrain_command(recipe_file: Path, folder: Path, data_dir: Path | None) -> None:
    """``gatlib pretrain``: the molecules that a recipe names."""
    from gatlib.training.pretrain import PretrainingRecipe, pretrain
    from gatlib.training.recipe import read_recipe

    recipe = read_recipe(recipe_file, PretrainingRecipe)
    test = pretrain(recipe, folder, data_dir, _say, progress=True).metrics["test"]["mean"]
    _say(f"held-out molecules: mean R² {test['r2']:.3f}, mean RMSE {test['rmse']:.3f}; network in {folder}")


def evaluate_command(source: str, model: str, output: Path | None, smiles_column: str | None) -> None:
    """``gatlib evaluate``: metrics of a model on a table."""
    from gatlib.data.files import atomic_path
    from gatlib.evaluate_file import evaluate_file
    from gatlib.predictor import Predictor

    evaluation = evaluate_file(Predictor.load(model), source, smiles_column)
    if output is not None:
        with atomic_path(output) as path:
            evaluation.metrics.to_csv(path, index=False)
    _out.print(metrics_table(evaluation.metrics, f"{model} on {source}"))
    _out.print(f"{evaluation.rows:,} rows, {evaluation.errors} of them without a prediction", soft_wrap=True)
    if evaluation.missing_tasks:
        _out.print(f"not in the table: {', '.join(evaluation.missing_tasks)}", soft_wrap=True, markup=False)


def models_command() -> None:
    """``gatlib models``: what is bundled, with the figures of its card."""
    from gatlib.checkpoint import read_description
    from gatlib.metrics import METRICS
    from gatlib.model_folder import bundled_models, model_folder

    rows = []
    for name in bundled_models():
        folder = model_folder(name)
        description = read_description(folder)
        score = METRICS[description.task_type][0]
        training = description.training
        rows.append(
            (
                name,
                f"{len(description.tasks)} ({description.task_type})",
                f"{training.molecules['train']:,}",
                f"{score} {description.metrics['test']['mean'][score]:.3f} "
                f"({description.metrics_of or f'{training.split} split'}, test)",
                f"{(folder / 'model.safetensors').stat().st_size / 1e6:.1f} MB",
                str(folder / "README.md"),
            )
        )
    _out.print(plain_table(("model", "tasks", "trained on", "mean score", "size", "card"), rows))


def datasets_command(data_dir: Path | None) -> None:
    """``gatlib datasets``: the cards, and where the files are."""
    from gatlib.data.cards import NetworkCard, card_names, load_any_card
    from gatlib.data.files import data_dir as chosen_data_dir
    from gatlib.data.files import find_file

    folder = chosen_data_dir(data_dir)
    rows = []
    for name in card_names():
        card = load_any_card(name)
        if isinstance(card, NetworkCard):
            wanted, count, tasks = list(card.files.values()), card.num_nodes, f"{len(card.classes)} classes of nodes"
        else:
            wanted, count, tasks = [card], card.num_rows, f"{len(card.tasks)} ({card.task_type})"
        found = [find_file(file, folder) for file in wanted]
        files = [str(path.relative_to(folder)) for path in found if path is not None]
        where = "".join(files[:1]) + (f" and {len(files) - 1} more" if len(files) > 1 else "")
        if None in found:
            can_be_had = all(file.urls for file, path in zip(wanted, found, strict=True) if path is None)
            where = "downloaded at first use" if can_be_had else "not there: see its card"
        rows.append((name, card.title, f"{count:,}", tasks, card.metric, where))
    _out.print(plain_table(("data set", "what", "rows or nodes", "tasks", "metric", "files"), rows))
    _say(f"files in {folder}")


def experiments_command(root: Path) -> None:
    """``gatlib experiment list``: what can be run, and what has been."""
    from gatlib.experiments.experiment import experiment_names, load_experiment
    from gatlib.experiments.results import read_results

    rows = []
    for name in experiment_names(root):
        experiment = load_experiment(root, name)
        runs = read_results(experiment.results)[["split", "model", "seed"]].drop_duplicates()
        labels = (runs["model"] + " on " + runs["split"]).value_counts(sort=False)
        done = ", ".join(f"{label}: {count}" for label, count in labels.items())
        rows.append((name, experiment.dataset, experiment.recipe.split, done or "none"))
    _out.print(plain_table(("experiment", "data set", "split", "seeds run"), rows))


def experiment_command(
    root: Path, name: str, models: Sequence[str], seeds: int, split: str | None, runs_dir: Path, data_dir: Path | None
) -> None:
    """``gatlib experiment run``: what is not in results.csv yet."""
    from gatlib.experiments.experiment import load_experiment
    from gatlib.experiments.run import run_experiment

    run_experiment(load_experiment(root, name), models, range(seeds), split, runs_dir, data_dir, _say)


def experiment_bundle_command(
    root: Path, name: str, model: str, folder: Path, seeds: int, runs_dir: Path, data_dir: Path | None
) -> None:
    """``gatlib experiment bundle``: a network that has learned from all molecules."""
    from gatlib.experiments.bundle import bundle
    from gatlib.experiments.experiment import load_experiment

    description = bundle(load_experiment(root, name), model, range(seeds), runs_dir, data_dir, folder)
    _say(f"{description.training.molecules['train']:,} molecules; model in {folder}")


def experiment_tables_command(root: Path) -> None:
    """``gatlib experiment table``: the page made from all results."""
    from gatlib.experiments.tables import write_tables

    _say(f"written: {write_tables(root)}")
