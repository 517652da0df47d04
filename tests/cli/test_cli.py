"""The command line: what it writes, and that bad input ends with one sentence and exit code 2."""

import csv
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gatlib import __version__
from gatlib.cli.main import app
from gatlib.models import Architecture
from tests.cli.conftest import Run

COMMANDS = ["predict", "train", "evaluate", "models", "datasets"]
TINY = "hidden_channels: 8\nheads: 1\nnum_layers: 1\nedge_channels: 4\nsplit: random\nmax_epochs: 1\nseed: 1\n"


@pytest.fixture
def run(run_gatlib: Run) -> Run:
    """Run `gatlib`."""
    return run_gatlib


@pytest.fixture
def files(tmp_path: Path, classification_folder: Path) -> dict[str, Path]:
    """Good and bad files by name."""
    texts = {
        "good.csv": "id,smiles,ring,nitrogen\na,CCO,0,0\nb,c1ccncc1,1,1\nc,C1CC,1,0\n",
        "columns.csv": "id,formula\n1,C\n",
        "empty.csv": "",
        "header.csv": "smiles,ring\n",
        "text.csv": "smiles,ring\nC,no\nCC,1\n",
        "one_class.csv": "smiles,ring\nC,1\nCC,1\n",
        "table.xlsx": "x",
        "typo.yaml": "learning_rat: 1\n",
        "broken.yaml": "a: [\n",
        "tiny.yaml": TINY,
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(b"smiles\n" + b"CCO\n" * 99)[:-9])
    for name in ("model", "cut", "edited", "newer", "bare"):
        shutil.copytree(classification_folder, tmp_path / name)
    weights = tmp_path / "cut" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    for name, changes in (("edited", {"name": "x"}), ("newer", {"format_version": 99})):
        path = tmp_path / name / "model.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    (tmp_path / "bare" / "model.json").unlink()
    return {path.name: path for path in tmp_path.iterdir()}


