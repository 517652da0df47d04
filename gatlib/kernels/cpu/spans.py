"""Spreads the nodes of a graph over threads.

Numba brings threads of its own, in three makes that differ in whether a process may fork after using them and whether
two Python threads may use them at once. The kernels release the GIL, so Python's own threads do: they can be started
anywhere, by anyone, and there are as many as `torch.get_num_threads()` says, the caller's included.
"""

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import pairwise
from threading import Lock

import torch
from torch import Tensor

# So much work that handing out a span costs little, and so many spans that an unlucky one does not keep others waiting.
EDGES_PER_SPAN = 4_096
MOST_SPANS = 64


def spans(pointers: Tensor) -> list[tuple[int, int]]:
    """Cuts nodes into spans of about as many edges each; a function of the graph alone, so that sums come out alike.

    Args:
        pointers: Where the edges of each node begin, [nodes + 1].
    """
    num_nodes, num_edges = pointers.numel() - 1, int(pointers[-1])
    # A node costs something too, edges or none.
    count = min(max((num_edges + num_nodes) // EDGES_PER_SPAN, 1), MOST_SPANS)
    if count == 1:
        return [(0, num_nodes)]
    work = pointers + torch.arange(num_nodes + 1)
    steps = torch.arange(1, count) * (num_edges + num_nodes) // count
    cuts = [0, *torch.searchsorted(work, steps).tolist(), num_nodes]
    return [(first, last) for first, last in pairwise(cuts) if first < last]


def for_each_span(function: Callable[[int, int, int], None], spans: list[tuple[int, int]]) -> None:
    """Calls `function(number, first, last)` for every span, in as many threads as PyTorch uses."""
    if len(spans) == 1:
        function(0, *spans[0])
        return
    numbered = enumerate(spans)
    lock = Lock()

    def work() -> None:
        while True:
            with lock:
                number, span = next(numbered, (-1, None))
            if span is None:
                return
            function(number, *span)

    futures = _helpers.submit(work, min(torch.get_num_threads(), len(spans)) - 1)
    try:
        work()
    finally:
        # What has not begun by now, others being busy with another caller's work, has nothing left to do.
        begun = [future for future in futures if not future.cancel()]
        wait(begun)  # for all, even if one failed: the others still write to the caller's memory
    for future in begun:
        future.result()


class _Helpers:
    """The threads beside the caller's own, started when first needed."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self.lock = Lock()
        self.size = 0
        self.executor: ThreadPoolExecutor | None = None

    def submit(self, work: Callable[[], None], count: int) -> list[Future[None]]:
        if count == 0:
            return []
        with self.lock:
            if self.executor is None or self.size < count:
                self.executor, self.size = ThreadPoolExecutor(count, thread_name_prefix="gatlib"), count
            try:
                return [self.executor.submit(work) for _ in range(count)]
            except RuntimeError:  # the interpreter is shutting down: the caller goes on alone
                return []


_helpers = _Helpers()
# In a forked child the threads are gone, and one of them may have held the lock.
os.register_at_fork(after_in_child=_helpers.forget)
