"""A small fake of the IMS for the provider's tests: the REST API in memory, with no agents behind it.

Honest about what it is: bodies are checked with the contract's models and answers are made of them, but builds and deploys end
when the test says so, not because anything was built or run.
"""

import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import ValidationError

from api.contract.base import Failure
from api.contract.components import Component, ComponentCreate, ComponentUpdate
from api.contract.inputs import check_specs, check_values
from api.contract.problems import (
    ConflictError,
    FieldProblem,
    InUseError,
    InvalidError,
    NameTakenError,
    NotFoundError,
    ProblemError,
    UnauthorizedError,
)
from api.contract.resources import (
    App,
    AppCreate,
    AppUpdate,
    Deploy,
    DeployCreate,
    Install,
    InstallCreate,
    InstallUpdate,
    Release,
    ReleaseBuild,
    ReleaseCreate,
    Step,
)

TOKEN = "a-token-for-tests"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, str]
    body: Any
    headers: dict[str, str]


@dataclass
class FakeIms:
    """Everything that it knows, open to the test. `hold` keeps builds and deploys from ending until `let_go`."""

    apps: dict[str, App] = field(default_factory=dict)
    components: dict[str, Component] = field(default_factory=dict)
    installs: dict[str, Install] = field(default_factory=dict)
    releases: dict[str, Release] = field(default_factory=dict)
    deploys: dict[str, Deploy] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    build_failures: dict[str, Failure] = field(default_factory=dict)
    deploy_failures: dict[str, Failure] = field(default_factory=dict)
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    """Answers that go out, one to each request, before the fake thinks for itself again."""
    held: bool = False
    url: str = ""

    def __post_init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self._count = 0
        self._keys: dict[str, tuple[int, Any]] = {}
        self._sensitive: dict[str, dict[str, Any]] = {}

    def hold(self) -> None:
        self.held = True

    def let_go(self) -> None:
        """End everything that is under way."""
        with self.changed:
            self.held = False
            for release in self.releases.values():
                self._end_release(release)
            for deploy in self.deploys.values():
                self._end_deploy(deploy)
            self.changed.notify_all()

    def writes(self, path: str = "") -> list[Request]:
        """The requests that changed something, or meant to."""
        return [
            each
            for each in self.requests
            if each.method != "GET" and each.path.startswith(f"/v1/{path}") and "dry_run" not in each.query
        ]

    def new_id(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}_{self._count:026d}"

    # Routing

    def answer(self, request: Request) -> tuple[int, Any]:
        """Status and body for one request. Raises ProblemError."""
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            raise UnauthorizedError("the token isn't known")
        key = request.headers.get("idempotency-key")
        with self.changed:
            if key in self._keys:
                return self._keys[key]
            parts = [unquote(part) for part in request.path.removeprefix("/v1/").split("/")]
            result = self._route(request, parts)
            if key:
                self._keys[key] = result
            self.changed.notify_all()
            return result

    def _route(self, request: Request, parts: list[str]) -> tuple[int, Any]:
        dry = "dry_run" in request.query
        match request.method, parts:
            case "GET", ["apps", app, "components"]:
                return 200, self._page(request, [c for c in self.components.values() if c.app_id == self.app(app).id])
            case "GET", ["apps", app, "components", name]:
                return 200, self.component(app, name)
            case "GET", ["apps", app]:
                return 200, self.app(app)
            case "GET", ["installs", install]:
                return 200, self.install(install)
            case "GET", ["releases"]:
                return 200, self._page(request, self._releases_of(request.query))
            case "GET", ["releases", release]:
                return 200, self._wait(request, lambda: self._get(self.releases, release), lambda r: r.status != "building")
            case "GET", ["deploys"]:
                install = self.install(request.query["install"])
                return 200, self._page(request, [d for d in self.deploys.values() if d.install_id == install.id])
            case "GET", ["deploys", deploy]:
                seen = int(request.query.get("seen", "-1"))
                return 200, self._wait(request, lambda: self._get(self.deploys, deploy), lambda d: d.version != seen)
            case "POST", ["apps"]:
                return self._create_app(AppCreate.model_validate(request.body), dry)
            case "POST", ["apps", app, "components"]:
                return self._create_component(self.app(app), ComponentCreate.model_validate(request.body), dry)
            case "POST", ["installs"]:
                return self._create_install(InstallCreate.model_validate(request.body), dry)
            case "POST", ["releases"]:
                return 201, self._create_release(ReleaseCreate.model_validate(request.body))
            case "POST", ["deploys"]:
                return 201, self._create_deploy(DeployCreate.model_validate(request.body))
            case "PUT", ["apps", app]:
                return 200, self._update_app(self.app(app), AppUpdate.model_validate(request.body), dry)
            case "PUT", ["apps", app, "components", name]:
                update = ComponentUpdate.model_validate(request.body)
                return 200, self._update_component(self.component(app, name), update, dry)
            case "PUT", ["installs", install]:
                return 200, self._update_install(self.install(install), InstallUpdate.model_validate(request.body), dry)
            case "DELETE", ["apps", app]:
                del self.apps[self.app(app).id]
                return 204, None
            case "DELETE", ["apps", app, "components", name]:
                return self._delete_component(self.component(app, name))
            case "DELETE", ["releases", release]:
                del self.releases[self._get(self.releases, release).id]
                return 204, None
            case "DELETE", ["installs", install]:
                return self._delete_install(self.install(install))
        raise NotFoundError(f"the fake has no {request.method} {request.path}")

    def _page(self, request: Request, items: list[Any]) -> dict[str, Any]:
        items = sorted(items, key=lambda item: item.id, reverse=request.query.get("order") == "desc")
        limit = int(request.query.get("limit", "100"))
        after = request.query.get("after")
        rest = [item for item in items if after is None or item.id > after]
        return {"items": rest[:limit], "after": rest[limit - 1].id if len(rest) > limit else None}

    def _wait(self, request: Request, read: Callable[[], Any], done: Callable[[Any], bool]) -> Any:
        self.changed.wait_for(lambda: done(read()), float(request.query.get("wait", "0")))
        return read()

    def _get(self, known: dict[str, Any], key: str) -> Any:
        if key not in known:
            raise NotFoundError(f"there is no {key!r}")
        return known[key]

    def _named(self, known: dict[str, Any], name: str) -> Any:
        for item in known.values():
            if name in (item.id, item.name):
                return item
        raise NotFoundError(f"there is no {name!r}")

    def app(self, name: str) -> App:
        return self._named(self.apps, name)

    def install(self, name: str) -> Install:
        return self._named(self.installs, name)

    def component(self, app: str, name: str) -> Component:
        owner = self.app(app)
        return self._named({key: c for key, c in self.components.items() if c.app_id == owner.id}, name)

    # Apps and components

    def _taken(self, known: Any, name: str) -> None:
        if any(item.name == name for item in known):
            message = f"there is one named {name!r} already"
            raise NameTakenError(message, errors=[FieldProblem(field="name", message=message, remedy="Choose another name.")])

    def _create_app(self, body: AppCreate, dry: bool) -> tuple[int, App]:
        self._taken(self.apps.values(), body.name)
        self._refuse("the app can't be accepted", check_specs(body.inputs))
        app = App(id=self.new_id("app"), version=1, created_at=NOW, updated_at=NOW, **dict(body))
        if not dry:
            self.apps[app.id] = app
        return (200 if dry else 201), app

    def _update_app(self, app: App, body: AppUpdate, dry: bool) -> App:
        self._refuse("the app can't be accepted", check_specs(body.inputs))
        changed = app.model_copy(update={**dict(body), "version": app.version + 1})
        if not dry:
            self.apps[app.id] = changed
        return changed

    def _create_component(self, app: App, body: ComponentCreate, dry: bool) -> tuple[int, Component]:
        self._taken([c for c in self.components.values() if c.app_id == app.id], body.name)
        self._check_component(app, body.config)
        component = Component(
            id=self.new_id("cmp"),
            app_id=app.id,
            name=body.name,
            kind=body.config.kind,
            version=1,
            config=body.config,
            created_at=NOW,
            updated_at=NOW,
        )
        if not dry:
            self.components[component.id] = component
        return (200 if dry else 201), component

    def _update_component(self, component: Component, body: ComponentUpdate, dry: bool) -> Component:
        self._check_component(self.apps[component.app_id], body.config)
        version = component.version + (_meaning(component.config) != _meaning(body.config))
        changed = component.model_copy(update={"config": body.config, "version": version})
        if not dry:
            self.components[component.id] = changed
        return changed

    def _delete_component(self, component: Component) -> tuple[int, None]:
        for install in self.installs.values():
            last = [deploy for deploy in self.deploys.values() if deploy.install_id == install.id][-1:]
            if last and component.name in last[0].outputs:
                raise InUseError(f"component {component.name!r} is deployed on: {install.name}", remedy="Drop it there first.")
        del self.components[component.id]
        return 204, None

    def _check_component(self, app: App, config: Any) -> None:
        declared = {spec.name for spec in app.inputs}
        problems = []
        for name, text in config.variables.items():
            if "{{ inputs." in text and text.split("inputs.")[1].split(" ")[0] not in declared:
                remedy = "Declare the input on the app, or correct the name."
                problems.append(FieldProblem(field=f"config.variables.{name}", message=f"{text}: no such input", remedy=remedy))
        self._refuse("the component can't be accepted", problems)

    def _refuse(self, detail: str, problems: list[FieldProblem]) -> None:
        if problems:
            raise InvalidError(detail, errors=problems)

    # Installs

    def _fingerprints(self, values: dict[str, Any]) -> dict[str, str]:
        return {name: hashlib.sha256(f"key of the fake {value}".encode()).hexdigest() for name, value in values.items()}

    def _create_install(self, body: InstallCreate, dry: bool) -> tuple[int, Install]:
        app = self.app(body.app_id)
        self._taken(self.installs.values(), body.name)
        self._refuse("the install can't be accepted", check_values(app.inputs, body.inputs, body.sensitive_inputs)[2])
        install = Install(
            id=self.new_id("ins"),
            app_id=app.id,
            name=body.name,
            inputs=body.inputs,
            sensitive_fingerprints=self._fingerprints(body.sensitive_inputs),
            approval=body.approval,
            inputs_version=1,
            version=1,
            agent_id=None,
            agent_last_seen_at=None,
            components=[],
            created_at=NOW,
            updated_at=NOW,
        )
        if not dry:
            self.installs[install.id] = install
            self._sensitive[install.id] = body.sensitive_inputs
        return (200 if dry else 201), install

    def _update_install(self, install: Install, body: InstallUpdate, dry: bool) -> Install:
        kept = self._sensitive[install.id]
        sensitive = kept if body.sensitive_inputs is None else body.sensitive_inputs
        app = self.apps[install.app_id]
        self._refuse("the install can't be accepted", check_values(app.inputs, body.inputs, sensitive)[2])
        prints = install.sensitive_fingerprints if body.sensitive_inputs is None else self._fingerprints(sensitive)
        differ = (body.inputs, prints) != (install.inputs, install.sensitive_fingerprints)
        changed = install.model_copy(
            update={
                "inputs": body.inputs,
                "sensitive_fingerprints": prints,
                "approval": body.approval,
                "inputs_version": install.inputs_version + differ,
            }
        )
        if not dry:
            self.installs[install.id] = changed
            self._sensitive[install.id] = sensitive
        return changed

    def _delete_install(self, install: Install) -> tuple[int, None]:
        last = [deploy for deploy in self.deploys.values() if deploy.install_id == install.id][-1:]
        if last and last[0].kind != "teardown":
            raise InUseError(f"install {install.name!r} still has deployed components", remedy="Tear it down first.")
        del self.installs[install.id]
        return 204, None

    # Releases and deploys

    def _releases_of(self, query: dict[str, str]) -> list[Release]:
        app = self.app(query["app"])
        found = [release for release in self.releases.values() if release.app_id == app.id]
        return [release for release in found if str(release.number) == query.get("number", str(release.number))]

    def _create_release(self, body: ReleaseCreate) -> Release:
        app = self.app(body.app_id)
        own = {c.name: c for c in self.components.values() if c.app_id == app.id}
        problems = [
            FieldProblem(field=f"components.{n}", message=f"no component {n!r}") for n in body.components if n not in own
        ]
        self._refuse("the app can't be released", problems)
        versions = body.components or {name: component.version for name, component in own.items()}
        builds = [
            ReleaseBuild(
                component=name,
                component_version=version,
                kind="terraform_module",
                build_id=self.new_id("bld"),
                reused=False,
                status="running",
                source_revision=None,
                digest=None,
                failure=None,
                waiting_for="",
            )
            for name, version in sorted(versions.items())
        ]
        number = 1 + max((release.number for release in self.releases.values() if release.app_id == app.id), default=0)
        release = Release(
            id=self.new_id("rel"),
            app_id=app.id,
            number=number,
            status="building",
            builds=builds,
            failure=None,
            created_at=NOW,
            ended_at=None,
        )
        self.releases[release.id] = release
        return self._end_release(release)

    def _end_release(self, release: Release) -> Release:
        if self.held or release.status != "building":
            return release
        builds = [
            build.model_copy(
                update={"status": "failed", "failure": self.build_failures[build.component]}
                if build.component in self.build_failures
                else {"status": "succeeded", "digest": _digest(f"{build.component} {build.component_version}")}
            )
            for build in release.builds
        ]
        failure = next((build.failure for build in builds if build.failure), None)
        ended = release.model_copy(
            update={"builds": builds, "failure": failure, "status": "failed" if failure else "ready", "ended_at": NOW}
        )
        self.releases[release.id] = ended
        return ended

    def _create_deploy(self, body: DeployCreate) -> Deploy:
        install = self.install(body.install_id)
        running = [deploy for deploy in self.deploys.values() if deploy.install_id == install.id and deploy.ended_at is None]
        if running:
            raise ConflictError(
                f"deploy {running[0].id} is still under way", remedy=f"Cancel it: deploys cancel {running[0].id}"
            )
        if body.inputs_version not in (None, install.inputs_version):
            raise InvalidError.at("inputs_version", f"the install is at {install.inputs_version}")
        release = self._get(self.releases, body.release_id) if body.release_id else None
        last = [deploy for deploy in self.deploys.values() if deploy.install_id == install.id][-1:]
        names = [build.component for build in release.builds] if release else list(last[0].outputs if last else {})
        deploy = Deploy(
            id=self.new_id("dep"),
            install_id=install.id,
            app_id=install.app_id,
            release_id=body.release_id,
            release_number=release.number if release else None,
            kind=body.kind,
            status="running",
            inputs_version=install.inputs_version,
            steps=[self._step(name, "apply" if release else "destroy") for name in names],
            outputs={},
            sensitive_outputs={},
            failure=None,
            version=1,
            created_at=NOW,
            ended_at=None,
        )
        self.deploys[deploy.id] = deploy
        return self._end_deploy(deploy)

    def _step(self, component: str, kind: Any) -> Step:
        return Step(
            id=self.new_id("stp"),
            component=component,
            kind=kind,
            status="running",
            job_id=None,
            attempt=1,
            needs=[],
            plan=None,
            failure=None,
            waiting_for="",
            started_at=NOW,
            ended_at=None,
        )

    def _end_deploy(self, deploy: Deploy) -> Deploy:
        if self.held or deploy.ended_at:
            return deploy
        failures = self.deploy_failures
        steps = [
            step.model_copy(
                update={
                    "status": "failed" if step.component in failures else "succeeded",
                    "failure": failures.get(step.component),
                }
            )
            for step in deploy.steps
        ]
        failure = next((step.failure for step in steps if step.failure), None)
        outputs = {step.component: {"url": f"https://{step.component}", "ports": [80]} for step in steps}
        ended = deploy.model_copy(
            update={
                "status": "failed" if failure else "succeeded",
                "steps": steps,
                "failure": failure,
                "outputs": {} if failure or deploy.kind == "teardown" else outputs,
                "version": deploy.version + 1,
                "ended_at": NOW,
            }
        )
        self.deploys[deploy.id] = ended
        return ended


