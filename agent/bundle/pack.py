"""Pack a module into a bundle. The same source, engine and providers give the same digest, in any folder, at any time."""

from dataclasses import dataclass
from pathlib import Path

from agent.bundle.hcl import read_lock
from agent.bundle.manifest import (
    ENGINE_FOLDER,
    ENGINE_TYPE,
    PROVIDER_TYPE,
    SOURCE_TITLE,
    SOURCE_TYPE,
    BundleConfig,
    BundleEngine,
    LayerEntry,
    manifest_bytes,
)
from agent.bundle.module import ModuleInterface
from agent.bundle.platform import Platform
from agent.bundle.providers import ProviderPackage
from agent.bundle.vendored import vendored_files
from agent.bundle.zip import PackedFile, write_zip
from agent.bundle.zip_store import ZipStore
from agent.engine.find import Engine
from agent.oci.digest import digest_of, digest_of_file
from api.contract.components import EngineLayer
from api.contract.source_digest import source_files

UNDATED = "1980-01-01T00:00:00Z"
"""The creation time of a bundle whose source has none: a folder."""


@dataclass(frozen=True)
class Layer:
    """One layer with the file that has its content."""

    entry: LayerEntry
    path: Path


@dataclass(frozen=True)
class Bundle:
    """A bundle, ready to be pushed: first the layers and the config, then the manifest."""

    manifest: bytes
    config: BundleConfig
    layers: tuple[Layer, ...]

    @property
    def digest(self) -> str:
        """The digest of the manifest: the bundle's name everywhere."""
        return digest_of(self.manifest)

    @property
    def sizes(self) -> dict[str, int]:
        """The bytes of the manifest and of everything that it lists, by digest: bundles share what they have in common."""
        config = self.config.blob()
        layers = {layer.entry.digest: layer.entry.size for layer in self.layers}
        return {self.digest: len(self.manifest), digest_of(config): len(config)} | layers


@dataclass(frozen=True)
class Contents:
    """What goes into a bundle. `created` is RFC 3339 in UTC; `revision` the commit, or the folder's content hash."""

    source: Path
    interface: ModuleInterface
    providers: tuple[ProviderPackage, ...]
    engine: Engine
    bundle_engine: EngineLayer
    platform: Platform
    revision: str
    created: str = UNDATED


def pack(contents: Contents, folder: Path, store: ZipStore) -> Bundle:
    """Make the layers, the source's in `folder` and the shared ones in `store`, and the manifest. Blocks."""
    source = folder / SOURCE_TITLE
    # Stored, not deflated: the digest must not depend on which zlib this machine has.
    write_zip(source, _source_files(contents.source), "stored")
    layers = [_layer(SOURCE_TYPE, SOURCE_TITLE, source)]
    layers += [_layer(PROVIDER_TYPE, package.title, store.zip_of(package.files)) for package in contents.providers]
    engine = _bundle_engine(contents)
    if engine.file is not None:
        title = f"{ENGINE_FOLDER}/{engine.name}_{engine.version}_{contents.platform}.zip"
        file = PackedFile(engine.file, contents.engine.path.resolve(), executable=True)
        layers.append(_layer(ENGINE_TYPE, title, store.zip_of([file])))
    config = BundleConfig(
        engine=engine,
        platform=contents.platform,
        variables=contents.interface.variables,
        outputs=contents.interface.outputs,
        layers={layer.entry.title: layer.entry.digest for layer in layers},
        lock_hashes=read_lock(contents.source),
    )
    entries = tuple(layer.entry for layer in layers)
    manifest = manifest_bytes(config, entries, created=contents.created, revision=contents.revision)
    return Bundle(manifest, config, tuple(layers))


def engine_travels(engine: Engine, bundle_engine: EngineLayer) -> bool:
    """Whether the engine goes into the bundle: OpenTofu (MPL-2.0) by default, Terraform (BUSL-1.1) if the vendor says so."""
    return bundle_engine == "always" or (bundle_engine == "auto" and engine.name == "tofu")


def _bundle_engine(contents: Contents) -> BundleEngine:
    engine = contents.engine
    # Its name says what it is to whoever runs it: `.so` is the library, anything else a program.
    file = f"lib{engine.name}.so" if engine.kind == "library" else engine.name
    travels = engine_travels(engine, contents.bundle_engine)
    return BundleEngine(name=engine.name, version=engine.version, kind=engine.kind, file=file if travels else None)


def _source_files(source: Path) -> list[PackedFile]:
    files = [*source_files(str(source)), *vendored_files(source)]
    return [PackedFile(file.name, Path(file.path), file.executable) for file in files]


def _layer(media_type: str, title: str, path: Path) -> Layer:
    return Layer(LayerEntry(media_type, title, digest_of_file(path), path.stat().st_size), path)
