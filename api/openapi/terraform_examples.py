"""Examples of what Terraform is answered: of the provider and of one module, in one version."""

from api.contract.base import Model
from api.terraform_registry.schemas import (
    Discovery,
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

_FILE = "terraform-provider-exclave_0.1.0_linux_amd64.zip"
_SHA256 = "9e" * 32

TERRAFORM_ANSWERS: list[Model] = [
    Discovery(modules_v1="/terraform/modules/v1/", providers_v1="/terraform/providers/v1/"),
    ProviderVersions(
        versions=[ProviderVersion(version="0.1.0", protocols=["6.0"], platforms=[Platform(os="linux", arch="amd64")])]
    ),
    ProviderDownload(
        protocols=["6.0"],
        os="linux",
        arch="amd64",
        filename=_FILE,
        download_url=f"/terraform/files/{_FILE}",
        shasums_url="../../SHA256SUMS",
        shasums_signature_url="../../SHA256SUMS.sig",
        shasum=_SHA256,
        signing_keys=SigningKeys(
            gpg_public_keys=[SigningKey(key_id="51852D87348FFC4C", ascii_armor="-----BEGIN PGP PUBLIC KEY BLOCK-----\n…")]
        ),
    ),
    ModuleVersions(modules=[ModuleVersionList(versions=[ModuleVersion(version="0.1.0")])]),
    MirrorIndex(versions={"0.1.0": NoProperties()}),
    MirrorVersion(
        archives={"linux_amd64": MirrorArchive(url=f"/terraform/files/{_FILE}", hashes=["h1:nt3N…=", f"zh:{_SHA256}"])}
    ),
]
