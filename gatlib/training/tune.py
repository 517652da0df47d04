"""Search for the settings of a recipe, by the validation score alone: the test part is never looked at."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import lightning
import yaml

from gatlib.data.files import atomic_path
from gatlib.data.splits import Split
from gatlib.errors import InputError
from gatlib.metrics import HIGHER_IS_BETTER, METRICS
from gatlib.training.fit import check_labels, target_scale, train_network
from gatlib.training.module import Scale
from gatlib.training.molecules import LabelledMolecules, split_molecules
from gatlib.training.recipe import Recipe, make_recipe

HEAD_CHANNELS = 16  # widths are multiples of it, a head each
_POOLINGS = ("sum", "mean_max", "mean_max_sum", "attention")


def tune(
    recipe: Recipe,
    molecules: LabelledMolecules,
    folder: Path,
    num_trials: int,
    minutes: float | None,
    say: Callable[[str], None],
    num_seeds: int = 1,
) -> Recipe:
    """Try settings until there are ``num_trials``, and write the best as ``folder / "recipe.yaml"``.

    Optuna's tree-structured Parzen estimator proposes settings; a trial whose validation score is below the median of
    the others at the same epoch is given up. Trials are kept in ``folder / "study.db"`` (SQLite): the same command
    goes on where it was stopped.

    Args:
        recipe: what is not searched over, and the first trial.
        molecules: what to learn from; the split and the seed are the recipe's.
        folder: where the study is kept.
        num_trials: how many there shall be, those of earlier runs included.
        minutes: begin no trial after so long; None: no limit.
        say: is told what happens, a line at a time.
        num_seeds: a trial's score is the mean of so many trainings, all on one split: where valid is small, a single
            one may be best by luck.

    Raises:
        InputError: Optuna is not installed; the folder holds a study of another recipe; no trial has a score.

    Source: Akiba et al., "Optuna: a next-generation hyperparameter optimization framework", KDD 2019.
    """
    optuna = _import_optuna()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    split = split_molecules(molecules, recipe.split, recipe.seed)
    check_labels(molecules, split)
    scale = target_scale(molecules, split)
    molecules = molecules.featurized_for(recipe)
    folder.mkdir(parents=True, exist_ok=True)
    score = METRICS[molecules.task_type][0]
    study = optuna.create_study(
        storage=f"sqlite:///{folder / 'study.db'}",
        study_name="recipe",
        direction="maximize" if score in HIGHER_IS_BETTER else "minimize",
        sampler=optuna.samplers.TPESampler(seed=recipe.seed, multivariate=True),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=max(recipe.max_epochs // 6, 1)),
        load_if_exists=True,
    )
    _same_study(study, recipe, molecules, num_seeds)
    if not study.trials:
        study.enqueue_trial(_searched_settings(recipe))

    def objective(trial: Any) -> float:
        return _trial(trial, recipe, molecules, split, scale, folder, num_seeds)

    def tell(_: Any, trial: Any) -> None:
        found = f"valid {score} {trial.value:.4f}" if trial.state.name == "COMPLETE" else "given up"
        settings = (
            f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
            for name, value in trial.params.items()
        )
        say(f"trial {trial.number}: {found} ({', '.join(settings)})")

    finished = [trial for trial in study.trials if trial.state.is_finished() and trial.state.name != "FAIL"]
    if len(finished) < num_trials:
        timeout = None if minutes is None else 60 * minutes
        study.optimize(objective, n_trials=num_trials - len(finished), timeout=timeout, callbacks=[tell])
    return _write_best(study, recipe, folder, num_seeds)


def _import_optuna() -> Any:
    try:
        import optuna
    except ModuleNotFoundError:
        raise InputError("a search needs Optuna: pip install 'gatlib[tune]'") from None
    return optuna


def _same_study(study: Any, recipe: Recipe, molecules: LabelledMolecules, num_seeds: int) -> None:
    fixed = recipe.model_dump(mode="json", exclude=set(_searched_settings(recipe)))
    settings = {"recipe": fixed, "source": molecules.source, "tasks": molecules.tasks, "seeds": num_seeds}
    if study.user_attrs.get("settings", settings) != settings:
        raise InputError(
            "the folder holds a search with another recipe, data set or number of seeds: name another folder"
        )
    study.set_user_attr("settings", settings)


def _searched_settings(recipe: Recipe) -> dict[str, object]:
    """The recipe's own values of what :func:`_suggest` draws."""
    training: dict[str, object] = {
        "dropout": min(recipe.dropout, 0.5),
        "learning_rate": min(max(recipe.learning_rate, 2e-4), 4e-3),
        "weight_decay": min(max(recipe.weight_decay, 1e-6), 1e-1),
        "batch_size": min(max(recipe.batch_size // 32, 1), 4) * 32,
    }
    if recipe.pretrained is not None:
        return training
    return {
        "conv": recipe.conv,
        "attention": recipe.attention if recipe.attention in ("edges", "both") else "edges",
        "random_walk": 16 if recipe.random_walk else 0,
        "heat_kernel": 8 if recipe.heat_kernel else 0,
        "hidden_channels": min(max(recipe.hidden_channels // 32, 1), 8) * 32,
        "num_layers": min(max(recipe.num_layers, 2), 6),
        "pooling": recipe.pooling if recipe.pooling in _POOLINGS else "mean_max",
        "jumping_knowledge": recipe.jumping_knowledge,
        "norm": recipe.norm if recipe.norm in ("batch", "layer") else "batch",
        **training,
    }


def _suggest(trial: Any, recipe: Recipe) -> Recipe:
    """The recipe with the settings of a trial: a pretrained network is what it is, but for its dropout."""
    settings = {} if recipe.pretrained is not None else _suggest_network(trial)
    settings |= {
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
        "learning_rate": trial.suggest_float("learning_rate", 2e-4, 4e-3, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-6, 1e-1, log=True),
        "batch_size": trial.suggest_int("batch_size", 32, 128, step=32),
    }
    return make_recipe(recipe.model_dump() | settings, f"trial {trial.number}")


def _suggest_network(trial: Any) -> dict[str, object]:
    hidden_channels = trial.suggest_int("hidden_channels", 32, 256, step=32)
    return {
        "conv": trial.suggest_categorical("conv", ["gat", "gatv2", "transformer"]),
        "attention": trial.suggest_categorical("attention", ["edges", "both"]),
        "random_walk": trial.suggest_categorical("random_walk", [0, 16]),
        "heat_kernel": trial.suggest_categorical("heat_kernel", [0, 8]),
        "hidden_channels": hidden_channels,
        "heads": hidden_channels // HEAD_CHANNELS,
        "num_layers": trial.suggest_int("num_layers", 2, 6),
        "pooling": trial.suggest_categorical("pooling", _POOLINGS),
        "jumping_knowledge": trial.suggest_categorical("jumping_knowledge", [False, True]),
        "norm": trial.suggest_categorical("norm", ["batch", "layer"]),
    }


def _trial(
    trial: Any,
    recipe: Recipe,
    molecules: LabelledMolecules,
    split: Split,
    scale: Scale,
    folder: Path,
    num_seeds: int,
) -> float:
    settings, work = _suggest(trial, recipe), folder / f"trial{trial.number}"
    scores: list[float] = []
    for seed in range(recipe.seed, recipe.seed + num_seeds):
        work.mkdir(exist_ok=True)
        pruning = _Pruning(trial, tuple(scores), recipe.max_epochs)
        try:
            of_seed = settings.model_copy(update={"seed": seed})
            scores.append(train_network(molecules, split, of_seed, scale, work, [pruning]).valid_score)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return fmean(scores)


class _Pruning(lightning.Callback):
    """Tells the study the validation score of every epoch, and ends a trial that it gives up.

    Of a later seed it is the mean of this epoch's and of the best of the seeds before.
    """

    def __init__(self, trial: Any, before: Sequence[float], max_epochs: int) -> None:
        self.trial, self.before, self.max_epochs = trial, before, max_epochs

    def on_validation_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        value = trainer.callback_metrics.get(str(module.monitored))
        if value is None or not value.isfinite():
            return
        epoch = len(self.before) * self.max_epochs + trainer.current_epoch
        self.trial.report(fmean([*self.before, float(value)]), epoch)
        if self.trial.should_prune():
            raise _import_optuna().TrialPruned


def _write_best(study: Any, recipe: Recipe, folder: Path, num_seeds: int) -> Recipe:
    if not any(trial.state.name == "COMPLETE" for trial in study.trials):
        raise InputError(f"no trial in {folder} was finished: allow more trials or more minutes")
    best = _suggest(study.best_trial, recipe)
    text = yaml.safe_dump(best.model_dump(exclude_defaults=True), sort_keys=False)
    of_seeds = f", the mean of {num_seeds} seeds" if num_seeds > 1 else ""
    note = f"# Best of {len(study.trials)} trials by the validation score{of_seeds}: {study.best_value:.4f}.\n"
    with atomic_path(folder / "recipe.yaml") as path:
        path.write_text(note + text, encoding="utf-8")
    with atomic_path(folder / "trials.csv") as path:
        study.trials_dataframe(attrs=("number", "value", "state", "duration", "params")).to_csv(path, index=False)
    return best
