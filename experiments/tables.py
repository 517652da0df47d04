"""Make experiments/README.md from the results.csv files: ``python experiments/tables.py``."""

from pathlib import Path

import pandas as pd

from gatlib.training.results import read_results

HERE = Path(__file__).parent
METRICS = {"roc_auc": "ROC-AUC", "pr_auc": "PR-AUC", "rmse": "RMSE", "mae": "MAE", "r2": "R²"}
PEERS = ("pyg compiled", "pyg eager", "dgl")
LAYER_BENCHMARK = {"first_call": "a graph that was not seen before", "floor": "how far from what memory allows"}
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
        results = read_results(path)
        if "model" in results:  # the checks of lecture/ have a page of their own
            sections.append(f"## {path.parent.name}\n\n{results_table(results)}")
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
        if path.stem == "edge_attention":
            tables.append(f"### {path.stem}.py\n\n{layer_speed_tables(table)}")
        elif path.stem in LAYER_BENCHMARK:
            keys = [name for name in ("device", "graph", "layer", "mode") if name in table]
            last = table.drop_duplicates(keys, keep="last")
            tables.append(f"### edge_attention.py: {LAYER_BENCHMARK[path.stem]}\n\n{plain_table(last)}")
        else:
            last = table[table["commit"] == table["commit"].iloc[-1]]
            tables.append(f"### {path.stem}.py\n\n{plain_table(last)}")
    return "\n".join(tables)


def plain_table(table: pd.DataFrame) -> str:
    return markdown(table.drop(columns=["date", "versions"], errors="ignore"))


def layer_speed_tables(table: pd.DataFrame) -> str:
    """For each device, a row for each graph, layer, mode and number of edge features, each from its last run."""
    case = ["graph", "layer", "mode", "edge_dim"]
    last = table.drop_duplicates(["device", *case, "peer"], keep="last")
    parts = [
        "How many times as fast gatlib is (vs), and the peak extra memory of a step (MB, the first gatlib's). Medians; "
        "quartiles, seconds and versions are in edge_attention.csv, and what is measured in edge_attention.py.\n"
    ]
    for device, rows in last.groupby("device", sort=False):
        sizes = rows.drop_duplicates("graph")
        graphs = "; ".join(f"{row.graph}: {row.nodes:,} nodes, {row.edges:,} edges" for row in sizes.itertuples())
        peers = [name for name in PEERS if name in set(rows["peer"])]
        lines = [layer_speed_row(key, runs.set_index("peer"), peers) for key, runs in rows.groupby(case, sort=False)]
        commits = ", ".join(rows["commit"].unique())
        parts.append(f"{device}, commit {commits}. {graphs}.\n\n{markdown(pd.DataFrame(lines))}")
    return "\n".join(parts)


def layer_speed_row(case: tuple[str, str, str, int], runs: pd.DataFrame, peers: list[str]) -> dict[str, str]:
    graph, layer, mode, edge_dim = case
    row = {"graph": graph, "layer": layer, "mode": mode, "edge features": str(edge_dim)}

    def cell(peer: str, column: str, style: str, note: str) -> str:
        """The figure, or the note that says why there is none."""
        if peer not in runs.index:
            return ""
        value, reason = runs.loc[peer, [column, note]]
        return ("" if pd.isna(reason) else str(reason)) if pd.isna(value) else style.format(value)

    row |= {f"vs {peer}": cell(peer, "ratio_median", "{:.2f}", "peer_note") for peer in peers}
    row["MB"] = cell(runs.index[0], "peak_mb", "{:,.0f}", "note")
    row |= {f"MB of {peer}": cell(peer, "peer_peak_mb", "{:,.0f}", "peer_note") for peer in peers}
    if "CPU" not in runs["device"].iloc[0]:
        row["ms"] = f"{1000 * runs['seconds_median'].iloc[0]:.2f}"
    return row


def markdown(table: pd.DataFrame) -> str:
    header = f"| {' | '.join(table.columns)} |\n{'|---' * len(table.columns)}|"
    rows = [f"| {' | '.join('' if pd.isna(cell) else str(cell) for cell in row)} |" for row in table.values.tolist()]
    return "\n".join([header, *rows]) + "\n"


if __name__ == "__main__":
    main()
