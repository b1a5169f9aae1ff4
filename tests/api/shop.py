"""The app that most tests ship: `network`, and `service` that takes an output of it."""

import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import Any

from ims_driver import Agent, Body, Ims

INPUTS = [
    {"name": "domain", "default": "shop.example"},
    {"name": "size", "type": "number", "required": False},
    {"name": "password", "sensitive": True, "required": False},
]
NETWORK = {"domain": "{{ inputs.domain }}"}
SERVICE = {"network_id": "{{ components.network.outputs.id }}", "password": "{{ inputs.password | default('') }}"}


def module(variables: dict[str, str] | None = None, *, path: str = "/src/module", digest: str | None = "1") -> Body:
    """A Terraform module's config. `digest` stands for what the folder holds; None leaves it unsaid."""
    source = {"path": {"path": path, "digest": digest and sha(digest)}}
    return {"kind": "terraform_module", "source": source, "variables": variables or {}}


def sha(text: str) -> str:
    """A digest of some text."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def built(payload: Body, *, outputs: tuple[str, ...] = ("id",), variables: list[Body] | None = None) -> Body:
    """The result of a build: same config, same digest."""
    declared = [{"name": name} for name in payload["config"]["variables"]] if variables is None else variables
    repository = payload["registry"]["repository"]
    artifact = {
        "repository": repository,
        "digest": sha(json.dumps([repository, payload["config"]["source"]])),
        "media_type": "application/vnd.oci.image.manifest.v1+json",
        "artifact_type": "application/vnd.opentofu.modulepkg",
        "size": 4096,
    }
    return {
        "kind": "build",
        "source_revision": "rev-1",
        "artifact": artifact,
        "variables": declared,
        "outputs": [{"name": name} for name in outputs],
    }


SYNCED = {"kind": "sync", "copied_bytes": 4096, "skipped_bytes": 0}
PLAN_DIGEST = sha("plan")


def planned(*, add: int = 1, **summary: Any) -> Body:
    """The result of a plan."""
    return {"kind": "plan", "summary": {"add": add, **summary}, "plan_digest": PLAN_DIGEST}


def applied(outputs: Body | None = None, *, changed: bool = True, sensitive: tuple[str, ...] = ()) -> Body:
    """The result of an apply."""
    return {"kind": "apply", "outputs": outputs or {}, "sensitive_outputs": list(sensitive), "outputs_changed": changed}


def usual(payload: Body) -> Body:
    """The result that a job has when all goes well."""
    match payload["kind"]:
        case "build":
            return built(payload)
        case "sync":
            return SYNCED
        case "plan" | "plan_destroy":
            return planned()
        case _:
            return applied({"id": f"{payload['component']}-1"} if payload["kind"] == "apply" else {})


@dataclass(frozen=True)
class Shop:
    """A vendor with a build agent, an app and a release that is ready."""

    ims: Ims
    builder: Agent
    release: Body
    agents: dict[str, Agent] = field(default_factory=dict)

    @classmethod
    async def open(cls, ims: Ims) -> "Shop":
        await ims.ok("POST", "/v1/apps", {"name": "shop", "inputs": INPUTS})
        await ims.ok("POST", "/v1/apps/shop/components", {"name": "network", "config": module(NETWORK)})
        await ims.ok("POST", "/v1/apps/shop/components", {"name": "service", "config": module(SERVICE, path="/src/service")})
        shop = cls(ims, await Agent.enrolled(ims), {})
        return replace(shop, release=await shop.new_release())

    async def change(self, component: str, config: Body) -> Body:
        """A new config of a component."""
        return await self.ims.ok("PUT", f"/v1/apps/shop/components/{component}", {"config": config})

    async def new_release(self, **components: int) -> Body:
        """A release that is built and ready."""
        made = await self.ims.ok("POST", "/v1/releases", {"app_id": "shop", "components": components})
        await self.builder.work(usual)
        release = await self.ims.ok("GET", f"/v1/releases/{made['id']}")
        assert release["status"] == "ready", release["failure"]
        return release

    async def install(self, name: str = "acme", **more: Any) -> Agent:
        """A new install with its agent."""
        await self.ims.ok("POST", "/v1/installs", {"app_id": "shop", "name": name, **more})
        self.agents[name] = await Agent.enrolled(self.ims, name)
        return self.agents[name]

    async def begin(self, install: str = "acme", release: Body | None = None) -> Body:
        """A deploy that has just been made."""
        body = {"install_id": install, "release_id": (release or self.release)["id"]}
        return await self.ims.ok("POST", "/v1/deploys", body)

    async def deploy(self, install: str = "acme", release: Body | None = None) -> list[tuple[str, str]]:
        """A deploy that goes well; the jobs that its agent did."""
        made = await self.begin(install, release)
        done = await self.agents[install].work(usual)
        ended = await self.look(made)
        assert ended["status"] == "succeeded", ended
        return done

    async def look(self, deploy: Body) -> Body:
        """The deploy as it is now."""
        return await self.ims.ok("GET", f"/v1/deploys/{deploy['id']}")

    async def steps(self, deploy: Body) -> dict[tuple[str, str], str]:
        """The status of each step of a deploy, by component and kind."""
        return {(step["component"], step["kind"]): step["status"] for step in (await self.look(deploy))["steps"]}
