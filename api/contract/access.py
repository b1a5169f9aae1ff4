"""Who may do what: roles as data, scopes, tokens and logins.

A role is a set of permissions (`PERMISSIONS`). A scope is the part of the IMS in which it holds: all of it, one app or one
install. What lies outside a token's scope doesn't exist for it (404); what its role doesn't allow is refused (403).
"""

from typing import Literal

from pydantic import Field

from api.contract.base import AgentKind, Model, Name, Timestamp

TokenRole = Literal["viewer", "editor", "deployer", "admin"]
"""Roles of people and programs. Each may do what the one before it may."""

AgentRole = Literal["agent:build", "agent:install"]
"""Roles of agents, and of service tokens that may enrol agents of that kind, and nothing else."""

ServiceRole = Literal["viewer", "editor", "deployer", "admin", "agent:build", "agent:install"]
"""Roles of service tokens."""

Permission = Literal["read", "define", "deploy", "administer", "enroll", "work"]
"""`read`: everything but secrets' values and webhooks. `define`: apps, components, installs, releases, secrets. `deploy`: bring
releases to installs, approve, cancel, tear down. `administer`: force, webhooks, tokens, agents. `enroll`: make one-time tokens
for agents. `work`: the agent protocol, with an agent's own access token."""

PERMISSIONS: dict[Permission, tuple[TokenRole | AgentRole, ...]] = {
    "read": ("viewer", "editor", "deployer", "admin"),
    "define": ("editor", "deployer", "admin"),
    "deploy": ("deployer", "admin"),
    "administer": ("admin",),
    "enroll": ("agent:build", "agent:install", "admin"),
    "work": ("agent:build", "agent:install"),
}
"""Which roles have a permission, the lowest one first."""

Reach = Literal["install", "app", "all"]
"""The smallest scope that is enough for a route: that of an install, of an app, or the whole IMS."""

SCOPE_PATTERN = r"^(all|app:[^:\s]{1,63}|install:[^:\s]{1,63})$"


def agent_role(kind: AgentKind) -> AgentRole:
    """The role of an agent's access token."""
    return "agent:build" if kind == "build" else "agent:install"


class TokenCreate(Model):
    """A new service token."""

    name: Name = Field(description="The token's name, unique in this IMS, also among revoked ones: the history shows it.")
    role: ServiceRole = Field(default="admin", description="What the token may do.")
    scope: str = Field(
        default="all", pattern=SCOPE_PATTERN, description="Where: `all`, `app:NAME` or `install:NAME`. An id will do as a name."
    )
    expires_in: int | None = Field(
        default=None, ge=60, le=10 * 366 * 86400, description="Seconds until it expires; None means never."
    )


class Token(Model):
    """A service token, without its secret. `scope` names the object by its id, `scope_name` by its name."""

    id: str
    name: str
    role: ServiceRole
    scope: str
    scope_name: str | None
    created_at: Timestamp
    expires_at: Timestamp | None
    last_used_at: Timestamp | None
    revoked_at: Timestamp | None


class TokenCreated(Token):
    """A new token with its secret, which is shown only here."""

    secret: str


class Whoami(Model):
    """Who the caller is, and what it may do."""

    name: str = Field(description="As the history shows it: `token:<name>` or `person:<email>`.")
    role: ServiceRole
    permissions: list[Permission]
    scope: str
    scope_name: str | None
    expires_at: Timestamp | None


class Session(Model):
    """A person's login, or that of a program that they confirmed."""

    id: str
    name: str
    role: TokenRole
    scope: str
    scope_name: str | None
    created_at: Timestamp
    expires_at: Timestamp


class DeviceLogin(Model):
    """How to log a program in that has no browser (RFC 8628, section 3.2)."""

    device_code: str = Field(description="The program's half. Keep it secret.")
    user_code: str = Field(description="The person's half: shown by the program, confirmed in the browser.")
    verification_uri: str
    verification_uri_complete: str
    expires_in: int = Field(description="Seconds.")
    interval: int = Field(description="Ask no more often than once in so many seconds.")


class DeviceLoginPoll(Model):
    """Ask whether the person has confirmed."""

    device_code: str = Field(max_length=200)


class DeviceLoginDone(Model):
    """A bearer token that acts for the person who confirmed."""

    access_token: str
    expires_in: int = Field(description="Seconds.")
    whoami: Whoami
