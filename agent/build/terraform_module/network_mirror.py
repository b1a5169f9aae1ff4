"""Packages from a provider network mirror: https://developer.hashicorp.com/terraform/internals/provider-network-mirror-protocol."""

import asyncio
from pathlib import Path
from urllib.parse import urljoin

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from agent.build.materials import without_login
from agent.bundle.platform import Platform
from agent.bundle.providers import ProviderMissingError

_SECONDS = 60.0
_INDEX_BYTES = 1024 * 1024
_MOST_BYTES = 2 * 1024**3


class _Archive(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    url: str


class _Version(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    archives: dict[str, _Archive]


async def download_package(
    http: httpx.AsyncClient, mirror: str, address: str, version: str, platform: Platform, into: Path
) -> Path | None:
    """The zip of the provider in the folder `into`, or None if this mirror has none for it. Raises ProviderMissingError."""
    base = urljoin(mirror.rstrip("/") + "/", f"{address}/{version}.json")
    try:
        answer = await http.get(base, timeout=_SECONDS, follow_redirects=True)
        if answer.status_code == 404:
            return None
        answer.raise_for_status()
        found = _Version.model_validate_json(answer.content[:_INDEX_BYTES]).archives.get(str(platform))
        if found is None:
            return None
        target = into / "package.zip"
        await _download(http, urljoin(base, found.url), target)
        return target
    except (httpx.HTTPError, httpx.InvalidURL, ValidationError, ValueError) as error:
        raise ProviderMissingError(
            f"{address} {version} for {platform} can't be had of {without_login(mirror)}: {type(error).__name__}",
            remedy="Check the network mirror that the CLI configuration of the build agent's machine names.",
        ) from None


async def _download(http: httpx.AsyncClient, url: str, target: Path) -> None:
    size = 0
    async with http.stream("GET", url, timeout=_SECONDS, follow_redirects=True) as answer:
        answer.raise_for_status()
        with target.open("wb") as file:
            async for chunk in answer.aiter_bytes():
                size += len(chunk)
                if size > _MOST_BYTES:
                    raise ValueError(f"more than {_MOST_BYTES} bytes")
                await asyncio.to_thread(file.write, chunk)
