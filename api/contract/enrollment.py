"""How an agent comes to have a token, and keeps it: it enrols once, signs in with its own key, and may change that key."""

from pydantic import Field

from api.contract.base import AgentKind, Model, Name, Timestamp


class EnrollmentCreate(Model):
    """Ask for a one-time enrolment token. An install agent's is bound to its install."""

    kind: AgentKind = Field(description="`install`: an agent that deploys in one install's account. `build`: one that builds.")
    install_id: str | None = Field(default=None, description="The install's id or name; only for an install agent.")


class EnrollmentCreated(Model):
    """The token, shown only here; it works once, until `expires_at`."""

    id: str
    kind: AgentKind
    install_id: str | None
    secret: str
    expires_at: Timestamp


class Enrollment(Model):
    """An enrolment token, without its secret. `agent_id` is the agent that used it."""

    id: str
    kind: AgentKind
    install_id: str | None
    agent_id: str | None = Field(description="The agent that has enrolled with it; null until one has.")
    created_at: Timestamp
    expires_at: Timestamp


class EnrollRequest(Model):
    """What an agent sends with its one-time token. The same key again gets the same answer; another key is refused."""

    token: str
    public_key: str = Field(description="The agent's own Ed25519 public key, raw 32 bytes in base64.")
    name: Name
    version: str
    platform: str = Field(description="`os/arch` as OCI writes it, such as `linux/amd64`.")
    sealing_key: str | None = Field(
        default=None,
        description="The X25519 public key to which secrets are sealed on their way to this agent, raw 32 bytes in base64.",
    )
    vendor_key: str | None = Field(
        default=None, description="Build agents only: the public key (PEM, ECDSA P-256) with which they sign artifacts."
    )


class EnrollResponse(Model):
    """What the agent is from now on, and what it pins: the vendor's public keys."""

    agent_id: str
    kind: AgentKind
    install_id: str | None
    install_name: str | None
    app_name: str | None
    vendor_keys: list[str] = Field(description="PEM public keys. An install agent trusts these and no others.")


class SignInRequest(Model):
    """Proof that the caller holds the agent's key: `signature` is Ed25519 over `sign_in_message(...)`, in base64."""

    agent_id: str
    timestamp: int = Field(description="Unix seconds; at most 5 minutes from the server's clock.")
    nonce: str = Field(min_length=16, max_length=64)
    signature: str
    version: str
    sealing_key: str | None = Field(
        default=None, description="As in EnrollRequest. Where it is given, it is signed too, and replaces the one before."
    )


def sign_in_message(agent_id: str, timestamp: int, nonce: str, sealing_key: str | None = None) -> bytes:
    """The bytes that an agent signs to sign in; without a sealing key, those of earlier agents."""
    parts = ["exclave-agent-sign-in", agent_id, str(timestamp), nonce, *([sealing_key] if sealing_key else [])]
    return "\n".join(parts).encode()


class SignInResponse(Model):
    """A bearer token for the agent's other calls."""

    access_token: str
    expires_in: int = Field(description="Seconds.")


class RotateKeyRequest(Model):
    """The agent's new public key, with two Ed25519 signatures over `rotate_key_message(...)`, in base64.

    That of the old key says that the agent wants the new one; that of the new key says that the agent has it.
    """

    public_key: str = Field(description="The new Ed25519 public key, raw 32 bytes in base64.")
    timestamp: int = Field(description="Unix seconds; at most 5 minutes from the server's clock.")
    nonce: str = Field(min_length=16, max_length=64)
    old_signature: str
    new_signature: str


def rotate_key_message(agent_id: str, public_key: str, timestamp: int, nonce: str) -> bytes:
    """The bytes that an agent signs to change its key."""
    return f"exclave-agent-rotate-key\n{agent_id}\n{public_key}\n{timestamp}\n{nonce}".encode()
