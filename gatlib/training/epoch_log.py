"""What a training run leaves to look at: one line per epoch, and the learning curve."""

import csv
import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lightning
import pandas as pd
from lightning.pytorch.utilities import rank_zero_only


class EpochLog(lightning.Callback):
    """Append one row of logged values per epoch to a CSV file; a resumed run goes on where the file ends."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @rank_zero_only
    def on_train_start(self, trainer: lightning.Trainer, _: lightning.LightningModule) -> None:
        if trainer.current_epoch == 0:
            self.path.unlink(missing_ok=True)
        elif self.path.exists():  # epochs after the last checkpoint are run again
            header, *rows = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
            kept = [row for row in rows if int(row.split(",")[0]) < trainer.current_epoch]
            self.path.write_text("".join([header, *kept]), encoding="utf-8")

    @rank_zero_only
    def on_train_epoch_end(self, trainer: lightning.Trainer, _: lightning.LightningModule) -> None:
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        learning_rate = trainer.optimizers[0].param_groups[0]["lr"]
        row = {"epoch": trainer.current_epoch, "learning_rate": learning_rate, **values}
        is_new = not self.path.exists()
        with self.path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(row), lineterminator="\n")  # a table would cost more than a small epoch
            if is_new:
                writer.writeheader()
            writer.writerow({name: "" if value != value else value for name, value in row.items()})


def plot_learning_curve(
    log_file: Path, picture: Path, score: str, title: str = "Validation score, mean over tasks"
) -> None:
    """Draw the losses and the validation score against the epoch, with the best epoch marked.

    Of epochs with equal scores it is the one of the lowest loss.
    """
    from matplotlib.figure import Figure

    from gatlib.metrics import HIGHER_IS_BETTER, METRIC_NAMES

    log = pd.read_csv(log_file)
    curve = log[f"valid_{score}"]
    best_score = curve.max() if score in HIGHER_IS_BETTER else curve.min()
    best = int(log["valid_loss"].where(curve == best_score).fillna(math.inf).argmin())
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    losses, scores = figure.subplots(1, 2)
    losses.plot(log["epoch"], log["train_loss"], label="train")
    losses.plot(log["epoch"], log["valid_loss"], label="valid")
    losses.set(xlabel="epoch", ylabel="loss", title="Loss")
    losses.legend()
    scores.plot(log["epoch"], curve, color="tab:green")
    scores.plot(log["epoch"][best], curve[best], "o", color="tab:red", label=f"kept: epoch {best}, {curve[best]:.3f}")
    scores.set(xlabel="epoch", ylabel=METRIC_NAMES[score], title=title)
    scores.legend()
    for axes in (losses, scores):
        axes.grid(alpha=0.3)
        axes.xaxis.get_major_locator().set_params(integer=True)
    figure.savefig(picture, dpi=120)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Without Lightning's advice about accelerators, data loader workers and its other products."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\.")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
