import subprocess
import sys

import pytest

_SAY = (
    "import ctypes; from agent.closed_memory import close_memory; close_memory(); print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux alone has it")
def test_an_agents_memory_is_closed_to_other_processes_of_its_user() -> None:
    # PR_GET_DUMPABLE; what 0 means for /proc is in prctl(2). A test as root could read it all the same.
    said = subprocess.run([sys.executable, "-c", _SAY], check=True, capture_output=True, text=True)
    assert said.stdout == "0\n"
