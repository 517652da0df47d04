"""How many threads small work takes: one."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

#: Nodes and edges. A smaller graph is one span of the CPU kernels, which so do not divide it among threads either.
SMALL = 8_192


@contextmanager
def one_thread_if_small(size: int) -> Iterator[None]:
    """Keep PyTorch to one thread where there is little to do; afterwards it has as many as before.

    Some operations of PyTorch, layer normalisation among them, use all threads for any number of rows. Threads that
    share a few rows wait for each other longer than they work, and wait without giving up their core: on a machine
    with other work this takes ten times the time of one thread.

    As with :func:`torch.set_num_threads`, a thread that first uses PyTorch meanwhile has one thread too, but for the
    small work of its own, after which it has as many as the others.

    Args:
        size: of the work, in nodes and edges.
    """
    if size >= SMALL or _here.is_small:
        yield
        return
    usual = _number.enter()
    _here.is_small = True
    torch.set_num_threads(1)
    try:
        yield
    finally:
        _here.is_small = False
        torch.set_num_threads(usual)
        _number.leave()


class _Here(threading.local):
    """Whether this thread is in small work."""

    is_small = False


class _Number:
    """The number of threads before any was in small work: in between, a new thread is told that there is one."""

    def __init__(self) -> None:
        self.lock, self.inside, self.usual = threading.Lock(), 0, 1

    def enter(self) -> int:
        with self.lock:
            if self.inside == 0:
                self.usual = torch.get_num_threads()
            self.inside += 1
            return self.usual

    def leave(self) -> None:
        with self.lock:
            self.inside -= 1


_here, _number = _Here(), _Number()
