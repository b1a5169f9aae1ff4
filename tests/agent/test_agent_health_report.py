"""What an agent says of its machine."""

from pathlib import Path

import pytest

from agent import health
from agent.health import HealthReports


def test_a_report_is_due_at_once_and_then_once_a_minute(tmp_path: Path) -> None:
    now = [100.0]
    reports = HealthReports(tmp_path, lambda: 3, clock=lambda: now[0])
    first = reports.due()
    assert first
    assert (first.jobs, first.uptime_seconds) == (3, 0)
    assert first.disk_free_mb
    now[0] += 59
    assert reports.due() is None
    now[0] += 1
    second = reports.due()
    assert second
    assert second.uptime_seconds == 60


@pytest.mark.parametrize("text", ["", "MemTotal: many kB\nMemAvailable: 1 kB", "MemTotal: 10 kB", "MemTotal:\nMemAvailable:\n"])
def test_what_the_machine_does_not_tell_is_left_out(tmp_path: Path, text: str) -> None:
    file = tmp_path / "meminfo"
    file.write_text(text)
    assert health.memory(file) == (None, None)
    assert health.memory(tmp_path / "none") == (None, None)
    assert health._free(tmp_path / "none") is None


def test_memory_in_use_is_what_is_not_available(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text(
        "MemTotal:       4096 kB\nMemFree: 1 kB\nMemAvailable:   1024 kB\nHugePages_Total:       0\n"
    )
    assert health.memory(tmp_path / "meminfo") == (3, 4)
