"""Spans of nodes, and the threads that work on them: in any process, under any threads, to the very end."""

import multiprocessing
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from gatlib.kernels.cpu import spans as spans_module
from gatlib.kernels.cpu.spans import EDGES_PER_SPAN, MOST_SPANS, for_each_span, spans
from gatlib.nn import GATv2Conv
from gatlib.nn.functional import edge_attention

LIMIT = 60  # seconds, after which something hangs


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """`torch.set_num_threads`, taken back afterwards."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def pointers_of(degrees: list[int]) -> Tensor:
    return torch.tensor([0, *degrees]).cumsum(0)


def assert_all_nodes_once(found: list[tuple[int, int]], num_nodes: int) -> None:
    assert [node for span in found for node in range(*span)] == list(range(num_nodes))
    assert len(found) <= MOST_SPANS
    assert num_nodes == 0 or all(first < last for first, last in found)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(degrees=st.lists(st.sampled_from([0, 1, 7, 500, EDGES_PER_SPAN, 10 * EDGES_PER_SPAN, 10**9]), max_size=150))
def test_spans_hold_every_node_once(degrees: list[int]) -> None:
    assert_all_nodes_once(spans(pointers_of(degrees)), len(degrees))


def test_spans_are_even() -> None:
    pointers = pointers_of([10] * 100_000)
    found = spans(pointers)
    assert_all_nodes_once(found, 100_000)
    assert len(found) == MOST_SPANS
    edges = [int(pointers[last] - pointers[first]) for first, last in found]
    assert max(edges) - min(edges) <= 20
    assert len(spans(pointers_of([10] * 1000))) == 2
    assert spans(pointers_of([1] * 5)) == [(0, 5)]


def test_nodes_without_edges_are_work_too() -> None:
    found = spans(pointers_of([0] * 10 * EDGES_PER_SPAN))
    assert [last - first for first, last in found] == [EDGES_PER_SPAN] * 10


def test_hub_has_a_span_of_its_own() -> None:
    found = spans(pointers_of([1] * 500 + [10**6] + [1] * 500))
    assert_all_nodes_once(found, 1001)
    assert len(found) <= 3


def test_spans_do_not_depend_on_threads(threads: Callable[[int], None]) -> None:
    generator = torch.Generator().manual_seed(0)
    pointers = pointers_of(torch.randint(100, (5000,), generator=generator).tolist())
    found = []
    for count in (1, 2, 4):
        threads(count)
        found.append(spans(pointers))
    assert found[0] == found[1] == found[2]
    assert len(found[0]) > 4


@pytest.mark.parametrize("count", [1, 2, 4])
def test_every_span_once(threads: Callable[[int], None], count: int) -> None:
    threads(count)
    all_spans = [(10 * n, 10 * n + 10) for n in range(50)]
    calls: list[tuple[int, int, int]] = []
    for_each_span(lambda *call: calls.append(call), all_spans)
    assert sorted(calls) == [(number, *span) for number, span in enumerate(all_spans)]


def test_as_many_threads_as_torch(threads: Callable[[int], None]) -> None:
    for count in (1, 2, 4):
        threads(count)
        together = threading.Barrier(count)  # broken unless so many arrive
        names = Counter()

        def work(*span: int, together: threading.Barrier = together, names: Counter[int] = names) -> None:
            together.wait(LIMIT)
            names[threading.get_ident()] += 1

        for_each_span(work, [(n, n + 1) for n in range(2 * count)])
        assert len(names) == count
        assert names[threading.get_ident()] > 0


class FailsInOneKindOfThread:
    """Work on four spans in four threads, of which one helper takes its time."""

    def __init__(self, culprit: str) -> None:
        self.culprit, self.caller = culprit, threading.get_ident()
        self.together, self.slow_one = threading.Barrier(4), threading.Lock()
        self.at_work = False

    def __call__(self, number: int, *span: int) -> None:
        self.together.wait(LIMIT)
        if threading.get_ident() == self.caller:
            failing = self.culprit == "caller"
        elif self.slow_one.acquire(blocking=False):
            failing, self.at_work = False, True
            time.sleep(0.05)
            self.at_work = False
        else:
            failing = self.culprit == "helper"
        if failing:
            raise MemoryError(f"span of the {self.culprit}")


@pytest.mark.parametrize("culprit", ["caller", "helper"])
def test_exceptions_reach_the_caller_when_all_threads_are_done(threads: Callable[[int], None], culprit: str) -> None:
    threads(4)
    for _ in range(8):
        work = FailsInOneKindOfThread(culprit)
        with pytest.raises(MemoryError, match=f"span of the {culprit}"):
            for_each_span(work, [(n, n + 1) for n in range(4)])
        # Else it would write to memory that the caller has given back.
        assert not work.at_work


def test_many_threads_at_once(threads: Callable[[int], None]) -> None:
    threads(3)
    problems = [problem(seed) for seed in range(8)]
    expected = [attend(given) for given in problems]
    found: dict[tuple[int, int], Tensor] = {}

    def repeat(number: int) -> None:
        for time_ in range(5):
            found[number, time_] = attend(problems[number])

    callers = [threading.Thread(target=repeat, args=(number,)) for number in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(LIMIT)
    assert len(found) == 40
    assert all(torch.equal(out, expected[number]) for (number, _), out in found.items())


def problem(seed: int = 0, num_nodes: int = 1000, num_edges: int = 20_000) -> dict[str, Any]:
    """Of several spans, by source and by target."""
    generator = torch.Generator().manual_seed(seed)
    query, key, value = torch.randn(3, num_nodes, 4, 4, generator=generator)
    edge_index = torch.randint(num_nodes, (2, num_edges), generator=generator)
    return {"query": query, "key": key, "value": value, "edge_index": edge_index, "score": "dot"}


def attend(given: dict[str, Any]) -> Tensor:
    """Output and gradients as one tensor."""
    value = given["value"].clone().requires_grad_()
    out = edge_attention(**given | {"value": value}, implementation="cpu")
    return torch.cat([out, *torch.autograd.grad(out.sum(), [value])]).detach()


def attend_in_child(connection: Any) -> None:
    torch.set_num_threads(2)
    started = spans_module._helpers.executor is not None
    connection.send((started, attend(problem()).tolist()))
    connection.close()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_child_processes(threads: Callable[[int], None], method: str) -> None:
    threads(2)
    expected = attend(problem())
    assert spans_module._helpers.executor is not None
    spans_module._helpers.lock.acquire()  # as another thread may at that moment
    context = multiprocessing.get_context(method)
    ours, theirs = context.Pipe()
    child = context.Process(target=attend_in_child, args=(theirs,), daemon=True)
    child.start()
    spans_module._helpers.lock.release()
    assert ours.poll(LIMIT)
    started, found = ours.recv()
    child.join(LIMIT)
    assert child.exitcode == 0
    assert not started
    assert found == expected.tolist()


AT_EXIT = """
import atexit, sys, threading
import torch
from gatlib.kernels.operators import edge_attention

