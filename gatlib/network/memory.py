"""What does not fit into memory is refused before it is read."""

import os
from pathlib import Path

from gatlib.data.files import open_bytes
from gatlib.errors import InputError

#: Bytes that an edge takes at the peak of `make_network`: endpoints, keys, their sort, both directions, weights.
BYTES_PER_EDGE = 180
#: Bytes that networkx takes for each byte of a file.
NETWORKX_FACTOR = 15
_CGROUP = Path("/sys/fs/cgroup")
_SAMPLE = 1 << 16
# gzip tells its unpacked size modulo 4 GiB only, and a cut file tells nonsense; text shrinks to about a quarter.
_LARGE_PACKED = 1 << 30
_TYPICAL_RATIO = 4
_HIGHEST_RATIO = 20


def free_memory() -> int:
    """Bytes that a process can still take without swapping, as far as the system and the container say."""
    return min(_free_of_system(), _free_of_container())


def _free_of_container() -> int:
    """What its control group leaves (Linux, version 2), not counting files in memory that nobody has used lately."""
    try:
        limit = int((_CGROUP / "memory.max").read_text(encoding="ascii"))
        used = int((_CGROUP / "memory.current").read_text(encoding="ascii"))
        statistics = (_CGROUP / "memory.stat").read_text(encoding="ascii").split()
    except (OSError, ValueError):  # no such group, or one without a limit, which says "max"
        return 1 << 62
    unused_files = int(dict(zip(statistics[::2], statistics[1::2], strict=True)).get("inactive_file", 0))
    return max(0, limit - used + unused_files)


def _free_of_system() -> int:
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        for line in meminfo.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 1 << 62


def unpacked_size(path: Path) -> int:
    """Bytes of a file, after unpacking when it ends in ``.gz``: an estimate from 1 GiB packed on."""
    size = path.stat().st_size
    if path.suffix.lower() != ".gz" or size < 4:
        return size
    if size >= _LARGE_PACKED:
        return size * _TYPICAL_RATIO
    with path.open("rb") as file:
        file.seek(-4, os.SEEK_END)
        return min(max(int.from_bytes(file.read(4), "little"), size), size * _HIGHEST_RATIO)


def check_edges_fit(path: Path) -> int:
    """Refuses a list of edges that is too long for this machine, judged by its size and its first lines.

    Returns:
        the number of edges that fit, for a file that turns out to be longer.

    Raises:
        InputError: when the edges would not fit into free memory.
    """
    with open_bytes(path) as file:
        sample = file.read(_SAMPLE)
    lines = sample.count(b"\n")
    if lines:
        num_edges = int(unpacked_size(path) * lines / len(sample))
        _refuse(path, f"about {num_edges:,} edges", num_edges * BYTES_PER_EDGE)
    return free_memory() // BYTES_PER_EDGE


def check_size_fits(path: Path, factor: int) -> None:
    """Refuses a file that takes more than free memory when each of its bytes takes ``factor``.

    Raises:
        InputError: when it would not fit.
    """
    size = unpacked_size(path)
    _refuse(path, f"{size / 1e9:,.1f} GB of text", size * factor)


def _refuse(path: Path, what: str, needed: int) -> None:
    free = free_memory()
    if needed > free:
        raise InputError(
            f"{path} holds {what}, which would take about {needed / 1e9:,.1f} GB of memory where "
            f"{free / 1e9:,.1f} GB are free: take a part of the graph or a larger machine"
        )
