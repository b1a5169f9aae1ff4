"""What went into a build, for its provenance and its SBOM (`agent.oci.provenance`)."""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import quote

from agent.build.image_reference import ImageNameError, ImageReference
from agent.oci.digest import hex_of
from agent.oci.provenance import BuildRecord, Material
from api.contract.agents import BuildJob
from api.contract.base import Json
from api.contract.components import GitSource, PathSource, Source

BUILDER = "https://exclave.dev/build-agent/v1"
"""What made it. Whose agent that was is said by the key that signs."""

_USER_INFO = re.compile(r"(?<=://)[^/@\s\"]+@")


def without_login(text: str) -> str:
    """The text without the user names and passwords of URLs."""
    return _USER_INFO.sub("", text)


def image_material(name: str, digest: str) -> Material:
    """An image as a component or a Dockerfile names it, and what that name stood for."""
    try:
        image = ImageReference.parse(name)
    except ImageNameError:
        return Material(name, kind="container", sha256=hex_of(digest))
    last, whole = image.repository.rpartition("/")[2], f"{image.host}/{image.repository}"
    purl = f"pkg:oci/{last}@{quote(digest, safe='')}?repository_url={quote(whole, safe='')}"
    return Material(
        name, "" if image.pinned else image.reference, "container", purl, hex_of(digest), f"https://{whole}@{digest}"
    )


def image_materials(images: Mapping[str, str]) -> tuple[Material, ...]:
    """The same for the map of an artifact's images."""
    return tuple(image_material(name, digest) for name, digest in sorted(images.items()))


def record_of(
    job: BuildJob, revision: str, materials: tuple[Material, ...], started: datetime, finished: datetime
) -> BuildRecord:
    """The build, as its provenance tells it. Customers read that: it has no user name or password of any URL."""
    parameters: dict[str, Json] = json.loads(without_login(job.config.model_dump_json(exclude_none=True)))
    source = getattr(job.config, "source", None)
    return BuildRecord(
        build_id=job.build_id,
        name=job.registry.repository,
        builder=BUILDER,
        kind=job.config.kind,
        parameters=parameters,
        source=_where(source) if isinstance(source, Source) else "",
        revision=revision,
        started=started,
        finished=finished,
        materials=materials,
    )


def _where(source: Source) -> str:
    match source.git, source.path:
        case GitSource(url=url), _:
            return "git+" + without_login(url)
        case _, PathSource(path=path):
            return "file:" + quote(path.rstrip("/").rpartition("/")[2])
    return ""
