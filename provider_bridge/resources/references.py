"""The form of references in a component's texts, checked without the IMS.

The same grammar as `api.contract.references`, which the provider's process must not load; a test holds the two together.
"""

import re

INSTALL_FIELDS = ("id", "name", "platform", "region")
IMAGE_FIELDS = ("repository", "tag", "digest")

_BRACES = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_NAME = r"[A-Za-z0-9_-]+"
_REFERENCE = re.compile(
    rf"(inputs|secrets)\.{_NAME}|install\.({'|'.join(INSTALL_FIELDS)})|components\.{_NAME}\.outputs\.{_NAME}"
    rf"|components\.{_NAME}\.image\.({'|'.join(IMAGE_FIELDS)})"
)

ALLOWED = (
    "`{{ inputs.NAME }}`, `{{ secrets.NAME }}`, `{{ install.id }}` (or `.name`, `.platform`, `.region`), "
    "`{{ components.NAME.outputs.NAME }}` and `{{ components.NAME.image.repository }}` (or `.tag`, `.digest`)"
)


def malformed(text: str) -> list[str]:
    """The references in `text` that can't be read, as written."""
    return [match[0] for match in _BRACES.finditer(text) if not _REFERENCE.fullmatch(match[1].strip())]