def _meaning(config: Any) -> Any:
    body = config.model_dump(mode="json")
    if body["source"]["path"] and body["source"]["path"]["digest"]:
        body["source"]["path"]["path"] = ""
    return body


def _digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    ims: FakeIms

    def handle_one(self) -> None:
        url = urlsplit(self.path)
        length = int(self.headers.get("Content-Length", "0"))
        body = json.loads(self.rfile.read(length)) if length else None
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        request = Request(self.command, url.path, query, body, {name.lower(): value for name, value in self.headers.items()})
        self.ims.requests.append(request)
        if self.ims.answers:
            status, headers, raw = self.ims.answers.pop(0)
            return self._send(status, headers, raw)
        try:
            status, result = self.ims.answer(request)
        except ValidationError as error:
            fields = [FieldProblem(field=".".join(map(str, e["loc"])), message=e["msg"]) for e in error.errors()]
            return self._problem(InvalidError("the body is wrong", errors=fields))
        except ProblemError as error:
            return self._problem(error)
        return self._send(status, {}, b"" if result is None else json.dumps(result, default=_dump).encode())

    do_GET = do_POST = do_PUT = do_DELETE = handle_one  # noqa: N815 - http.server calls them so

    def _problem(self, error: ProblemError) -> None:
        self._send(error.status, {"Content-Type": "application/problem+json"}, error.problem().model_dump_json().encode())

    def _send(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: pytest shows what went wrong."""


def _dump(model: Any) -> Any:
    return model.model_dump(mode="json")


def start(ims: FakeIms, port: int = 0) -> ThreadingHTTPServer:
    """Serve `ims` on loopback until `shutdown` and `server_close`; sets its `url`."""
    server = ThreadingHTTPServer(("127.0.0.1", port), type("Handler", (_Handler,), {"ims": ims}))
    server.daemon_threads = True
    ims.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    return server
