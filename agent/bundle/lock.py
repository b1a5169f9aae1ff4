"""The hashes of a module's lock file, and how they are made: https://developer.hashicorp.com/terraform/language/files/dependency-lock.

`h1:` is of a package's files, however they are packed; `zh:` of the zip as its registry has it.
"""

import base64
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from agent.bundle.hcl import LOCK_FILE
from agent.bundle.zip import PackedFile
from agent.oci.digest import digest_of_file, hex_of

_HASHES = r'(provider "{address}" \{{.*?^  hashes = \[\n)(.*?)(^  \])'


def files_hash(files: Iterable[PackedFile]) -> str:
    """The `h1:` of a package: Hash1 of golang.org/x/mod/sumdb/dirhash. Blocks."""
    lines = [
        f"{hex_of(digest_of_file(file.path))}  {file.name}\n" for file in sorted(files, key=lambda each: each.name.encode())
    ]
    return "h1:" + base64.b64encode(hashlib.sha256("".join(lines).encode()).digest()).decode()


def zip_hash(archive: Path) -> str:
    """The `zh:` of a zip. Blocks."""
    return "zh:" + hex_of(digest_of_file(archive))


def add_hash(folder: Path, address: str, added: str) -> None:
    """Add a hash of a provider to the lock file in `folder`, as the engine would: it has the provider already. Blocks."""
    file = folder / LOCK_FILE

    def with_it(found: re.Match[str]) -> str:
        lines = {*found[2].splitlines(), f'    "{added}",'}
        return found[1] + "".join(f"{line}\n" for line in sorted(lines)) + found[3]

    pattern = re.compile(_HASHES.format(address=re.escape(address)), re.DOTALL | re.MULTILINE)
    file.write_text(pattern.sub(with_it, file.read_text(), count=1))
