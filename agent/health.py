"""What the agent says of its machine, at most once a minute. A figure that the machine doesn't give is left out."""

import os
import shutil
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from api.contract.health import Health

_EVERY_SECONDS = 60.0


class HealthReports:
    """`due` gives the report that goes with the next call to the IMS, if a minute has passed since the last one.

    `jobs` counts the jobs in work; `home` is on the disk whose free space is told; `clock` never jumps.
    """

    def __init__(self, home: Path, jobs: Callable[[], int], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._home = home
        self._jobs = jobs
        self._clock = clock
        self._started = clock()
        self._next = self._started

    def due(self) -> Health | None:
        """The report, or None: said less than a minute ago."""
        now = self._clock()
        if now < self._next:
            return None
        self._next = now + _EVERY_SECONDS
        used, total = memory(Path("/proc/meminfo"))
        return Health(
            version=version("exclave"),
            uptime_seconds=int(now - self._started),
            jobs=self._jobs(),
            load=_load(),
            cpus=os.cpu_count(),
            memory_used_mb=used,
            memory_total_mb=total,
            disk_free_mb=_free(self._home),
        )


def _load() -> float | None:
    try:
        return round(os.getloadavg()[0], 2)
    except OSError:
        return None


def _free(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).free >> 20
    except OSError:
        return None


def memory(file: Path) -> tuple[int | None, int | None]:
    """MiB in use and in all, from Linux's own table (proc_meminfo(5)); nothing elsewhere."""
    try:
        fields = dict(line.split(":", 1) for line in file.read_text().splitlines() if ":" in line)
        total, available = (int(fields[name].split()[0]) >> 10 for name in ("MemTotal", "MemAvailable"))
    except (OSError, KeyError, ValueError, IndexError):
        return None, None
    return max(0, total - available), total
