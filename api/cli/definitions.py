"""What an IMS holds, as Terraform's definition of it: a resource and an import block for each object.

The definition changes nothing when it is applied: what Terraform would do more than import is left out, and said.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from api.cli.hcl import Attribute, Block, Comment, Expression, as_map_of_strings, as_string, document, identifier, quoted
from api.contract.base import Model
from api.contract.components import Component, ComponentConfig, ContainerImageConfig, Source
from api.contract.inputs import InputSpec
from api.contract.resources import App, Deploy, Install, InstallCreate, Release

_WRITTEN_APART = ("app_id", "name", "labels", "inputs", "sensitive_inputs")
"""Fields of an install that are more than a value to write."""


@dataclass(frozen=True)
class Holdings:
    """One app with all that belongs to it. `releases` are its own, oldest first; `newest` is each install's newest deploy."""

    app: App
    components: list[Component]
    releases: list[Release]
    installs: list[Install]
    newest: Mapping[str, Deploy]


@dataclass(frozen=True)
class LeftOut:
    """Something that isn't in the definition, and why."""

    what: str
    why: str


@dataclass
class Definition:
    """The files by name, the addresses that they import, and what they lack."""

    files: dict[str, str] = field(default_factory=dict)
    imported: dict[str, str] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)


def define(holdings: list[Holdings], folder: Path) -> Definition:
    """The definition of these apps for a root module in `folder`. The same holdings give the same text."""
    writer = _Writer(holdings, folder.absolute())
    found = Definition()
    for one in sorted(holdings, key=lambda each: each.app.name):
        found.files[f"{one.app.name}.tf"] = document(writer.app(one))
    found.files["imports.tf"] = document(writer.imports())
    if writer.variables:
        found.files["variables.tf"] = document(writer.variables)
    found.files["versions.tf"] = _VERSIONS
    found.imported = writer.imported
    found.left_out = writer.left_out
    return found


_VERSIONS = """\
terraform {
  required_version = ">= 1.8"

  required_providers {
    exclave = {
      source = "exclave/exclave"
    }
  }
}

# The address and the token come from EXCLAVE_URL and EXCLAVE_TOKEN_FILE.
provider "exclave" {}
"""


