"""Make README.md of the benchmarks from their CSV files: ``python experiments/speed/tables.py``."""

from pathlib import Path

import pandas as pd

HERE = Path(__file__).parent
PEERS = ("pyg compiled", "pyg eager", "dgl")
LAYER_BENCHMARK = {"first_call": "a graph that was not seen before", "floor": "how far from what memory allows"}
INTRODUCTION = """# Speed

A script per question, a CSV and mostly a picture beside it; [LOG.md](LOG.md) says what was tried. This page is made
from the CSV files by `python experiments/speed/tables.py`. Speed is a ratio against the peer, both taking turns in one
process, median of at least 5 rounds; the machines are shared ones, on which seconds mean little.
"""


def main() -> None:
    (HERE / "README.md").write_text(f"{INTRODUCTION}\n{speed_tables()}", encoding="utf-8")


def speed_tables() -> str:
    """The last measurement of each benchmark."""
    tables = []
    for path in sorted(HERE.glob("*.csv")):
        table = pd.read_csv(path)
        if path.stem == "edge_attention":
            tables.append(f"## {path.stem}.py\n\n{layer_speed_tables(table)}")
        elif path.stem in LAYER_BENCHMARK:
            keys = [name for name in ("device", "graph", "layer", "mode") if name in table]
            last = table.drop_duplicates(keys, keep="last")
            tables.append(f"## edge_attention.py: {LAYER_BENCHMARK[path.stem]}\n\n{plain_table(last)}")
        elif path.stem == "full_graph":  # its graphs are measured one by one
            tables.append(f"## {path.stem}.py\n\n{plain_table(table.drop_duplicates(['graph', 'peer'], keep='last'))}")
        else:
            last = table[table["commit"] == table["commit"].iloc[-1]]
            tables.append(f"## {path.stem}.py\n\n{plain_table(last)}")
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
