"""The peak memory of a step on a CPU, and processes that are ended before they take the machine's memory. Linux."""

import ctypes
import gc
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

POLL_SECONDS = 0.05


def peak_megabytes(step: Callable[[], object], warm_up: Callable[[bool], object]) -> float:
    """How far the resident memory of this process rises above what it is before the step.

    Args:
        step: what is measured.
        warm_up: pays for imports and compilation first. It is called with True where it may take memory, because the
            kernel lets a process forget its peak; with False where it has to be small, as its peak would count.
    """
    forgettable = forget_peak()
    warm_up(forgettable)
    gc.collect()
    _return_freed_memory()
    before = resident_megabytes() if forget_peak() else resident_megabytes("VmHWM")
    step()
    return resident_megabytes("VmHWM") - before


def forget_peak() -> bool:
    """Set the peak to what is resident now; False where the system does not allow it (see proc_pid_clear_refs(5))."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def resident_megabytes(line: str = "VmRSS", pid: int | str = "self") -> float:
    """``VmRSS``: now; ``VmHWM``: at most so far. Not getrusage, whose peak a process takes over from its parent."""
    for text in Path(f"/proc/{pid}/status").read_text().splitlines():
        if text.startswith(f"{line}:"):
            return int(text.split()[1]) * 1024 / 1e6
    return 0.0  # of a process that has ended


def die_first() -> None:
    """If the machine runs out of memory all the same, it is to end this process and not the one that waits for it."""
    Path("/proc/self/oom_score_adj").write_text("1000")


def _return_freed_memory() -> None:
    """Else what the C library keeps of the warm-up's memory would be resident before the step, and hide its need."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def run_guarded(command: Sequence[str], limit_gb: float) -> tuple[list[str], str]:
    """Run a command, but end it when its resident memory passes the limit.

    Returns:
        The lines that it printed so far, and what went wrong: nothing, the limit, or the end of its complaint.
    """
    # Files, for a pipe that nobody reads stops the process when it is full.
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=output, stderr=errors)
        problem = ""
        while process.poll() is None:
            if resident_megabytes(pid=process.pid) > limit_gb * 1000:
                process.kill()
                problem = f"> {limit_gb:g} GB"
                break
            time.sleep(POLL_SECONDS)
        process.wait()
        output.seek(0)
        errors.seek(0)
        complaint = errors.read().strip()
        if not problem and (process.returncode < 0 or "not enough memory" in complaint):
            problem = "out of memory"
        elif not problem and process.returncode:
            problem = complaint[-100:] or f"exit code {process.returncode}"
        return output.read().splitlines(), problem
