"""A small fake of the IMS for the provider's tests: what it keeps in memory and what its operations mean. No agents behind it.

Honest about what it is: bodies and answers are the contract's models, but builds and deploys end when the test says so, not
because anything was built or run. `fake_ims_http.py` serves it.
"""

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from fake_ims_values import digest, fingerprints, meaning, refuse

from api.contract.base import Failure
from api.contract.components import Component, ComponentCreate, ComponentUpdate
from api.contract.inputs import check_specs, check_values
from api.contract.problems import ConflictError, FieldProblem, InUseError, InvalidError, NameTakenError, NotFoundError
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
    next_answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    """Answers that go out, one to each request, before the fake thinks for itself again."""
    held: bool = False
    url: str = ""

    def __post_init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self._count = 0
        self.answered: dict[str, tuple[tuple[str, Any], tuple[int, Any]]] = {}
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
            if each.method != "GET" and each.path.startswith(f"/v1/{path}") and not self._only_asks(each)
        ]

    def _only_asks(self, request: Request) -> bool:
        return "dry_run" in request.query or request.path.endswith(("/check", "/preview"))

    def new_id(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}_{self._count:026d}"

    def get(self, known: dict[str, Any], key: str) -> Any:
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

    def create_app(self, body: AppCreate, dry: bool) -> App:
        self._taken(self.apps.values(), body.name)
        refuse("the app can't be accepted", check_specs(body.inputs))
        app = App(id=self.new_id("app"), version=1, created_at=NOW, updated_at=NOW, **dict(body))
        if not dry:
            self.apps[app.id] = app
        return app

    def update_app(self, app: App, body: AppUpdate, dry: bool) -> App:
        refuse("the app can't be accepted", check_specs(body.inputs))
        changed = app.model_copy(update={**dict(body), "version": app.version + 1})
        if not dry:
            self.apps[app.id] = changed
        return changed

    def create_component(self, app: App, body: ComponentCreate, dry: bool) -> Component:
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
        return component

    def update_component(self, component: Component, body: ComponentUpdate, dry: bool) -> Component:
        self._check_component(self.apps[component.app_id], body.config)
        version = component.version + (meaning(component.config) != meaning(body.config))
        changed = component.model_copy(update={"config": body.config, "version": version})
        if not dry:
            self.components[component.id] = changed
        return changed

    def _check_component(self, app: App, config: Any) -> None:
        declared = {spec.name for spec in app.inputs}
        problems = []
        for name, text in config.variables.items():
            if "{{ inputs." in text and text.split("inputs.")[1].split(" ")[0] not in declared:
                remedy = "Declare the input on the app, or correct the name."
                problems.append(FieldProblem(field=f"config.variables.{name}", message=f"{text}: no such input", remedy=remedy))
        refuse("the component can't be accepted", problems)

    # Installs

    def create_install(self, body: InstallCreate, dry: bool) -> Install:
        app = self.app(body.app_id)
        self._taken(self.installs.values(), body.name)
        refuse("the install can't be accepted", check_values(app.inputs, body.inputs, body.sensitive_inputs)[2])
        install = Install(
            id=self.new_id("ins"),
            app_id=app.id,
            name=body.name,
            inputs=body.inputs,
            sensitive_fingerprints=fingerprints(body.sensitive_inputs),
            approval=body.approval,
            approval_timeout_hours=body.approval_timeout_hours,
            labels=body.labels,
            drift_check_hours=body.drift_check_hours,
            heal_drift=body.heal_drift,
            platform=body.platform,
            region=body.region,
            drift_due_at=None,
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
        return install

    def update_install(self, install: Install, body: InstallUpdate, dry: bool) -> Install:
        kept = self._sensitive[install.id]
        sensitive = kept if body.sensitive_inputs is None else body.sensitive_inputs
        app = self.apps[install.app_id]
        refuse("the install can't be accepted", check_values(app.inputs, body.inputs, sensitive)[2])
        prints = install.sensitive_fingerprints if body.sensitive_inputs is None else fingerprints(sensitive)
        differ = (body.inputs, prints) != (install.inputs, install.sensitive_fingerprints)
        changed = install.model_copy(
            update={
                "inputs": body.inputs,
                "sensitive_fingerprints": prints,
                **body.model_dump(
                    include={
                        "approval",
                        "approval_timeout_hours",
                        "labels",
                        "drift_check_hours",
                        "heal_drift",
                        "platform",
                        "region",
                    }
                ),
                "inputs_version": install.inputs_version + differ,
            }
        )
        if not dry:
            self.installs[install.id] = changed
            self._sensitive[install.id] = sensitive
        return changed

    def delete_install(self, install: Install) -> None:
        last = self._last_deploy(install)
        if last and last.kind != "teardown":
            raise InUseError(f"install {install.name!r} still has deployed components", remedy="Tear it down first.")
        del self.installs[install.id]

    # Releases and deploys

    def releases_of(self, app: str, number: str | None) -> list[Release]:
        found = [release for release in self.releases.values() if release.app_id == self.app(app).id]
        return [release for release in found if number in (None, str(release.number))]

    def create_release(self, body: ReleaseCreate) -> Release:
        app = self.app(body.app_id)
        own = {c.name: c for c in self.components.values() if c.app_id == app.id}
        problems = [
            FieldProblem(field=f"components.{n}", message=f"no component {n!r}") for n in body.components if n not in own
        ]
        refuse("the app can't be released", problems)
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
            labels=body.labels,
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
                else {"status": "succeeded", "digest": digest(f"{build.component} {build.component_version}")}
            )
            for build in release.builds
        ]
        failure = next((build.failure for build in builds if build.failure), None)
        ended = release.model_copy(
            update={"builds": builds, "failure": failure, "status": "failed" if failure else "ready", "ended_at": NOW}
        )
        self.releases[release.id] = ended
        return ended

    def delete_release(self, release: Release) -> None:
        for install in self.installs.values():
            last = self._last_deploy(install)
            if last and last.release_id == release.id:
                raise InUseError(
                    f"release {release.number} runs on: {install.name}", remedy="Deploy another release there first."
                )
        del self.releases[release.id]

    def _last_deploy(self, install: Install) -> Deploy | None:
        return next((deploy for deploy in reversed(self.deploys.values()) if deploy.install_id == install.id), None)

    def create_deploy(self, body: DeployCreate) -> Deploy:
        install = self.install(body.install_id)
        last = self._last_deploy(install)
        if last and last.ended_at is None:
            raise ConflictError(f"deploy {last.id} is still under way", remedy=f"Cancel it: deploys cancel {last.id}")
        if body.inputs_version not in (None, install.inputs_version):
            raise InvalidError.at("inputs_version", f"the install is at {install.inputs_version}")
        release = self.get(self.releases, body.release_id) if body.release_id else None
        names = [build.component for build in release.builds] if release else list(last.outputs if last else {})
        deploy = Deploy(
            id=self.new_id("dep"),
            install_id=install.id,
            app_id=install.app_id,
            release_id=body.release_id,
            release_number=release.number if release else None,
            kind=body.kind,
            status="running",
            approval=install.approval,
            retry_of=None,
            rollback_of=None,
            created_by="token:test",
            left_out=[],
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
            approval=None,
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
