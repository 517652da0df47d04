"""Machine code on disk: later processes find it, and wherever it cannot be kept or read, only time is lost."""

import importlib
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import pytest
from numba.core.caching import IndexDataCacheFile

import gatlib

SOURCE = """
from gatlib.kernels.cpu.compiled import compiled

def adder(number):
    @compiled
    def add(x):
        return x + number
    return add
"""
# Sorts a graph and attends over it; prints the output, and how often machine code came from the disk.
ATTENTION = """
import json
import torch
from gatlib.kernels.cpu import sorting
from gatlib.kernels.cpu.forward import forward_kernel
from gatlib.kernels.operators import edge_attention

nodes = torch.arange(6.0).view(3, 2, 1) / 6
out, _ = edge_attention(
    nodes, nodes, nodes, torch.tensor([[0, 1, 2, 2], [1, 1, 0, 1]]), score="additive", att=None, edge_attr=None,
    edge_weight=None, bias=None, negative_slope=0.2, normaliser="sigmoid", dropout=0.0, seed=torch.tensor(0),
    add_self_loops=False, return_attention_weights=False,
)
kernels = (sorting._count, sorting._place, forward_kernel(0, 1, 1, 1))
print(json.dumps({"out": out.tolist(), "hits": [sum(kernel.stats.cache_hits.values()) for kernel in kernels]}))
"""
HIGHER_SCORES = """

@inlined
def add_bias(arrays, numbers, edge, scores, at):
    for h in range(numbers.heads):
        scores[at + h] += 1
"""

NewProcess = Callable[[], Callable[[int], Any]]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def adder_of_a_new_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NewProcess:
    (tmp_path / "adders_for_a_test.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)

    def load() -> Callable[[int], Any]:
        monkeypatch.delitem(sys.modules, "adders_for_a_test", raising=False)
        return importlib.import_module("adders_for_a_test").adder

    return load


def hits(function: Any) -> int:
    return sum(function.stats.cache_hits.values())


def files(folder: Path, suffix: str) -> list[Path]:
    return [path for path in folder.rglob(f"*.{suffix}") if path.is_file()]


def test_kept_and_found_again(adder_of_a_new_process: NewProcess, cache: Path) -> None:
    for expected_hits in (0, 1):
        adder = adder_of_a_new_process()
        for number in (1, 5):
            add = adder(number)
            assert (add(2), add(2.5)) == (2 + number, 2.5 + number)
            assert hits(add) == 2 * expected_hits
    assert len(files(cache, "nbc")) == 4


@pytest.mark.parametrize("kept", [0, 0.5, "noise"])
@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
def test_damaged_files_are_as_good_as_none(
    adder_of_a_new_process: NewProcess, cache: Path, suffix: str, kept: float | str
) -> None:
    assert adder_of_a_new_process()(1)(2) == 3
    (path,) = files(cache, suffix)
    content = path.read_bytes()
    path.write_bytes(b"noise" * 20 if isinstance(kept, str) else content[: int(kept * len(content))])
    for expected_hits in (0, 1):
        add = adder_of_a_new_process()(1)
        assert add(2) == 3
        assert hits(add) == expected_hits


def test_full_disk(adder_of_a_new_process: NewProcess, cache: Path) -> None:
    adder = adder_of_a_new_process()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        assert adder(1)(2) == 3
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not files(cache, "nbc")
    assert adder_of_a_new_process()(1)(2) == 3


def test_nowhere_to_keep_it(
    adder_of_a_new_process: NewProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in ("file", "__pycache__"):  # below which there can be no folder, whoever asks
        (tmp_path / file).touch()
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "file" / "cache"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    add = adder_of_a_new_process()(1)
    assert add(2) == 3
    assert hits(add) == 0
    assert not files(tmp_path, "nb*")


def test_processes_that_compile_at_once_do_not_mix_up_their_kernels(
    adder_of_a_new_process: NewProcess, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[Callable[[], None]] = []
    save = IndexDataCacheFile._save_data
    with monkeypatch.context() as patch:
        # Each looks for a free name before the other has written, and the first to begin is the last to end.
        patch.setattr(IndexDataCacheFile, "_load_index", lambda self: {})
        patch.setattr(IndexDataCacheFile, "_save_data", lambda *arguments: writes.append(lambda: save(*arguments)))
        for number in (1, 5):
            adder_of_a_new_process()(number)(2)
    assert len(writes) == 2
    for write in reversed(writes):
        write()
    assert [adder_of_a_new_process()(number)(2) for number in (1, 5)] == [3, 7]


def test_kernels_of_attention_and_changes_in_what_they_inline(tmp_path: Path) -> None:
    package = Path(gatlib.__file__).parent
    ours = tmp_path / "gatlib"
    shutil.copytree(package / "kernels", ours / "kernels", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("__init__.py", "errors.py"):
        shutil.copy(package / name, ours)
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}

    def run() -> dict[str, Any]:
        command = [sys.executable, "-c", ATTENTION]
        ended = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)

    first, second = run(), run()
    assert first["hits"] == [0, 0, 0]
    assert second == {"out": first["out"], "hits": [1, 1, 1]}
    with (ours / "kernels" / "cpu" / "scores.py").open("a") as file:
        file.write(HIGHER_SCORES)
    third = run()
    assert third["hits"][2] == 0
    assert third["out"] != first["out"]