torch.set_num_threads(4)
nodes = torch.randn(20_000, 4, 4, requires_grad=True)
edge_index = torch.randint(20_000, (2, 300_000))

def attend(name):
    out, _ = edge_attention(
        nodes, nodes, nodes, edge_index, score="dot", att=None, edge_attr=None, edge_weight=None, bias=None,
        negative_slope=0.2, normaliser="softmax", dropout=0.0, seed=torch.tensor(0), add_self_loops=False,
        return_attention_weights=False,
    )
    out.sum().backward()
    print(name, bool(out.isfinite().all()), flush=True)

atexit.register(attend, "at exit")
if sys.argv[1] == "after use":
    attend("before")
threading.Thread(target=lambda: [attend("thread") for _ in range(3)]).start()
"""


@pytest.mark.parametrize("when", ["after use", "first use"])
def test_interpreter_shutdown(when: str) -> None:
    ended = subprocess.run([sys.executable, "-c", AT_EXIT, when], capture_output=True, text=True, timeout=LIMIT)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    expected = ["before"] * (when == "after use") + ["thread"] * 3 + ["at exit"]
    assert ended.stdout.splitlines() == [f"{name} True" for name in expected]


class EmbeddedGraphs(Dataset[Tensor]):
    """Graphs that a layer has looked at already."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.conv = GATv2Conv(3, 4, heads=4).requires_grad_(False)

    def __len__(self) -> int:
        return 6

    def __getitem__(self, number: int) -> Tensor:
        generator = torch.Generator().manual_seed(number)
        edge_index = torch.randint(50, (2, 200), generator=generator)
        return self.conv(torch.randn(50, 3, generator=generator), edge_index)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_data_loader(threads: Callable[[int], None], method: str) -> None:
    threads(2)
    graphs = EmbeddedGraphs()
    expected = torch.stack([graphs[number] for number in range(len(graphs))])
    loader = DataLoader(graphs, batch_size=2, num_workers=2, multiprocessing_context=method, timeout=LIMIT)
    torch.testing.assert_close(torch.cat(list(loader)), expected)
