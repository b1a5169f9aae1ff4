"""The supervisor as a process, with little patience, and killed by itself (SIGKILL) at the step that it is told.

    python small_supervisor.py HOME BASE-PYTHON KILL-AT STEPS-FILE REPORT SETTLE

Steps are counted from 1: before and after each change of what lies on the disk, and before and after each start of an agent.
KILL-AT 0 kills never. Each step is a line of STEPS-FILE. REPORT and SETTLE are seconds of its patience.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.update.supervise import Patience, Supervisor
from agent.update.versions import Versions

home, base, kill_at, steps = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])
report, settle = map(float, sys.argv[5:])
count = 0


def step(name: str) -> None:
    global count
    count += 1
    with steps.open("a") as file:
        file.write(f"{name}\n")
    if count == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)


def counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def within(*args: Any, **options: Any) -> Any:
        step(f"before {name}")
        result = function(*args, **options)
        step(f"after {name}")
        return result

    return within


Versions.change = counted("change", Versions.change)  # type: ignore[method-assign]
Versions.point = counted("point", Versions.point)  # type: ignore[method-assign]
Versions.prune = counted("prune", Versions.prune)  # type: ignore[method-assign]
Supervisor._spawn = counted("spawn", Supervisor._spawn)  # type: ignore[method-assign]
Supervisor._probe = counted("probe", Supervisor._probe)  # type: ignore[method-assign]

patience = Patience(probe=120, report=report, settle=settle, stop=1, look=0.05)
arguments, probe = ["agent", "install", "--home", str(home)], ["--home", str(home)]
supervisor = Supervisor(Versions(home, base), "0.1.0", patience, arguments, probe)
sys.exit(supervisor.run())
