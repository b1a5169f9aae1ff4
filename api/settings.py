"""The settings of one IMS. `api.configuration` fills them from flags, environment and file; nothing else reads those."""

import re
from dataclasses import field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ByteSize, ConfigDict, Field, SecretStr
from pydantic.dataclasses import dataclass

from api.contract.access import SCOPE_PATTERN, TokenRole
from api.registry.settings import RegistrySettings

ECR_URL = re.compile(r"https://(\d{12})\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\.(amazonaws\.com(?:\.cn)?|on\.aws)/?")
"""A registry in Amazon ECR: its account and its region."""

GAR_URL = re.compile(r"(https://[a-z0-9-]+-docker\.pkg\.dev)/((?:[a-z0-9-]+(?:\.[a-z0-9-]+)+/)?[a-z][a-z0-9-]+)/?")
"""Google Artifact Registry: its host, and a project there, with its organisation's domain before it if it has one."""

_STRICT = ConfigDict(extra="forbid", hide_input_in_errors=True)
_Seconds = Annotated[float, Field(gt=0)]
_Days = Annotated[float, Field(ge=0, le=36_600)]  # so many days ago there was a date; for ever is 0


UNFINISHED_RESTORE = "restore-unfinished"
"""While this file is in a data folder, a restore isn't done there."""


class UnusableDataError(ValueError):
    """A file in the data folder can't be used. The text names it, and says what to do."""


def _address(url: str) -> str:
    if url and not re.match(r"https?://[^/\s]+", url):
        raise ValueError("not an address; write it like https://ims.example.com")
    return url.rstrip("/")


def _database(value: str) -> str:
    if value != "sqlite" and not re.match(r"postgresql(\+psycopg)?://", value):
        raise ValueError("must be `sqlite` or an address like postgresql://user:password@host/name")
    return value


def _secrets_key(value: str) -> str:
    if not re.match(r"(file|awskms|gcpkms):.", value):
        raise ValueError("must be `file:PATH`, `awskms:KEY` or `gcpkms:KEY`")
    return value


def _issuer(url: str) -> str:
    _address(url)
    return url  # compared letter by letter: some providers' issuers end with a slash


Address = Annotated[str, AfterValidator(_address)]


@dataclass(frozen=True, config=_STRICT)
class Intervals:
    """How long things may take, in seconds. The server tells agents theirs in every answer."""

    lease: Annotated[_Seconds, Field(ge=1, description="So long may a job go without a sign of its agent.")] = 120
    heartbeat: Annotated[_Seconds, Field(description="How often an agent prolongs its lease; a quarter of it at most.")] = 15
    long_poll: Annotated[_Seconds, Field(description="How long an agent's question for work is held back.")] = 50
    sweep: Annotated[_Seconds, Field(description="How often expired leases and due retries are looked for.")] = 1
    unknown_before_requeue: Annotated[
        float,
        Field(
            ge=0,
            description="After a lease expired: how long its own agent may still come back before a job that may run twice "
            "is offered again.",
        ),
    ] = 30
    unknown_before_failure: Annotated[
        float,
        Field(ge=0, description="The same for a job that must not run twice (apply, destroy), after which it has failed."),
    ] = 3600
    ticket: Annotated[_Seconds, Field(description="How long a pull ticket is good until its first use.")] = 60
    log_watched: Annotated[
        _Seconds, Field(description="How long an agent lets log lines wait while somebody watches the log.")
    ] = 1
    log_unwatched: Annotated[_Seconds, Field(description="The same while nobody does.")] = 15
    watch: Annotated[_Seconds, Field(description="How long somebody who asked for a log counts as watching it.")] = 45
    offline: Annotated[
        _Seconds, Field(description="An agent not heard of for so long is called offline: more than two long polls.")
    ] = 120
    webhooks: Annotated[_Seconds, Field(description="So long are changes gathered before webhooks are told of them.")] = 0.2
    enrollment: Annotated[_Seconds, Field(description="How long an enrolment token is good.")] = 3600
    access_token: Annotated[_Seconds, Field(description="How long an agent's access token is good.")] = 900


@dataclass(frozen=True, config=_STRICT)
class Rate:
    """So many calls at once, and so many in a minute from then on."""

    burst: Annotated[int, Field(ge=1, description="How many at once.")]
    per_minute: Annotated[float, Field(gt=0, description="How many in a minute from then on.")]


def _rate(burst: int, per_minute: float) -> Any:
    return field(default_factory=lambda: Rate(burst, per_minute))


@dataclass(frozen=True, config=_STRICT)
class RateLimits:
    """How often routes may be called that take a secret from somebody who isn't signed in yet.

    What one client address may do. Many agents can share one address, so each has a limit of its own beside it.
    """

    enroll: Rate = _rate(20, 20)
    sign_in: Rate = _rate(10_000, 10_000)
    sign_in_of_agent: Rate = _rate(20, 10)
    login: Rate = _rate(30, 30)
    registry_token: Rate = _rate(1000, 1000)


