"""Keep the agent's memory and environment from other processes of its user, such as what a vendor's module starts."""

import ctypes
import sys

_PR_SET_DUMPABLE = 4


def close_memory() -> None:
    """Linux then gives `/proc/PID/environ`, `/proc/PID/mem` and ptrace of this process to root alone.

    It doesn't hold for programs that this process starts. Elsewhere, nothing happens.
    """
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
