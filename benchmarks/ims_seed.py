"""Fills an IMS's database with a vendor that has many installs, each with its agent, before the IMS is started."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import insert
from sqlmodel import select

from api.agents.models import AgentRow
from api.app import utc_now
from api.apps import service as apps
from api.builds.models import BuildRow
from api.components import service as components
from api.components.models import ComponentConfigRow
from api.contract.components import ComponentCreate
from api.contract.resources import AppCreate, Artifact, DeployCreate
from api.db.database import Database
from api.db.doorbell import Doorbell
from api.db.schema import open_database
from api.db.transaction import Write
from api.deploys import making
from api.events.chain import Chain
from api.installs.models import InstallRow
from api.releases.models import ReleaseBuildRow, ReleaseRow
from api.secrets.keyring import open_vault
from api.secrets.keys import open_provider
from api.secrets.vault import Vault
from api.settings import Settings
from api.tokens.secrets import hash_secret

COMPONENTS = ("database", "service")


@dataclass(frozen=True)
class Seeded:
    """What the load works with: two releases of the same builds, and for each install its id and its agent's access token."""

    release_id: str
    second_release_id: str
    installs: list[tuple[str, str]]


async def seed(settings: Settings, *, installs: int, deploys_of: int) -> Seeded:
    """`installs` installs with agents; the first `deploys_of` of them have a deploy of two components under way."""
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    provider = open_provider(settings.secrets_provider, make=True)
    driver = open_database(settings)
    vault = open_vault(driver, provider, utc_now)
    db = Database(driver, clock=utc_now, doorbell=Doorbell(), history=Chain())
    try:
        made = await db.write("benchmark", _vendor, vault, installs)
        for install, _ in made.installs[:deploys_of]:
            body = DeployCreate(install_id=install, release_id=made.release_id)
            await db.write("benchmark", lambda tx, body=body: making.create(tx, vault, body).id)  # type: ignore[misc]
        return made
    finally:
        await db.close()


def _vendor(tx: Write, vault: Vault, count: int) -> Seeded:
    app = apps.create(tx, AppCreate(name="shop"))
    row = apps.find(tx, app.id)
    releases = [
        ReleaseRow(id=tx.new_id("rel"), app_id=app.id, number=number, status="ready", created_at=tx.now, ended_at=tx.now)
        for number in (1, 2)
    ]
    tx.session.add_all(releases)
    tx.session.flush()
    for name in COMPONENTS:
        body: dict[str, Any] = {
            "kind": "terraform_module",
            "source": {"git": {"url": "https://git.test/shop", "ref": "0" * 40}},
        }
        if name == "service":
            body["variables"] = {"url": "{{ components.database.outputs.url }}"}
        component = components.create(tx, row, ComponentCreate.model_validate({"name": name, "config": body}))
        config = tx.session.exec(select(ComponentConfigRow).where(ComponentConfigRow.component_id == component.id)).one()
        digest = "sha256:" + f"{len(name):064x}"
        artifact = Artifact(repository=f"shop/{name}", digest=digest, media_type="m", artifact_type="a", size=1)
        build = BuildRow(
            id=tx.new_id("bld"),
            app_id=app.id,
            component_id=component.id,
            config_id=config.id,
            status="succeeded",
            source_revision="0" * 40,
            artifact=artifact,
            variables=[],
            outputs=[],
            created_at=tx.now,
            ended_at=tx.now,
        )
        tx.session.add(build)
        tx.session.flush()
        tx.session.add_all(
            ReleaseBuildRow(release_id=release.id, component=name, build_id=build.id, reused=release.number > 1)
            for release in releases
        )
    made, rows, agents = [], [], []
    for number in range(count):
        install_id, token = tx.new_id("ins"), f"exca_benchmark-{number:06}"
        rows.append(
            {
                "id": install_id,
                "app_id": app.id,
                "name": f"customer-{number}",
                "inputs": {},
                "sealed_inputs": vault.seal({}, owner=install_id),
                "sensitive_fingerprints": {},
                "approval": "auto",
                "inputs_version": 1,
                "version": 1,
                "created_at": tx.now,
                "updated_at": tx.now,
            }
        )
        agents.append(
            {
                "id": tx.new_id("agt"),
                "name": f"agent-{number}",
                "kind": "install",
                "install_id": install_id,
                "public_key": "",
                "version": "0.1.0",
                "platform": "linux/amd64",
                "access_hash": hash_secret(token),
                "access_until": tx.now + timedelta(days=1),
                "nonces": {},
                "enrolled_at": tx.now,
                "last_seen_at": tx.now,
            }
        )
        made.append((install_id, token))
    tx.session.connection().execute(insert(InstallRow), rows)
    tx.session.connection().execute(insert(AgentRow), agents)
    return Seeded(releases[0].id, releases[1].id, made)
