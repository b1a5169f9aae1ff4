"""The CDK library that the bindings stand on: `cdktn`, or `cdktf`, whose API is the same.

`cdktn` is the default. `cdktf` is taken where only it is installed, or where the program has imported it and not the other:
constructs of the two can't be in one tree.
"""

import importlib
import importlib.util
import os
import shutil
import sys
from typing import TYPE_CHECKING

__all__ = ["cdk"]

_NAMES = ("cdktn", "cdktf")


def _choose() -> str:
    """The name of the library. Raises ImportError where there is none, or nothing to run it with."""
    installed = [name for name in _NAMES if importlib.util.find_spec(name)]
    if not installed:
        raise ImportError("exclave_cdktn needs the library cdktn. Install it with: pip install 'exclave[cdktn]'")
    node = os.environ.get("JSII_NODE", "node")
    if not shutil.which(node):
        raise ImportError(
            f"exclave_cdktn needs Node.js (not npm), on which {installed[0]} runs, and there is no {node!r} on PATH. "
            "Install Node.js 22 or newer, or set JSII_NODE to its path."
        )
    return next((name for name in installed if name in sys.modules), installed[0])


if TYPE_CHECKING:
    import cdktn as cdk
else:
    cdk = importlib.import_module(_choose())
