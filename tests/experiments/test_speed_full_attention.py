"""The benchmark of full attention: every way computes the same, wrong results are refused, and a run leaves a table."""

import importlib
import sys
from pathlib import Path

import pandas as pd
import pytest

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
for folder in (EXPERIMENTS, EXPERIMENTS / "speed"):
    sys.path.append(str(folder))

benchmark = importlib.import_module("full_attention")
alone = importlib.import_module("full_attention_alone")
batches = importlib.import_module("full_attention_batches")
ways = importlib.import_module("full_attention_ways")

needs_proc = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")


@pytest.mark.parametrize("sizes", [[3, 1, 7, 3, 30, 150, 7], [4, 4], [1], [9, 8, 7, 6]], ids=str)
@pytest.mark.parametrize("who", ways.WAYS)
def test_every_way_computes_the_same(who, sizes):
    assert ways.check_agreement({who: ways.WAYS[who]}, batches.nodes_of(sizes)) < 1e-5


@pytest.mark.parametrize("factor", [1.001, float("nan")])
def test_a_way_with_a_wrong_output_is_refused_by_name(factor):
    def wrong(layer, x, batch):
        return ways.WAYS["padded SDPA"](layer, x, batch) * factor

    with pytest.raises(SystemExit, match="padded SDPA: output differs"):
        ways.check_agreement({"padded SDPA": wrong}, batches.nodes_of([3, 5]))


def test_a_way_that_is_wrong_only_in_inference_is_refused():
    def wrong(layer, x, batch):
        return ways.WAYS["gatlib"](layer, x, batch) * (1 if layer.training else 1.001)

    with pytest.raises(SystemExit, match="gatlib: output of inference differs"):
        ways.check_agreement({"gatlib": wrong}, batches.nodes_of([3, 5]))


@pytest.mark.parametrize("name", ["in_proj_bias", "out_proj.weight"])
def test_a_way_with_a_wrong_gradient_is_refused_by_name(name):
    def wrong(layer, x, batch):
        layer.get_parameter(name).register_hook(lambda gradient: gradient * 1.001)
        return ways.WAYS["gatlib"](layer, x, batch)

    with pytest.raises(SystemExit, match=f"gatlib: gradient of {name} differs"):
        ways.check_agreement({"gatlib": wrong}, batches.nodes_of([3, 5]))


def test_jagged_tensors_are_left_out_where_they_do_not_run(monkeypatch, capsys):
    def fails(layer, x, batch):
        raise RuntimeError("no viable backend")

    monkeypatch.setitem(ways.WAYS, ways.JAGGED, fails)
    assert list(ways.ways_here()) == [who for who in ways.WAYS if who != ways.JAGGED]
    assert "jagged SDPA: left out, no viable backend" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "graphs", "of_100"), [("uneven", 256, 6), ("tox21", 256, 0)])
def test_the_batches_of_molecules_are_as_promised(data_dir, monkeypatch, name, graphs, of_100):
    monkeypatch.setenv("GATLIB_DATA_DIR", str(data_dir))
    nodes = batches.load_batch(name)
    sizes = nodes.batch.bincount()
    assert len(sizes) == graphs
    assert sizes.min() > 0
    assert int((sizes == 100).sum()) == of_100
    assert nodes.x.shape == (int(sizes.sum()), batches.CHANNELS)
    assert (batches.load_batch(name).x == nodes.x).all()


@pytest.mark.parametrize("small", [False, True])
def test_a_run_leaves_a_table_and_a_picture_unless_it_is_small(small, monkeypatch, tmp_path):
    monkeypatch.setattr(benchmark, "TABLE", tmp_path / "full_attention.csv")
    monkeypatch.setitem(benchmark.BATCHES, "large", lambda _: [130, 3, 3, 10])
    figures = {mode: {"peak_mb": 1.5, "note": ""} for mode in benchmark.MODES}
    monkeypatch.setattr(benchmark, "measured_alone", lambda *_: figures)
    benchmark.main(batch=["large"], rounds=1, small=small)
    if small:
        assert list(tmp_path.iterdir()) == []
        return
    table = pd.read_csv(tmp_path / "full_attention.csv")
    assert (tmp_path / "full_attention.png").stat().st_size > 0
    assert len(table) == len(benchmark.MODES) * (len(ways.ways_here()) - 1)
    assert (table["pairs"] == 130**2 + 3**2 + 3**2 + 10**2).all()
    assert (table["ratio_median"] > 0).all()
    assert (table["peer_peak_mb"] == 1.5).all()


def test_an_unknown_batch_is_refused():
    with pytest.raises(SystemExit, match="huge: not one of uneven, tox21, large"):
        benchmark.main(batch=["huge"])


@needs_proc
def test_the_memory_of_a_way_is_measured_in_a_process_of_its_own():
    reports = alone.measured_alone("SDPA in a loop", "large", small=True)
    assert all(report["note"] == "" and report["peak_mb"] > 0 for report in reports.values()), reports
