"""The benchmark of whole trainings: all learn the same, what learns otherwise is refused, and a process reports."""

import importlib
import sys
from pathlib import Path

import pytest
import torch

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
for folder in (EXPERIMENTS, EXPERIMENTS / "speed"):
    sys.path.append(str(folder))

alone = importlib.import_module("full_graph_alone")
networks = importlib.import_module("full_graph_networks")

OURS, EAGER, EAGER_SPARSE = networks.OURS, networks.EAGER, networks.EAGER_SPARSE
needs_proc = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")


@pytest.fixture(scope="module")
def social():
    return networks.load_problem(networks.SOCIAL, small=True)


def test_the_generated_graph_is_as_the_table_says(social):
    x, edge_index, y, train = social
    assert (len(x), len(y), len(train)) == (2_000, 2_000, 960)
    assert 30_000 < edge_index.size(1) <= 42_000  # a pair that is drawn with itself is left out
    assert int((edge_index[0] == edge_index[1]).sum()) == 2_000
    edges = set(map(tuple, edge_index.T.tolist()))
    assert edges == {(target, source) for source, target in edges}
    degrees = edge_index[1].bincount(minlength=2_000)
    assert degrees.max() > 5 * degrees.double().mean()


@pytest.mark.parametrize("is_sparse", [False, True])
def test_all_learn_the_same(social, is_sparse):
    problem = social._replace(x=social.x.relu().to_sparse_csr()) if is_sparse else social
    names = [who for who in networks.contenders(problem) if who != networks.COMPILED]
    assert names == [OURS, EAGER, *([EAGER_SPARSE] if is_sparse else [])]
    assert networks.own_copy(EAGER, problem).x.layout == torch.strided
    assert networks.check_agreement(problem, {who: networks.network_of(who, problem) for who in names}) < 1e-4


def test_what_learns_otherwise_is_refused(social):
    ours = networks.network_of(OURS, social)
    with torch.no_grad():
        ours.layers[0].conv.att.mul_(1.1)
    with pytest.raises(SystemExit, match=r"gatlib: its losses differ from those of pyg eager by .* no speed"):
        networks.check_agreement(social, {OURS: ours, EAGER: networks.network_of(EAGER, social)})


@needs_proc
def test_a_contender_alone_reports_memory_and_seconds():
    report = alone.measured_alone(OURS, networks.SOCIAL, rounds=1, small=True)
    assert report["note"] == ""
    assert len(report["seconds"]) == 1
    assert 0 < report["peak_mb"] < report["process_mb"]
