"""The releases that helm keeps in its namespace, as Secrets: read, and a release that a killed helm left is put in order.

Helm's storage (pkg/storage/driver of helm 3 and 4): the Secret `sh.helm.release.v1.<name>.v<revision>`, whose `release` is
JSON, gzipped and in base64, once more in base64 as every Secret; its labels say the same as the JSON, for looking it up.
"""

import base64
import binascii
import gzip
import json
import zlib
from dataclasses import dataclass
from typing import Any

from agent.failure import CodedError
from agent.install.helm_chart.rendering import Document, Rendering, read_documents
from agent.kubernetes.client import KubernetesClient
from agent.kubernetes.objects import Obj

_MOST_BYTES = 64 * 1024 * 1024
UNFINISHED = ("pending-install", "pending-upgrade", "pending-rollback", "uninstalling")
"""A helm is at work, or was killed at it. Holding the workspace's lock, the agent knows that it was."""

PLAN_LABEL = "exclave-plan"
_MANAGER = "exclave"
_DESCRIPTION = "the agent was stopped in the middle"


class ReleaseUnreadableError(CodedError):
    """What the cluster keeps of a release can't be read."""

    code = "release_unreadable"
    remedy = "Look at the release with `helm history`; remove it with `helm uninstall` if nothing else helps."


@dataclass(frozen=True)
class StoredRelease:
    """One revision. `secret` is the whole object that keeps it."""

    secret: Obj
    document: dict[str, Any]

    @property
    def revision(self) -> int:
        """Counts the installs, upgrades and rollbacks, from 1."""
        return int(self.document["version"])

    @property
    def status(self) -> str:
        """Helm's word for it: `deployed`, `failed`, `superseded`, `pending-upgrade` or another."""
        return str(self.document["info"]["status"])

    @property
    def description(self) -> str:
        """What helm was told, or says itself."""
        return str(self.document["info"].get("description", ""))

    @property
    def rendering(self) -> Rendering:
        """What was rendered for it."""
        hooks = [Document(str(each["path"]), str(each["manifest"])) for each in self.document.get("hooks") or []]
        return Rendering((*read_documents(str(self.document.get("manifest") or "")), *hooks))

    @property
    def plan(self) -> str:
        """What this agent has labelled the revision with, when it made it; else empty."""
        return str((self.secret["metadata"].get("labels") or {}).get(PLAN_LABEL, ""))

    def as_failed(self) -> Obj:
        """What has to be applied to the Secret so that the revision is one that failed, which helm then goes on from."""
        document = {**self.document, "info": {**self.document["info"], "status": "failed", "description": _DESCRIPTION}}
        packed = base64.b64encode(gzip.compress(json.dumps(document).encode()))
        metadata = self.secret["metadata"]
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                "resourceVersion": metadata["resourceVersion"],
                "labels": {"status": "failed"},
            },
            "data": {"release": base64.b64encode(packed).decode()},
        }


async def stored_releases(client: KubernetesClient, release: str, namespace: str) -> list[StoredRelease]:
    """All revisions that the cluster keeps of a release, the newest first. Raises ReleaseUnreadableError."""
    secrets = await client.list("v1", "Secret", namespace, labels=f"owner=helm,name={release}")
    return sorted((read_release(each) for each in secrets), key=lambda each: each.revision, reverse=True)


async def put_in_order(client: KubernetesClient, last: StoredRelease | None) -> StoredRelease | None:
    """The revision, as one that failed if a helm was killed at it: helm refuses to go on from an unfinished one."""
    if last is None or last.status not in UNFINISHED:
        return last
    return read_release(await client.apply(last.as_failed(), _MANAGER, force=True))


def read_release(secret: Obj) -> StoredRelease:
    """The revision that a Secret keeps. Raises ReleaseUnreadableError."""
    try:
        packed = base64.b64decode(base64.b64decode(secret["data"]["release"]))
        unpack = zlib.decompressobj(wbits=31)
        text = unpack.decompress(packed, _MOST_BYTES)
        document = json.loads(text)
        release = StoredRelease(secret, document)
        _ = release.revision, release.status
    except (KeyError, TypeError, ValueError, binascii.Error, zlib.error) as error:
        name = (secret.get("metadata") or {}).get("name")
        raise ReleaseUnreadableError(f"the Secret {name} keeps no release that can be read ({type(error).__name__})") from None
    return release
