"""Make experiments/README.md from the results.csv files: ``python experiments/tables.py``."""

from pathlib import Path

import pandas as pd

from gatlib.training.results import read_results

HERE = Path(__file__).parent
METRICS = {"roc_auc": "ROC-AUC", "pr_auc": "PR-AUC", "rmse": "RMSE", "mae": "MAE", "r2": "R²"}
INTRODUCTION = """# Experiments

One folder per question: `recipe.yaml` holds the settings, `run.py` runs them, `results.csv` takes one row per run and
metric (commit, seed, split, versions), `LOG.md` says what was tried and what did not help. `speed/` holds the
benchmarks.

The tables below are made from the CSV files by `python experiments/tables.py`. Every figure is the mean ± the standard
deviation over seeds of the mean over tasks; settings were chosen on valid, test was used once per run.
"""


def main() -> None:
    sections = [INTRODUCTION]
    for path in sorted(HERE.glob("*/results.csv")):
        sections.append(f"## {path.parent.name}\n\n{results_table(read_results(path))}")
    sections.append(f"## speed\n\n{speed_tables()}")
    (HERE / "README.md").write_text("\n".join(sections), encoding="utf-8")


def results_table(results: pd.DataFrame) -> str:
    lines = []
    metrics = [name for name in METRICS if name in set(results["metric"])]
    columns = [(part, name) for part in ("test", "valid") for name in metrics]
    header = [f"{part} {METRICS[name]}" for part, name in columns]
    lines.append(f"| model | settings | split | seeds | {' | '.join(header)} | seconds per run |")
    lines.append("|---" * (5 + len(header)) + "|")
    for (model, recipe, split), runs in results.groupby(["model", "recipe", "split"], sort=False):
        cells = []
        for part, name in columns:
            values = runs.loc[(runs["part"] == part) & (runs["metric"] == name), "value"]
            cells.append(f"{values.mean():.4f} ± {values.std():.4f}")
        seconds = runs.groupby("seed")["seconds"].first().mean()
        lines.append(
            f"| {model} | {recipe} | {split} | {runs['seed'].nunique()} | {' | '.join(cells)} | {seconds:.0f} |"
        )
    return "\n".join(lines) + "\n"


def speed_tables() -> str:
    """The last measurement of each benchmark."""
    tables = []
    for path in sorted((HERE / "speed").glob("*.csv")):
        table = pd.read_csv(path)
        last = table[table["commit"] == table["commit"].iloc[-1]].drop(columns=["date", "versions"], errors="ignore")
        header = f"| {' | '.join(last.columns)} |\n{'|---' * len(last.columns)}|"
        rows = [f"| {' | '.join('' if pd.isna(cell) else str(cell) for cell in row)} |" for row in last.values.tolist()]
        tables.append("\n".join([f"### {path.stem}.py\n", header, *rows]) + "\n")
    return "\n".join(tables)


if __name__ == "__main__":
    main()
