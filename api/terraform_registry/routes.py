"""Terraform's registry and network-mirror protocols: how `terraform init` gets the provider and the modules.

Public, as the provider's source code is: Terraform sends no token for checksums, signatures and packages.
"""

import asyncio
from collections.abc import Callable
from typing import Annotated, Concatenate, ParamSpec, TypeVar

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import FileResponse

from api.terraform_registry.schemas import (
    Discovery,
    MirrorIndex,
    MirrorVersion,
    ModuleVersions,
    ProviderDownload,
    ProviderVersions,
)
from api.terraform_registry.service import TerraformRegistry

P = ParamSpec("P")
R = TypeVar("R")

router = APIRouter(tags=["terraform registry"])
_PROVIDERS = "/terraform/providers/v1"
_MODULES = "/terraform/modules/v1"
_PROVIDER = _PROVIDERS + "/{namespace}/{name}"
_MODULE = _MODULES + "/{namespace}/{name}/{system}"
_MIRROR = "/terraform/mirror/{host}/{namespace}/{name}"


async def _registry(request: Request) -> TerraformRegistry:
    found: TerraformRegistry = request.app.state.terraform_registry
    return found


Registry = Annotated[TerraformRegistry, Depends(_registry)]


async def _ask(
    registry: TerraformRegistry, question: Callable[Concatenate[TerraformRegistry, P], R], *args: P.args, **kwargs: P.kwargs
) -> R:
    await registry.filler.filled()
    return await asyncio.to_thread(question, registry, *args, **kwargs)


@router.get("/.well-known/terraform.json")
async def terraform_services() -> Discovery:
    """Where Terraform finds the registries of this host; needs no token."""
    return Discovery(modules_v1=f"{_MODULES}/", providers_v1=f"{_PROVIDERS}/")


@router.get(_PROVIDER + "/versions")
async def list_provider_versions(namespace: str, name: str, registry: Registry) -> ProviderVersions:
    """The versions of the provider, with their platforms; needs no token."""
    return await _ask(registry, TerraformRegistry.provider_versions, namespace, name)


@router.get(_PROVIDER + "/{version}/download/{os}/{arch}")
async def find_provider_package(
    namespace: str, name: str, version: str, os: str, arch: str, registry: Registry
) -> ProviderDownload:
    """Where the provider's package for one platform is, and which key signs it; needs no token."""
    return await _ask(registry, TerraformRegistry.provider_download, namespace, name, version, f"{os}_{arch}")


@router.get(_PROVIDER + "/{version}/SHA256SUMS", response_class=Response)
async def get_provider_checksums(namespace: str, name: str, version: str, registry: Registry) -> Response:
    """The checksums of a version's packages, as `sha256sum` writes them; needs no token."""
    return Response(await _ask(registry, TerraformRegistry.sums, namespace, name, version), media_type="text/plain")


@router.get(_PROVIDER + "/{version}/SHA256SUMS.sig", response_class=Response)
async def get_provider_signature(namespace: str, name: str, version: str, registry: Registry) -> Response:
    """The OpenPGP signature of the checksums; needs no token."""
    signature = await _ask(registry, TerraformRegistry.signature, namespace, name, version)
    return Response(signature, media_type="application/octet-stream")


@router.get(_MODULE + "/versions")
async def list_module_versions(namespace: str, name: str, system: str, registry: Registry) -> ModuleVersions:
    """The versions of a module; needs no token."""
    return await _ask(registry, TerraformRegistry.module_versions, namespace, name, system)


@router.get(_MODULE + "/{version}/download", status_code=204, response_class=Response)
async def find_module_package(namespace: str, name: str, system: str, version: str, registry: Registry) -> Response:
    """Where a module's package is: in the header `X-Terraform-Get`; needs no token."""
    url = await _ask(registry, TerraformRegistry.module_url, namespace, name, system, version)
    return Response(status_code=204, headers={"X-Terraform-Get": url})


@router.get(_MIRROR + "/index.json")
async def list_mirrored_versions(host: str, namespace: str, name: str, registry: Registry) -> MirrorIndex:
    """The versions of the provider in this mirror, for whichever host it is taken from; needs no token."""
    return await _ask(registry, TerraformRegistry.mirror_index, namespace, name)


@router.get(_MIRROR + "/{version}.json")
async def list_mirrored_packages(host: str, namespace: str, name: str, version: str, registry: Registry) -> MirrorVersion:
    """The packages of one version in this mirror; needs no token."""
    return await _ask(registry, TerraformRegistry.mirror_version, namespace, name, version)


@router.get("/terraform/files/{file}", response_class=FileResponse)
async def get_terraform_package(file: str, registry: Registry) -> FileResponse:
    """A package of the provider or of a module: a zip; needs no token."""
    return FileResponse(await _ask(registry, TerraformRegistry.file, file), media_type="application/zip")
