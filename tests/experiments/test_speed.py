"""What the layer benchmark rests on: it refuses wrong results, sees memory, and tables the last run."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
for folder in (EXPERIMENTS, EXPERIMENTS / "speed"):
    sys.path.append(str(folder))

contenders = importlib.import_module("contenders")
graphs = importlib.import_module("graphs")
peak_memory = importlib.import_module("peak_memory")
tables = importlib.import_module("tables")

needs_proc = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")


@pytest.fixture(scope="module")
def graph():
    num_nodes, edge_index = graphs.power_law(300, 3000, 0.8)
    x = torch.randn(num_nodes, graphs.IN_CHANNELS, generator=torch.Generator().manual_seed(0))
    return graphs.Graph(x.requires_grad_(), edge_index, None)


@pytest.mark.parametrize("sample", [False, True])
@pytest.mark.parametrize("layer", contenders.LAYERS)
def test_a_layer_that_agrees_is_accepted(graph, layer, sample, monkeypatch):
    monkeypatch.setattr(contenders, "WATCHED_NODES", 20)
    right = contenders.contender(contenders.EAGER, layer, 0, "cpu")
    assert contenders.check_agreement(layer, 0, {"gatlib": right}, graph, sample) < 1e-5


@pytest.mark.parametrize("sample", [False, True])
def test_a_layer_with_a_wrong_output_is_refused_by_name(graph, sample):
    wrong = contenders.contender(contenders.EAGER, "GATConv", 0, "cpu")
    wrong.att_src.data *= 1.01
    with pytest.raises(SystemExit, match="GATConv of gatlib: output differs"):
        contenders.check_agreement("GATConv", 0, {"gatlib": wrong}, graph, sample)


@pytest.mark.parametrize("factor", [1.001, float("nan")])
def test_a_layer_with_a_wrong_gradient_is_refused_by_name(graph, factor):
    wrong = contenders.contender(contenders.EAGER, "GATv2Conv", 0, "cpu")
    wrong.att.register_hook(lambda gradient: gradient * factor)
    with pytest.raises(SystemExit, match="GATv2Conv of gatlib: gradient of att differs"):
        contenders.check_agreement("GATv2Conv", 0, {"gatlib": wrong}, graph, False)


def test_the_power_law_graph_has_the_promised_size_and_hubs():
    num_nodes, edge_index = graphs.power_law(1000, 20_000, 0.8)
    assert num_nodes == 1000
    assert edge_index.shape == (2, 20_000)
    assert edge_index.min() >= 0
    assert edge_index.max() < 1000
    for ends in edge_index:
        degrees = ends.bincount(minlength=1000)
        assert 20 * degrees.float().mean() < degrees.max() < 100 * degrees.float().mean()


@needs_proc
def test_the_peak_is_that_of_the_step_alone():
    def allocate(megabytes):
        return np.ones(megabytes * 1_000_000 // 8).sum()

    assert 95 < peak_memory.peak_megabytes(lambda: allocate(100), lambda _: allocate(200)) < 115


@needs_proc
def test_a_process_that_takes_too_much_is_ended():
    command = [sys.executable, "-c", "print('began', flush=True); x = b'x' * 300_000_000; import time; time.sleep(30)"]
    assert peak_memory.run_guarded(command, limit_gb=0.2) == (["began"], "> 0.2 GB")


def test_the_table_shows_the_last_run_and_why_a_figure_is_missing():
    row = {
        "commit": "a",
        "graph": "uniform",
        "nodes": 9,
        "edges": 99,
        "layer": "GATConv",
        "edge_dim": 0,
        "mode": "train",
        "peer": "pyg eager",
        "ratio_median": 1.0,
        "peak_mb": 10,
        "peer_peak_mb": 40.0,
        "note": "",
        "peer_note": "",
        "device": "2 CPU cores",
    }
    killed = {"peer": "pyg compiled", "ratio_median": None, "peer_peak_mb": None, "peer_note": "> 21 GB"}
    text = tables.layer_speed_tables(pd.DataFrame([row, row | {"ratio_median": 2.5}, row | killed]))
    assert "| uniform | GATConv | train | 0 | > 21 GB | 2.50 | 10 | > 21 GB | 40 |" in text
    assert "1.00" not in text
