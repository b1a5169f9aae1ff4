"""The two files with which a package starts: a shell script that finds a Python, and the first lines of Python.

The script notes the Python that it has found outside the package, for the real program starts 50 ms sooner than a shim of pyenv
or asdf does. Nothing is ever written into the package: a lock file has the hash of all its files.
"""

from collections.abc import Sequence

_LAUNCHER = """\
#!/bin/sh
# Starts Exclave's Terraform provider with one of the Pythons that this package is made for: {words}.
# -I and -S: nothing is imported from the working folder, the environment or that Python's own packages.
# -B: nothing is written into this package, of which a lock file has the hash.
package="${{0%/*}}"
note="${{XDG_CACHE_HOME:-$HOME/.cache}}/exclave/provider-python-{tag}"
python="$EXCLAVE_PROVIDER_PYTHON"
if [ -n "$python" ] || {{ [ -r "$note" ] && read -r python < "$note" && [ -x "$python" ]; }}; then
  exec "$python" -B -I -S "$package/start.py" "$@"
fi
for candidate in {candidates} python3 python; do
  python=$("$candidate" -I -S -c 'import os, sys
if sys.version_info[:2] in {versions}: print(os.path.realpath(sys.executable))' 2> /dev/null < /dev/null)
  if [ -n "$python" ] && "$python" -I -S -c "" 2> /dev/null; then
    {{ mkdir -p "${{note%/*}}" && echo "$python" > "$note.$$" && mv "$note.$$" "$note"; }} 2> /dev/null
    exec "$python" -B -I -S "$package/start.py" "$@"
  fi
done
echo "Exclave's Terraform provider needs Python {words}: put it on PATH, or name it in EXCLAVE_PROVIDER_PYTHON." >&2
exit 1
"""

_START = """\
import sys

if sys.version_info[:2] not in {versions}:
    sys.exit(
        "Exclave's Terraform provider needs Python {words}, and %s is %d.%d: name another in EXCLAVE_PROVIDER_PYTHON."
        % (sys.executable, *sys.version_info[:2])
    )
sys.path.insert(0, __file__.rpartition("/")[0] + "/lib")

from provider_bridge.__main__ import main

main()
"""


def launcher(pythons: Sequence[str]) -> bytes:
    """The script that Terraform starts."""
    return _LAUNCHER.format(
        words=_words(pythons),
        tag="-".join(pythons),
        candidates=" ".join(f"python{python}" for python in pythons),
        versions=_versions(pythons),
    ).encode()


def start(pythons: Sequence[str]) -> bytes:
    """`start.py`, which finds the package's modules."""
    return _START.format(words=_words(pythons), versions=_versions(pythons)).encode()


def _words(pythons: Sequence[str]) -> str:
    *others, last = pythons
    return f"{', '.join(others)} or {last}" if others else last


def _versions(pythons: Sequence[str]) -> str:
    return "{" + ", ".join(f"({python.replace('.', ', ')})" for python in pythons) + "}"