class _Writer:
    """Gives out names, and keeps what the files share."""

    def __init__(self, holdings: list[Holdings], folder: Path) -> None:
        self.folder = folder
        self.imported: dict[str, str] = {}
        self.variables: list[Block] = []
        self.left_out: list[LeftOut] = []
        names = [component.name for one in holdings for component in one.components]
        self._shared = {name for name in names if names.count(name) > 1}

    def app(self, of: Holdings) -> Iterator[Block | Comment]:
        """Everything of one app, in the order in which a reader wants it."""
        app = of.app
        address = self._address("exclave_app", app.name, app.name)
        app_id = Expression(f"{address}.id")
        body = [Attribute("name", app.name), *_unless("description", app.description, "")]
        if app.labels:
            body.append(Attribute("labels", dict(sorted(app.labels.items()))))
        if app.inputs:
            body.append(Attribute("inputs", {spec.name: _input(spec) for spec in sorted(app.inputs, key=lambda one: one.name)}))
        yield _resource(address, body)
        versions: dict[str, tuple[int, Expression]] = {}
        for component in sorted(of.components, key=lambda one: one.name):
            for item in self._component(app, app_id, component):
                if isinstance(item, Block):
                    versions[component.name] = (component.version, Expression(f"{item.labels[0]}.{item.labels[1]}.version"))
                yield item
        releases: dict[str, str] = {}
        written = self._releases(of)
        for release in written:
            # Only a change of the newest makes the next one.
            known = versions if release is written[-1] else {}
            address = self._address("exclave_release", f"{app.name}_{release.number}", f"{app.name}/{release.number}")
            releases[release.id] = address
            yield _resource(address, [Attribute("app_id", app_id), Attribute("components", _versions(release, known))])
        for install in sorted(of.installs, key=lambda one: one.name):
            yield from self._install(of, app_id, install, releases)

    def imports(self) -> Iterator[Block | Comment]:
        """The import blocks, in the order in which the resources were written."""
        yield Comment("Delete this file once it has been applied: by then everything is in Terraform's state.")
        for address, import_id in self.imported.items():
            yield Block("import", (), (Attribute("to", Expression(address)), Attribute("id", import_id)))

    def _component(self, app: App, app_id: Expression, component: Component) -> Iterator[Block | Comment]:
        wanted = f"{app.name}_{component.name}" if component.name in self._shared else component.name
        address = self._address(f"exclave_{component.kind}_component", wanted, f"{app.name}/{component.name}")
        source: Source | None = getattr(component.config, "source", None)
        path = source.path if source else None
        if path and not Path(path.path).is_dir():
            yield Comment(f"There is no folder {path.path} on this machine: put it there, or correct the path.")
        elif path and not path.digest:
            yield Comment("It was defined without its folder's digest: the first apply records that, as a new version.")
        attributes, blocks = self._config(component.config)
        yield _resource(address, [Attribute("app_id", app_id), Attribute("name", component.name), *attributes, *blocks])

    def _config(self, config: ComponentConfig) -> tuple[list[Attribute], list[Block]]:
        """What a config says beside its defaults. Its source, and where an image is, are blocks."""
        attributes: list[Attribute] = []
        blocks: list[Block] = []
        for name, declared in type(config).model_fields.items():
            value = getattr(config, name)
            if isinstance(value, Source):
                blocks.append(self._source(value))
            elif isinstance(value, Model) and isinstance(config, ContainerImageConfig):
                blocks.append(_block(name, _given(value)))
            elif isinstance(value, Model):
                attributes.append(Attribute(name, _given(value)))
            elif name != "kind" and value != declared.get_default(call_default_factory=True, validated_data={}):
                attributes.append(Attribute(name, value))
        return attributes, blocks

    def _source(self, source: Source) -> Block:
        if source.git:
            return _block("git", _given(source.git))
        assert source.path
        path = source.path.path
        try:
            inside = Path(path).relative_to(self.folder).as_posix()
        except ValueError:
            return _block("path", {"path": path})
        return _block(
            "path", {"path": Expression(f'"${{path.module}}/{quoted(inside)[1:]}' if inside != "." else "path.module")}
        )

    def _releases(self, of: Holdings) -> list[Release]:
        """The newest release that is ready, and those that installs run: another one would be made anew by an apply."""
        running = {deploy.release_id for deploy in of.newest.values()}
        ready = [release for release in of.releases if release.status == "ready"]
        return [release for release in ready if release is ready[-1] or release.id in running]

    def _install(
        self, of: Holdings, app_id: Expression, install: Install, releases: Mapping[str, str]
    ) -> Iterator[Block | Comment]:
        address = self._address("exclave_install", install.name, install.name)
        body: list[Attribute | Block | Comment] = [Attribute("app_id", app_id), Attribute("name", install.name)]
        for name, declared in InstallCreate.model_fields.items():
            if name not in _WRITTEN_APART:
                body += _unless(name, getattr(install, name), declared.default)
        if install.labels:
            body.append(Attribute("labels", dict(sorted(install.labels.items()))))
        if install.inputs:
            body.append(Attribute("inputs", as_map_of_strings(dict(sorted(install.inputs.items())))))
        if install.sensitive_fingerprints:
            body += self._sensitive_inputs(install)
        yield _resource(address, body)
        yield from self._deployment(of, install, address, releases)

    def _sensitive_inputs(self, install: Install) -> list[Attribute | Comment]:
        """A variable for the values, which nobody can read back."""
        names = ", ".join(sorted(install.sensitive_fingerprints))
        variable = f"{identifier(install.name)}_sensitive_inputs"
        about = f"The sensitive inputs of the install {install.name}: {names}. Null: those that the IMS has stored stay."
        self.variables.append(
            Block(
                "variable",
                (variable,),
                (
                    Attribute("description", about),
                    Attribute("type", Expression("map(string)")),
                    Attribute("default", None),
                    Attribute("sensitive", True),
                ),
            )
        )
        return [
            Comment(f"Stored in the IMS, which never gives them back: {names}. Set the variable to manage them from here."),
            Attribute("sensitive_inputs", Expression(f"var.{variable}")),
        ]

    def _deployment(
        self, of: Holdings, install: Install, install_address: str, releases: Mapping[str, str]
    ) -> Iterator[Block | Comment]:
        deploy = of.newest.get(install.id)
        what = f"deployment to install {install.name}"
        if deploy is None or (deploy.kind == "teardown" and deploy.status == "succeeded"):
            return
        release = releases.get(deploy.release_id or "")
        if deploy.kind == "teardown" or deploy.status != "succeeded" or release is None:
            yield self._leave_out(what, f"its newest {deploy.kind} ({deploy.id}) is {deploy.status}: an apply would deploy")
            return
        address = self._address("exclave_deployment", install.name, install.name)
        newest = deploy.inputs_version == install.inputs_version
        version = Expression(f"{install_address}.inputs_version") if newest else deploy.inputs_version
        if not newest:
            yield Comment(f"The inputs have changed since (version {install.inputs_version}), and are not deployed yet.")
        yield _resource(
            address,
            [
                Attribute("install_id", Expression(f"{install_address}.id")),
                Attribute("release_id", Expression(f"{release}.id")),
                Attribute("inputs_version", version),
            ],
        )

    def _leave_out(self, what: str, why: str) -> Comment:
        self.left_out.append(LeftOut(what, why))
        return Comment(f"Not here: {what}. {why[0].upper()}{why[1:]}.", alone=True)

    def _address(self, kind: str, wanted: str, import_id: str) -> str:
        """A free address, which is imported by this id."""
        name, number = identifier(wanted), 1
        while f"{kind}.{name}" in self.imported:
            number += 1
            name = f"{identifier(wanted)}_{number}"
        self.imported[f"{kind}.{name}"] = import_id
        return f"{kind}.{name}"


def _resource(address: str, body: "Sequence[Attribute | Block | Comment]") -> Block:
    kind, _, name = address.partition(".")
    return Block("resource", (kind, name), tuple(body))


def _block(kind: str, given: Mapping[str, Any]) -> Block:
    return Block(kind, (), tuple(Attribute(name, value) for name, value in given.items()))


def _unless(name: str, value: Any, default: Any) -> list[Attribute]:
    return [] if value == default else [Attribute(name, value)]


def _given(model: Model) -> dict[str, Any]:
    """What a model says beside its defaults."""
    return model.model_dump(mode="json", exclude_defaults=True)


def _input(spec: InputSpec) -> dict[str, Any]:
    """An input with what differs from the defaults; a type is always said."""
    given = {"type": spec.type, **{name: value for name, value in _given(spec).items() if name not in ("name", "type")}}
    return {**given, "default": as_string(spec.default)} if spec.default is not None else given


def _versions(release: Release, known: Mapping[str, tuple[int, Expression]]) -> dict[str, Any]:
    """The release's components: a reference where it has the newest version, so that the next one makes the next release."""
    chosen: dict[str, Any] = {}
    for build in sorted(release.builds, key=lambda one: one.component):
        version, reference = known.get(build.component, (None, None))
        chosen[build.component] = reference if version == build.component_version else build.component_version
    return chosen
