"""Taking turns: what is compared runs in the same process, one after the other, again and again."""

import math
import statistics
import time
from collections.abc import Callable

import torch

ROUND_SECONDS = 0.05  # shorter steps are repeated within a round until they last as long


def seconds_of(step: Callable[[], object], repeats: int = 1) -> float:
    """Of one step; on a GPU until it has done its work."""
    _wait_for_gpu()
    started = time.perf_counter()
    for _ in range(repeats):
        step()
    _wait_for_gpu()
    return (time.perf_counter() - started) / repeats


def take_turns(steps: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of every step in every round; what runs out of GPU memory is left out."""
    repeats = {}
    for name, step in steps.items():
        try:
            step()  # the warm-up, which compiles
            repeats[name] = max(1, math.ceil(ROUND_SECONDS / seconds_of(step)))
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
    seconds: dict[str, list[float]] = {name: [] for name in repeats}
    for number in range(rounds):
        order = list(repeats) if number % 2 == 0 else list(repeats)[::-1]
        for name in order:
            seconds[name].append(seconds_of(steps[name], repeats[name]))
    return seconds


def quartiles(values: list[float]) -> tuple[float, float, float]:
    """The median, and the first and third quartile."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    first, median, third = statistics.quantiles(values, n=4, method="inclusive")
    return median, first, third


def ratios(dividends: list[float], divisors: list[float]) -> list[float]:
    """Round by round, so that what slows down a whole round cancels out."""
    return [dividend / divisor for dividend, divisor in zip(dividends, divisors, strict=True)]


def _wait_for_gpu() -> None:
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
