"""Tables and pictures of results, and files that are no results."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from gatlib.errors import InputError
from gatlib.experiments.experiment import experiment_names, load_experiment
from gatlib.experiments.pictures import _draw_band, draw_seeds, draw_test_predictions
from gatlib.experiments.results import Run, append_results, is_done, read_results
from gatlib.experiments.scores import Cost
from gatlib.experiments.tables import read_published, results_table, write_tables

ROOT = Path(__file__).parents[2] / "experiments"
RUN = Run("gatv2", "0123abcd", 0, "scaffold")
SCORES = {"valid": {"roc_auc": 0.8, "pr_auc": 0.4}, "test": {"roc_auc": 0.75, "pr_auc": None}}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    path = tmp_path / "results.csv"
    for seed, change in ((0, 0.0), (1, 0.02)):
        scores = {part: {name: value and value + change for name, value in of.items()} for part, of in SCORES.items()}
        append_results(path, RUN._replace(seed=seed), scores, Cost(10.0, 15.0), "2 CPU cores")
    append_results(path, RUN._replace(model="random forest", recipe="100 trees"), SCORES, Cost(1.0, 2.0), "2 CPU cores")
    return path


def test_what_is_appended_is_read(results: Path) -> None:
    table = read_results(results)
    assert len(table) == 12
    assert table["value"].isna().sum() == 3  # a score that there is not is no 0.5
    assert is_done(results, RUN._replace(seed=1))
    assert not is_done(results, RUN._replace(seed=2))
    assert not is_done(results, RUN._replace(split="random"))
    assert not is_done(results, RUN._replace(featurization="ogb-v2"))


def test_older_tables_without_cpu_seconds_are_continued(results: Path) -> None:
    pd.read_csv(results).drop(columns="cpu_seconds").to_csv(results, index=False)
    append_results(results, RUN._replace(seed=5), SCORES, Cost(10.0, 15.0), "2 CPU cores")
    table = read_results(results)
    assert len(table) == 16
    assert table["cpu_seconds"].notna().sum() == 4


def test_a_table_has_means_over_seeds_and_the_figures_of_others(results: Path) -> None:
    published = pd.DataFrame(
        [("AttentiveFP", "scaffold", "roc_auc", 0.761, 0.005, "a paper"), ("GIN", "random", "roc_auc", 0.9, None, "b")],
        columns=["model", "split", "metric", "value", "std", "source"],
    )
    lines = results_table(read_results(results), published, "roc_auc", ["pr_auc"]).splitlines()
    assert lines[0].startswith("| model | settings | split | seeds | test ROC-AUC | valid ROC-AUC | test PR-AUC |")
    assert lines[2] == "| gatv2 | 0123abcd | scaffold | 2 | 0.7600 ± 0.0141 | 0.8100 ± 0.0141 |  | 10 | 15 |"
    assert lines[3] == "| random forest | 100 trees | scaffold | 1 | 0.7500 | 0.8000 |  | 1 | 2 |"
    assert lines[4] == "| AttentiveFP | published: a paper | scaffold |  | 0.761 ± 0.005 |  |  |  |  |"
    assert len(lines) == 5  # another split has no row of ours beside it


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda text: text.replace("0.75,", "three quarters,"),
            r"row 3, column 'value': 'three quarters' is not a num",
        ),
        (
            lambda text: text.replace(",roc_auc,", ",banana,", 1),
            r"row 1, column 'metric': 'banana' is none of accuracy, .*log_loss: restore",
        ),
        (lambda text: text.replace(",test,", ",tset,", 1), r"row 3, column 'part': 'tset' is none of valid, test: res"),
        (lambda text: text.replace(",test,", ",,", 1), r"row 3, column 'part': nan is none of valid, test: restore"),
        (lambda text: text.replace(",seed,", ",sed,"), "has no column 'seed'"),
        (lambda text: text + 'a,"b\n', "is no table"),
        (lambda text: "", "is no table"),
    ],
    ids=["a word", "a metric", "a part", "a blank part", "a column", "a quote", "nothing"],
)
def test_a_file_edited_into_nonsense_is_refused(results: Path, change, reason: str) -> None:
    results.write_text(change(results.read_text()))
    with pytest.raises(InputError, match=reason):
        read_results(results)


def test_a_file_of_a_header_alone_has_no_rows(results: Path) -> None:
    results.write_text(results.read_text().splitlines()[0] + "\n")
    assert read_results(results).empty


def test_published_figures_have_their_columns(tmp_path: Path) -> None:
    path = tmp_path / "published.csv"
    path.write_text("model,value\nGIN,0.8\n")
    with pytest.raises(InputError, match="must have the columns model, split, metric, value, std, source; found model"):
        read_published(path)


def test_the_experiments_of_the_repository_are_whole() -> None:
    names = experiment_names(ROOT)
    assert "tox21" in names
    for name in names:
        experiment = load_experiment(ROOT, name)
        read_results(experiment.results)
        read_published(experiment.folder / "published.csv")


def test_the_page_is_written(results: Path, tmp_path: Path) -> None:
    folder = tmp_path / "root" / "little"
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text("dataset: tox21\n")
    results.rename(folder / "results.csv")
    text = write_tables(folder.parent).read_text()
    assert "## little" in text
    assert "0.7600 ± 0.0141" in text
    assert (folder / "seeds.png").stat().st_size > 10_000


def test_pictures_of_tasks_without_two_classes_and_of_values(tmp_path: Path) -> None:
    table = pd.DataFrame({"row": range(4), "smiles": "C", "a": [0, 1, None, 1], "a_pred": [0.1, 0.9, 0.5, 0.4]})
    table["one class"], table["one class_pred"] = 1, 0.5
    path = tmp_path / "test_predictions.csv"
    table.to_csv(path, index=False)
    for task_type in ("classification", "regression"):
        picture = draw_test_predictions(path, task_type)
        assert picture.stat().st_size > 10_000
        picture.unlink()


def test_of_many_tasks_the_median_and_the_spread_are_drawn() -> None:
    roc, precision = Figure().subplots(1, 2)
    truth = np.array([1.0, 1.0, 0.0, 0.0, 0.0])
    # Of 13 tasks 11 rank perfectly, one is turned round, and one has all scores the same.
    scores = [truth] * 11 + [-truth, 0 * truth]
    _draw_band(roc, precision, {f"t{place}": (truth, score) for place, score in enumerate(scores)})
    for axes, mean in ((roc, (11 + 0 + 0.5) / 13), (precision, (11 + 0.4 + 0.4) / 13)):
        recall, median = axes.lines[0].get_data()
        assert len(recall) == 101
        assert (np.asarray(median)[1:] == 1).all()
        assert axes.get_legend_handles_labels()[1] == ["80 % of 13 tasks", f"median; mean over the tasks {mean:.3f}"]


def test_of_many_tasks_that_have_one_class_the_calibration_is_left(tmp_path: Path) -> None:
    table = pd.DataFrame({"row": range(4), "smiles": "C"})
    for task in range(13):
        table[f"t{task}"], table[f"t{task}_pred"] = 0.0, 0.5
    table.to_csv(tmp_path / "test_predictions.csv", index=False)
    assert draw_test_predictions(tmp_path / "test_predictions.csv", "classification").stat().st_size > 10_000


def test_no_runs_no_picture(tmp_path: Path) -> None:
    draw_seeds(read_results(tmp_path / "none.csv"), "roc_auc", "", tmp_path / "seeds.png")
    assert not (tmp_path / "seeds.png").exists()