PREDICT = ["predict", "-m", "{model}", "-o", "out.csv", "-i"]
OUT = ["predict", "-m", "{model}", "-i", "{good.csv}", "-o"]
TRAIN = ["train", "-o", "new", "--recipe", "{tiny.yaml}", "--targets", "ring", "-i"]
RECIPE = ["train", "-o", "new", "--recipe"]
EVALUATE = ["evaluate", "-m", "{model}", "-o", "out.csv", "-i"]
BAD = {
    "predict nothing": (["predict", "-m", "{model}"], "give SMILES, or a file with -i"),
    "predict both": (["predict", "-m", "{model}", "C", "-i", "{good.csv}"], "and not both"),
    "predict a missing file": ([*PREDICT, "none.csv"], "there is no file none.csv: check the path"),
    "predict a folder": ([*PREDICT, "{model}"], "is a folder, not a file"),
    "predict another format": ([*PREDICT, "{table.xlsx}"], "cannot tell its format"),
    "predict without a SMILES column": ([*PREDICT, "{columns.csv}"], "'id', 'formula': name one with --sm"),
    "predict a named column": ([*PREDICT, "{good.csv}", "-s", "mol"], "no column 'mol'; its columns are 'id'"),
    "predict an empty file": ([*PREDICT, "{empty.csv}"], "is empty"),
    "predict a header": ([*PREDICT, "{header.csv}"], "has a header but no rows"),
    "predict a broken gzip": ([*PREDICT, "{cut.csv.gz}"], "is not a whole gzip file"),
    "predict to a missing folder": ([*OUT, "none/out.csv"], "cannot write"),
    "predict to a folder": ([*OUT, "{model}"], "it is a folder"),
    "predict words to a missing folder": (["predict", "-m", "{model}", "C", "-o", "none/out.csv"], "cannot write"),
    "no such model": (["predict", "-m", "none", "C"], "there is no model 'none'"),
    "a bare model": (["predict", "-m", "{bare}", "C"], "is not a model folder: it has no model.json"),
    "a truncated model": (["predict", "-m", "{cut}", "C"], "truncated or edited"),
    "an edited model": (["predict", "-m", "{edited}", "C"], "was changed after training"),
    "a newer model": (["predict", "-m", "{newer}", "C"], "newer format (99, this gatlib reads 1): upgrade"),
    "train on nothing": (["train", "-o", "new"], "give a table with -i and --targets, the name of a"),
    "train on a network": (["train", "-o", "new", "cora"], "cora is a network, not a set of molecules: use 'gatlib ne"),
    "train on two": ([*TRAIN, "{good.csv}", "tox21"], "give a table with -i or the name of a data set, and not both"),
    "train on no data set": (["train", "-o", "new", "tox20"], "there is no data set 'tox20'; there are: bbbp"),
    "train without a target": (["train", "-o", "new", "-i", "{good.csv}"], "no target column is named"),
    "train on a missing file": ([*TRAIN, "none.csv"], "there is no file none.csv"),
    "train on a missing target": ([*TRAIN, "{good.csv}", "--targets", "x"], "no column 'x'; its columns are 'id'"),
    "train without a SMILES column": ([*TRAIN, "{columns.csv}"], "its columns are 'id', 'formula'"),
    "train on an empty file": ([*TRAIN, "{empty.csv}"], "is empty"),
    "train on a header": ([*TRAIN, "{header.csv}"], "has a header but no rows"),
    "train on a text label": ([*TRAIN, "{text.csv}"], "data row 1, column 'ring': 'no' is not a number"),
    "train on one class": ([*TRAIN, "{one_class.csv}"], "target column 'ring' has one class only (1)"),
    "train on too few": ([*TRAIN, "{good.csv}"], "has too few molecules (2) for a random split"),
    "train with another split": ([*TRAIN, "{good.csv}", "--split", "part"], "is neither scaffold, random, nor a"),
    "train with no epochs": ([*TRAIN, "{good.csv}", "--max-epochs", "0"], "key 'max_epochs': Input should be"),
    "train into a file": ([*TRAIN, "{table_file}", "-o", "{good.csv}"], "cannot write to the folder"),
    "train into a model": ([*TRAIN, "{table_file}", "-o", "{model}"], "holds a trained model already"),
    "a recipe with a typo": ([*RECIPE, "{typo.yaml}"], "unknown key 'learning_rat'"),
    "a recipe that is no YAML": ([*RECIPE, "{broken.yaml}"], "is not YAML"),
    "a missing recipe": ([*RECIPE, "none.yaml"], "cannot read recipe none.yaml: No such file"),
    "a recipe without data": ([*RECIPE, "{tiny.yaml}"], "the recipe names no dataset"),
    "a recipe's targets": ([*RECIPE, "{tiny.yaml}", "--targets", "x"], "--targets goes with a table"),
    "evaluate a missing file": ([*EVALUATE, "none.csv"], "there is no file none.csv"),
    "evaluate without the tasks": ([*EVALUATE, "{columns.csv}", "-s", "formula"], "no column named like a task"),
    "evaluate a text label": ([*EVALUATE, "{text.csv}"], "'no' is not a number"),
    "evaluate to a missing folder": ([*EVALUATE, "{good.csv}", "-o", "none/out.csv"], "cannot write"),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "reason"), BAD.values(), ids=BAD)
def test_bad_input_is_one_sentence_and_writes_nothing(
    arguments: list[str], reason: str, run: Run, files: dict[str, Path], table_file: Path
) -> None:
    places = {**files, "table_file": table_file}
    filled = [re.sub(r"\{(.+)\}", lambda name: str(places[name[1]]), argument) for argument in arguments]
    before = {path: path.stat().st_mtime_ns for path in files["model"].rglob("*")}
    code, out, err = run(*filled)
    lines = [line for line in err.splitlines() if line.strip()]
    assert (code, len(lines)) == (2, 1), err
    assert lines[0].startswith("Error: ")
    assert reason in lines[0]
    assert "Traceback" not in out + err
    assert list(Path.cwd().iterdir()) == []
    assert {path: path.stat().st_mtime_ns for path in files["model"].rglob("*")} == before


