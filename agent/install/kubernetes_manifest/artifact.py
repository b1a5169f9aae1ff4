"""Manifests out of the customer's registry: verified, every byte against its digest."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from agent.artifact.manifest import KUBERNETES_ARTIFACT, KUBERNETES_CONFIG, MANIFESTS_TYPE, ManifestsConfig
from agent.build.archive import read_tar
from agent.failure import CodedError
from agent.install.site import Site
from agent.oci.manifest import MANIFEST_BYTES
from agent.oci.signature import verify
from api.contract.agents import DeployJob

_MOST_BYTES = 64 * 1024 * 1024


class NotManifestsError(CodedError):
    """The artifact isn't one of manifests, or one of a version that this agent doesn't know."""

    code = "not_manifests"
    remedy = "Build the component again; if that doesn't help, bring this agent to the build agent's version."


@dataclass(frozen=True)
class FetchedManifests:
    """The files by name. `repository` is where the artifact's images are: `registry.example.com/shop/web`."""

    config: ManifestsConfig
    files: Mapping[str, bytes]
    repository: str


async def fetch_manifests(job: DeployJob, site: Site) -> FetchedManifests:
    """The job's manifests. Raises SignatureError, NotManifestsError, UnsafeArchiveError, and the errors of RegistryClient."""
    registry = await site.registry.client()
    path = site.registry.repository(job.repository)
    await verify(registry, path, job.digest, site.vendor_keys)
    index = (await registry.get_manifest(path, job.digest)).body()
    if index.artifact_type != KUBERNETES_ARTIFACT or not index.manifests:
        raise NotManifestsError(f"{path}@{job.digest} is not of manifests, but {index.artifact_type or 'something else'}")
    head = (await registry.get_manifest(path, index.manifests[0].digest)).body()
    if head.config is None or head.config.media_type != KUBERNETES_CONFIG or head.config.size > MANIFEST_BYTES:
        raise NotManifestsError(f"{path}@{job.digest} has no config that can be read")
    try:
        config = ManifestsConfig.model_validate_json(await registry.read_blob(path, head.config.digest, head.config.size))
    except ValidationError as error:
        raise NotManifestsError(f"the manifests' config can't be read: {error.errors()[0]['msg']}") from None
    layers = [layer for layer in head.layers if layer.media_type == MANIFESTS_TYPE]
    if len(layers) != 1 or layers[0].size > _MOST_BYTES:
        raise NotManifestsError(f"{path}@{job.digest} has {len(layers)} layers of manifests, or one that is too large")
    files = read_tar(await registry.read_blob(path, layers[0].digest, layers[0].size))
    if sorted(files) != sorted(config.files):
        raise NotManifestsError("the manifests' config names other files than there are")
    return FetchedManifests(config, files, f"{registry.url.netloc.decode()}/{path}")
