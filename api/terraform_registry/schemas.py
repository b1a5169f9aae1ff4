"""What the registry answers, in Terraform's own words: the protocols `providers.v1`, `modules.v1` and the network mirror."""

from pydantic import ConfigDict, Field

from api.contract.base import Model


class Discovery(Model):
    """Which protocols this host speaks, and where each begins."""

    model_config = ConfigDict(extra="forbid", frozen=True, serialize_by_alias=True, validate_by_name=True)

    modules_v1: str = Field(alias="modules.v1", description="Where the module registry begins.")
    providers_v1: str = Field(alias="providers.v1", description="Where the provider registry begins.")


class Platform(Model):
    """What a package runs on."""

    os: str
    arch: str


class ProviderVersion(Model):
    """One version of the provider."""

    version: str
    protocols: list[str] = Field(description="The plugin protocols that it speaks.")
    platforms: list[Platform]


class ProviderVersions(Model):
    """Every version of the provider."""

    versions: list[ProviderVersion]


class SigningKey(Model):
    """An OpenPGP key that signs checksums."""

    key_id: str
    ascii_armor: str


class SigningKeys(Model):
    """The keys of which any may have signed."""

    gpg_public_keys: list[SigningKey]


class ProviderDownload(Model):
    """Where one package of the provider is, and how to know that it is the right one. Addresses are relative to this answer."""

    protocols: list[str]
    os: str
    arch: str
    filename: str
    download_url: str
    shasums_url: str
    shasums_signature_url: str
    shasum: str
    signing_keys: SigningKeys


class ModuleVersion(Model):
    """One version of a module."""

    version: str


class ModuleVersionList(Model):
    """Every version of one module."""

    versions: list[ModuleVersion]


class ModuleVersions(Model):
    """What the protocol asks for: a list of one."""

    modules: list[ModuleVersionList]


class NoProperties(Model):
    """Nothing is said of a version but that it is there."""


class MirrorIndex(Model):
    """The versions in the mirror, as the keys of an object."""

    versions: dict[str, NoProperties]


class MirrorArchive(Model):
    """One package. Its address is relative to this answer."""

    url: str
    hashes: list[str] = Field(description="`h1:` of the content, `zh:` of the zip.")


class MirrorVersion(Model):
    """The packages of one version, by platform."""

    archives: dict[str, MirrorArchive]