@pytest.mark.parametrize(
    "arguments",
    [[], ["--wrong"], ["predikt"], ["train", "--task", "ranking", "-o", "x"], ["train"], ["evaluate"]],
    ids=["nothing", "no such option", "no such command", "no such task", "train to nowhere", "evaluate nothing"],
)
def test_a_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_molecules_are_predicted_as_a_table(run: Run, classification_folder: Path) -> None:
    code, out, _ = run("predict", "-m", classification_folder, "CCO", "c1ccccc1", "C1CC", "not one")
    assert code == 0
    assert "nitrogen" in out
    assert "C1CC: not a valid SMILES" in out
    assert "not one: not a SMILES: it contains a space" in out


@pytest.mark.parametrize("smiles", ["CCO", "C1CC", "[/x]", "\udcff"], ids=["valid", "invalid", "markup", "bytes"])
def test_a_lone_molecule_is_predicted_whatever_it_is(smiles: str, run: Run, classification_folder: Path) -> None:
    code, out, _ = run("predict", "-m", classification_folder, smiles)
    assert code == 0
    assert "ring" in out


def test_molecules_can_be_written_to_a_file_or_standard_output(run: Run, classification_folder: Path) -> None:
    assert run("predict", "-m", classification_folder, "CCO", "C1", "-o", "out.csv")[0] == 0
    code, out, _ = run("predict", "-m", classification_folder, "CCO", "C1", "-o", "-")
    assert code == 0
    assert out == Path("out.csv").read_text()
    assert [row[0] for row in csv.reader(out.splitlines())] == ["smiles", "CCO", "C1"]


def test_a_file_is_predicted_beside_its_own_columns(run: Run, files: dict[str, Path]) -> None:
    code, out, err = run("predict", "-m", files["model"], "-i", files["good.csv"])
    assert code == 0
    assert "3 rows written to good_preds.csv, 1 of them without a prediction" in err
    assert "not a valid SMILES" in out
    rows = list(csv.reader(Path("good_preds.csv").read_text().splitlines()))
    assert rows[0] == ["id", "smiles", "ring", "nitrogen", "ring_pred", "nitrogen_pred", "error"]
    assert [row[0] for row in rows[1:]] == ["a", "b", "c"]


