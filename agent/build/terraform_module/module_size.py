"""How large the modules from elsewhere may be that a bundle carries: they are as large as somebody else makes them."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from agent.build.byte_limit import byte_limit
from agent.build.materials import without_login
from agent.bundle.vendored import VendoredModule, vendored_files
from agent.failure import CodedError

MOST_BYTES = "EXCLAVE_MODULES_BYTES"
"""The variable that says how many bytes the modules of a bundle may have together."""

MOST_FILES = 20_000
"""Less than half of what an install agent unpacks from one archive."""

_MOST_BYTES = 512 * 1024**2


class ModulesTooLargeError(CodedError):
    """The modules that are called are too large together, or have too many files."""

    code = "modules_too_large"
    remedy = f"Call smaller modules, or (for bytes) raise {MOST_BYTES} in the build agent's environment."


def check_size(source: Path, modules: Iterable[VendoredModule], env: Mapping[str, str]) -> None:
    """Raises ModulesTooLargeError, which names the largest, LimitWrongError, and the errors of `vendored_files`."""
    most = byte_limit(env, MOST_BYTES, _MOST_BYTES)
    sizes = {source / file.name: Path(file.path).stat().st_size for file in vendored_files(source)}
    size = sum(sizes.values())
    if size <= most and len(sizes) <= MOST_FILES:
        return
    shares = {
        module.source: sum(size for path, size in sizes.items() if path.is_relative_to(module.folder)) for module in modules
    }
    largest = max(shares, key=shares.__getitem__, default="")
    raise ModulesTooLargeError(
        f"the modules that are called have {len(sizes)} files with {size} bytes together, and a bundle may have {MOST_FILES} "
        f"with {most}; the largest is {without_login(largest)} with {shares.get(largest, 0)} bytes"
    )
