"""The values in Secrets, which no log, plan or result may show."""

import base64
import binascii
from collections.abc import Iterable, Iterator

from agent.kubernetes.objects import Obj
from api.contract.base import Json


def secret_values(objects: Iterable[Obj | None]) -> Iterator[Json]:
    """Every value of the Secrets among the objects: in base64, and as text where it is one."""
    for obj in objects:
        if obj is None or obj.get("kind") != "Secret" or obj.get("apiVersion") != "v1":
            continue
        for value in (obj.get("data") or {}).values():
            yield value
            try:
                yield base64.b64decode(str(value), validate=True).decode()
            except (binascii.Error, UnicodeDecodeError):
                continue
