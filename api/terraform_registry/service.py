"""What the registry knows of its packages, in the words of Terraform's protocols. Reads files: call it on a thread."""

from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

from api.contract.problems import NotFoundError
from api.terraform_registry.filling import Filler
from api.terraform_registry.openpgp import PackageKey
from api.terraform_registry.packages import NAMESPACE, PROVIDER, ModulePackage, Packages, ProviderPackage
from api.terraform_registry.schemas import (
    MirrorArchive,
    MirrorIndex,
    MirrorVersion,
    ModuleVersion,
    ModuleVersionList,
    ModuleVersions,
    NoProperties,
    Platform,
    ProviderDownload,
    ProviderVersion,
    ProviderVersions,
    SigningKey,
    SigningKeys,
)

PROTOCOLS = ["6.0"]
FILES = "/terraform/files"
"""Where the packages themselves are: below the address of the IMS, whatever that is."""


class TerraformRegistry:
    """The registry of one IMS. Its key is made when it is needed first; raises UnusableDataError for a file that holds none."""

    def __init__(self, folder: Path, key_file: Path) -> None:
        self.packages = Packages(folder)
        self.filler = Filler(self.packages)
        self._key_file = key_file
        self._key = PackageKey.open(key_file) if key_file.exists() else None
        self._opening = Lock()

    def provider_versions(self, namespace: str, name: str) -> ProviderVersions:
        """Raises NotFoundError for any provider but ours."""
        versions: dict[str, list[Platform]] = {}
        for one in self._providers(namespace, name):
            versions.setdefault(one.version, []).append(Platform(os=one.os, arch=one.arch))
        return ProviderVersions(
            versions=[ProviderVersion(version=name, protocols=PROTOCOLS, platforms=some) for name, some in versions.items()]
        )

    def provider_download(self, namespace: str, name: str, version: str, platform: str) -> ProviderDownload:
        """Raises NotFoundError."""
        some = self._providers(namespace, name, version)
        one = next((one for one in some if one.platform == platform), None)
        if one is None:
            raise NotFoundError(
                f"there is no package of the provider {version} for {platform} here, only for "
                + ", ".join(other.platform for other in some),
                remedy=f"Make it in the folder that is served: `exclave provider package --platform {platform} --output …`.",
            )
        key = self._signing_key()
        sums = "../../SHA256SUMS"
        return ProviderDownload(
            protocols=PROTOCOLS,
            os=one.os,
            arch=one.arch,
            filename=one.path.name,
            download_url=f"{FILES}/{one.path.name}",
            shasums_url=sums,
            shasums_signature_url=f"{sums}.sig",
            shasum=self.packages.sha256(one.path),
            signing_keys=SigningKeys(gpg_public_keys=[SigningKey(key_id=key.key_id, ascii_armor=key.public)]),
        )

    def sums(self, namespace: str, name: str, version: str) -> bytes:
        """`SHA256SUMS`. Raises NotFoundError."""
        self._providers(namespace, name, version)
        return self.packages.sums_file(version)

    def signature(self, namespace: str, name: str, version: str) -> bytes:
        """The signature of `SHA256SUMS`. Raises NotFoundError."""
        return self._signing_key().sign(self.sums(namespace, name, version), datetime.now(UTC))

    def mirror_index(self, namespace: str, name: str) -> MirrorIndex:
        """Raises NotFoundError for any provider but ours: Terraform then takes it from elsewhere, if its settings say so."""
        return MirrorIndex(versions={one.version: NoProperties() for one in self._providers(namespace, name)})

    def mirror_version(self, namespace: str, name: str, version: str) -> MirrorVersion:
        """Raises NotFoundError."""
        archives = {}
        for one in self._providers(namespace, name, version):
            hashes = [self.packages.h1(one.path), f"zh:{self.packages.sha256(one.path)}"]
            archives[one.platform] = MirrorArchive(url=f"{FILES}/{one.path.name}", hashes=hashes)
        return MirrorVersion(archives=archives)

    def module_versions(self, namespace: str, name: str, system: str) -> ModuleVersions:
        """Raises NotFoundError."""
        found = [ModuleVersion(version=one.version) for one in self._modules(namespace, name, system)]
        return ModuleVersions(modules=[ModuleVersionList(versions=found)])

    def module_url(self, namespace: str, name: str, system: str, version: str) -> str:
        """Where a module's zip is. Raises NotFoundError."""
        for one in self._modules(namespace, name, system):
            if one.version == version:
                return f"{FILES}/{one.path.name}"
        raise NotFoundError(f"there is no version {version} of the module {name}/{system} here")

    def file(self, name: str) -> Path:
        """A package. Raises NotFoundError."""
        path = self.packages.file(name)
        if path is None:
            raise NotFoundError(f"there is no package {name!r} here")
        return path

    def _providers(self, namespace: str, name: str, version: str | None = None) -> list[ProviderPackage]:
        if (namespace, name) != (NAMESPACE, PROVIDER):
            raise NotFoundError(f"there is no provider {namespace}/{name} here, only {NAMESPACE}/{PROVIDER}")
        found = self.packages.providers(version)
        if not found:
            raise NotFoundError(f"there is no package of the provider{f' {version}' if version else ''} here")
        return found

    def _modules(self, namespace: str, name: str, system: str) -> list[ModulePackage]:
        found = self.packages.modules(name, system) if namespace == NAMESPACE else []
        if not found:
            raise NotFoundError(f"there is no module {namespace}/{name}/{system} here")
        return found

    def _signing_key(self) -> PackageKey:
        with self._opening:
            if self._key is None:
                self._key = PackageKey.open(self._key_file)
            return self._key