@dataclass(frozen=True, config=_STRICT)
class LoginRule:
    """Gives a role and a scope to people whose ID token has `value` in the claim `claim` (as its value, or one of a list)."""

    claim: Annotated[str, Field(min_length=1)]
    value: Annotated[str, Field(min_length=1)]
    role: TokenRole
    scope: Annotated[str, Field(pattern=SCOPE_PATTERN)] = "all"


@dataclass(frozen=True, config=_STRICT)
class Oidc:
    """The OpenID provider with which people log in. The first rule that fits counts; whom none fits may not enter."""

    issuer: Annotated[
        str,
        Field(
            min_length=1, description="The provider's address, exactly as it writes it; OpenID Connect discovery starts there."
        ),
        AfterValidator(_issuer),
    ]
    client_id: Annotated[str, Field(min_length=1, description="The client that the provider knows this IMS as.")]
    rules: Annotated[
        tuple[LoginRule, ...],
        Field(
            description="Who may do what: tables of `claim`, `value`, `role` and `scope`, of which the first that fits counts."
        ),
    ]
    client_secret: Annotated[SecretStr | None, Field(description="The client's secret; better in a file.")] = None
    client_secret_file: Annotated[Path | None, Field(description="A file with the client's secret.")] = None
    scopes: Annotated[tuple[str, ...], Field(description="What the provider is asked for.")] = ("openid", "email", "profile")
    name_claim: Annotated[str, Field(min_length=1, description="The claim of the ID token that names a person.")] = "email"
    session_seconds: Annotated[_Seconds, Field(description="How long a login lasts, in seconds.")] = 8 * 3600

    def __post_init__(self) -> None:
        if self.client_secret and self.client_secret_file:
            raise ValueError("oidc has client_secret and client_secret_file; leave one of them out")

    def secret(self) -> str | None:
        """The client's secret; a public client has none. A file is read anew at each login. Raises OSError."""
        if self.client_secret_file:
            return self.client_secret_file.expanduser().read_text().strip()
        return self.client_secret.get_secret_value() if self.client_secret else None