def test_a_network_is_pretrained_and_a_model_starts_from_it(run: Run, table_file: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "pretraining.yaml"
    recipe.write_text(TINY.replace("split: random\n", "") + f"sources: ['{table_file}']\nheld_out: 5\n")
    code, out, _ = run("pretrain", "--recipe", recipe, "-o", "network")
    assert code == 0
    assert "63 molecules" in out
    assert "held-out molecules: mean R²" in out
    # The settings of the network come from it.
    train = ("train", "-i", table_file, "--targets", "nitrogen", "--split", "random", "--max-epochs", 1)
    assert run(*train, "--pretrained", "network", "-o", "model")[0] == 0
    architecture = json.loads(Path("model/model.json").read_text())["architecture"]
    assert (architecture["hidden_channels"], architecture["heat_kernel"], architecture["pooling"]) == (8, 0, "mean_max")
    code, _, err = run(*train, "--pretrained", "nowhere", "-o", "other")
    assert code == 2
    assert err.startswith("Error: there is no pretrained network 'nowhere': name a folder written by 'gatlib pretrain'")
    assert err.count("\n") == 1
    code, _, err = run("pretrain", "--recipe", table_file, "-o", "other")
    assert code == 2
    assert "must be lines of 'key: value'" in err


def test_without_a_recipe_the_network_knows_how_large_molecules_are(run: Run, table_file: Path) -> None:
    train = ("train", "-i", table_file, "--targets", "nitrogen", "--split", "random", "--max-epochs", 1)
    assert run(*train, "-o", "model")[0] == 0
    architecture = json.loads(Path("model/model.json").read_text())["architecture"]
    assert architecture == Architecture(heat_kernel=8, pooling="mean_max_sum").model_dump()


def test_a_model_is_trained_evaluated_and_used(run: Run, files: dict[str, Path], table_file: Path) -> None:
    arguments = ["--recipe", files["tiny.yaml"], "--targets", "ring", "--targets", "nitrogen", "-i", table_file]
    code, out, err = run("train", *arguments, "-o", "new[1]")
    assert (code, "Traceback" in err) == (0, False)
    assert "50 train, 6 valid, 7 test; 1 epochs" in out
    assert "2 rows set aside, see new[1]/rejected.csv" in out
    code, out, _ = run("evaluate", "-m", "new[1]", "-i", table_file, "-o", "metrics.csv")
    assert code == 0
    assert "65 rows, 2 of them without a prediction" in out
    assert Path("metrics.csv").read_text().startswith("task,labels,positives,roc_auc,pr_auc\nring,")
    code, out, _ = run("predict", "-m", "new[1]", "CCO")
    assert (code, "nitrogen" in out) == (0, True)


def test_numbers_are_learned_with_task_regression(run: Run, files: dict[str, Path], table_file: Path) -> None:
    arguments = ["--recipe", files["tiny.yaml"], "--targets", "size", "-i", table_file, "--task", "regression"]
    code, out, _ = run("train", *arguments, "--split", "scaffold", "-o", "new")
    assert code == 0
    assert "rmse" in out
    assert json.loads(Path("new/model.json").read_text())["training"]["split"] == "scaffold"


def test_data_sets_and_models_are_listed(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("datasets", "--data-dir", tmp_path)
    assert code == 0
    assert "tox21" in out
    assert "esol" in out
    assert "downloaded at first use" in out
    assert run("models")[0] == 0


def test_the_version_is_shown() -> None:
    assert CliRunner().invoke(app, ["--version"]).output == f"gatlib {__version__}\n"


@pytest.mark.parametrize("option", ["--help", "-h"])
@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)], ids=["gatlib", *COMMANDS])
def test_every_command_has_help(command: list[str], option: str) -> None:
    result = CliRunner().invoke(app, [*command, option])
    assert result.exit_code == 0
    assert "Usage:" in result.output


def subprocess_run(arguments: list[str], **options: object) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "gatlib.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, check=False, **options)  # type: ignore[call-overload]


def test_help_waits_for_no_heavy_import() -> None:
    script = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from gatlib.cli.main import app\n"
        f"for command in [[], *([name] for name in {COMMANDS})]:\n"
        "    assert CliRunner().invoke(app, [*command, '--help']).exit_code == 0\n"
        "heavy = {'torch', 'rdkit', 'pandas', 'numpy', 'lightning', 'sklearn', 'torch_geometric', 'ogb'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_pipe_goes_through_a_real_process(classification_folder: Path) -> None:
    arguments = ["predict", "-m", str(classification_folder), "-i", "-"]
    done = subprocess_run(arguments, input=b"name,smiles\ncaf\xe9,CCO\nbad,C1\n")
    assert done.returncode == 0
    lines = done.stdout.split(b"\n")
    assert lines[0] == b"name,smiles,ring_pred,nitrogen_pred,error"
    assert lines[1].startswith(b"caf\xe9,CCO,0.")
    assert lines[2:] == [b"bad,C1,,,not a valid SMILES", b""]
    assert done.stderr.decode().splitlines()[0] == "2 rows written to standard output, 1 of them without a prediction"


def test_a_real_process_ends_bad_input_with_one_line(tmp_path: Path) -> None:
    done = subprocess_run(["predict", "CCO", "-i", "none.csv"], cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"Error: give SMILES, or a file with -i (- for standard input), and not both")
    assert done.stderr.count(b"\n") == 1


def test_a_reader_that_leaves_early_is_no_error(classification_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "in.smi").write_text("C\n" * 9_000)
    command = f"{sys.executable} -m gatlib.cli.main predict -m {classification_folder} -i in.smi -o - | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, check=False, cwd=tmp_path, env={**os.environ})
    assert done.stdout == b"smiles,name,ring_pred,nitrogen_pred,error\n"
    assert b"Traceback" not in done.stderr
    assert b"BrokenPipe" not in done.stderr