@dataclass(frozen=True, config=_STRICT)
class Settings:
    """Where an IMS keeps its data, under which URL it is reached, and everything else that its operator may choose."""

    data: Annotated[Path, Field(description="The folder for the database, the keys and the registry.")]
    public_url: Annotated[Address, Field(description="The URL under which agents reach the IMS; else http://HOST:PORT.")]
    intervals: Intervals = field(default_factory=Intervals)
    rate_limits: RateLimits = field(default_factory=RateLimits)
    registry: RegistrySettings = field(default_factory=RegistrySettings)
    host: Annotated[str, Field(min_length=1, description="The address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="The port to listen on; 0 takes any free one.")] = 8420
    tls_certificate: Annotated[
        Path | None, Field(description="A PEM file with the certificate, and those above it: the IMS then speaks https itself.")
    ] = None
    tls_key: Annotated[Path | None, Field(description="A PEM file with the certificate's key, without a password.")] = None
    packages: Annotated[
        Path | None,
        Field(description="The folder of the packages that `terraform init` gets here; else `packages` in the data folder."),
    ] = None
    build_agent: Annotated[bool, Field(description="Whether a build agent is started beside the IMS.")] = True
    engine: Annotated[str | None, Field(description="The build agent's Terraform engine; found by itself if left out.")] = None
    database: Annotated[
        str,
        AfterValidator(_database),
        Field(description="`sqlite` (a file in the data folder), or `postgresql://user:password@host/name`."),
    ] = "sqlite"
    secrets_key: Annotated[
        str,
        AfterValidator(_secrets_key),
        Field(description="The key that encrypts secrets: `file:PATH` (seen from the data folder), `awskms:…` or `gcpkms:…`."),
    ] = "file:secrets.key"
    oidc: Annotated[Oidc | None, Field(description="How people log in through an identity provider.")] = None
    vendor_registry_url: Annotated[
        Address | None,
        Field(description="The vendor's registry, if it isn't the one in the IMS; it takes the tokens that the IMS gives out."),
    ] = None
    vendor_registry_role_arn: Annotated[
        str,
        Field(
            pattern=r"^(arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+)?$",
            description="If `vendor_registry_url` is Amazon ECR: the role with which the IMS makes each job's login; needs the "
            "extra `aws`.",
        ),
    ] = ""
    vendor_registry_reader: Annotated[
        str,
        Field(
            pattern=r"^([a-z0-9-]*\{app\}[a-z0-9-]*@[a-z0-9.-]+\.gserviceaccount\.com)?$",
            description="If `vendor_registry_url` is Google Artifact Registry: the service account that reads an app's "
            "repository, such as `exclave-{app}@PROJECT.iam.gserviceaccount.com`; needs the extra `gcp`.",
        ),
    ] = ""
    vendor_registry_writer: Annotated[
        str,
        Field(
            pattern=r"^(([a-z0-9-]|\{app\})+@[a-z0-9.-]+\.gserviceaccount\.com)?$",
            description="The service account that writes there; `{app}` is the app's name, and may be left out.",
        ),
    ] = ""
    vendor_registry_front: Annotated[
        bool,
        Field(
            description="If `vendor_registry_url` is Amazon ECR or Google Artifact Registry: whether install agents pull "
            "through the IMS, which lets them read what their ticket is for and nothing else, and get no login of the registry."
        ),
    ] = False
    webhooks_allow_private: Annotated[
        tuple[IPv4Network | IPv6Network, ...],
        Field(description="Private networks (CIDR) that webhooks may call; none by default."),
    ] = ()
    retention_events_days: Annotated[
        _Days, Field(description="How long history is kept, and up to a day longer; 0 keeps it for ever.")
    ] = 0
    retention_events_export: Annotated[
        bool,
        Field(description="Whether history goes to files in the data folder (`pruned-events`) before it is removed."),
    ] = True
    retention_jobs_days: Annotated[
        _Days, Field(description="How long jobs are kept after they ended; 0 keeps them for ever.")
    ] = 0
    retention_logs_days: Annotated[
        _Days, Field(description="How long a job's log is kept after the job has ended; 0 keeps it for ever.")
    ] = 90
    retention_health_days: Annotated[
        _Days, Field(description="How long the history of agents' health is kept; 0 keeps it for ever.")
    ] = 30
    retention_webhooks_days: Annotated[
        _Days, Field(description="How long delivered webhooks are kept; 0 keeps them for ever.")
    ] = 30
    log_format: Annotated[
        Literal["text", "json"], Field(description="`text` for people, `json` for one JSON object a line.")
    ] = "text"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Field(description="The least level that is logged; `info` has a line for each request of a person."),
    ] = "warning"
    otel_endpoint: Annotated[
        Address, Field(description="An OTLP/HTTP collector, such as http://127.0.0.1:4318; needs the extra `otel`.")
    ] = ""
    metrics_public: Annotated[bool, Field(description="Whether /metrics answers without a token.")] = False
    trusted_proxies: Annotated[
        tuple[IPv4Network | IPv6Network, ...],
        Field(description="Proxies (CIDR) whose X-Forwarded-For and X-Forwarded-Proto are believed."),
    ] = ()
    body_limit: Annotated[
        ByteSize, Field(ge=1024, description="The largest request body outside the registry; bytes, or with a unit: `1MiB`.")
    ] = ByteSize(1024 * 1024)
    disk_reserve: Annotated[
        ByteSize, Field(ge=0, description="With less free on the data folder's disk, the IMS says that it isn't ready.")
    ] = ByteSize(256 * 1024 * 1024)

    def __post_init__(self) -> None:
        if self.intervals.heartbeat >= self.intervals.lease:
            raise ValueError(
                f"intervals.heartbeat is {self.intervals.heartbeat:g} s, and must be shorter than intervals.lease "
                f"({self.intervals.lease:g} s)"
            )
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together: set both, or neither")
        if bool(self.vendor_registry_role_arn) != bool(ECR_URL.fullmatch(self.vendor_registry_url or "")):
            raise ValueError(
                "vendor_registry_role_arn goes with a vendor_registry_url of Amazon ECR, such as "
                "https://111122223333.dkr.ecr.eu-west-1.amazonaws.com: set both, or neither"
            )
        google = bool(GAR_URL.fullmatch(self.vendor_registry_url or ""))
        if bool(self.vendor_registry_reader) != google or bool(self.vendor_registry_writer) != google:
            raise ValueError(
                "vendor_registry_reader and vendor_registry_writer go with a vendor_registry_url of Google Artifact Registry "
                "and a project there, such as https://europe-west1-docker.pkg.dev/my-project: set all, or none"
            )
        if self.vendor_registry_front and not self.vendor_registry_logs_in:
            raise ValueError(
                "vendor_registry_front goes with a vendor_registry_url of Amazon ECR or Google Artifact Registry; another one "
                "takes the IMS's tokens itself"
            )

    @property
    def vendor_registry_logs_in(self) -> bool:
        """Whether the vendor's registry is one that takes only logins of its own cloud."""
        return bool(self.vendor_registry_role_arn or self.vendor_registry_reader)

    @property
    def packages_folder(self) -> Path:
        """The folder of packages."""
        return self.packages.expanduser() if self.packages else self.data / "packages"

    @property
    def database_file(self) -> Path:
        """The SQLite file."""
        return self.data / "exclave.db"

    @property
    def database_name(self) -> str:
        """The database as messages name it: without its password."""
        if self.database == "sqlite":
            return str(self.database_file)
        return re.sub(r"(://[^/:@]*):[^@]*@", r"\1:***@", self.database)

    @property
    def secrets_key_file(self) -> Path | None:
        """The key that wraps the keys of secret values: outside the database, mode 0600. None if it is in a KMS."""
        scheme, _, rest = self.secrets_key.partition(":")
        return self.data / Path(rest).expanduser() if scheme == "file" else None

    @property
    def secrets_provider(self) -> str:
        """The key for `secrets.keys.open_provider`: a file's path is whole."""
        return f"file:{self.secrets_key_file}" if self.secrets_key_file else self.secrets_key

    @property
    def admin_token(self) -> Path:
        """The first admin token, mode 0600."""
        return self.data / "admin.token"
