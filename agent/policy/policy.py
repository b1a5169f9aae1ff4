"""The customer's policy as it is at one moment, and what it says of a job that is to begin and of a plan.

It is read anew for each job, and judges on what the agent itself knows: the job, the clock, and the whole plan, of which
nothing leaves the agent. A file that can't be read lets nothing run.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agent.policy import rego
from agent.policy.document import FileOperation, PolicyDocument, PolicyFileError
from agent.policy.pause import KillSwitch, Paused
from agent.policy.planned import PlannedObject
from agent.policy.refusal import PolicyRefusedError, WindowClosedError, refused
from agent.policy.rules import Finding, Subject, any_like, concerns, find
from agent.policy.windows import is_open, opens_next
from api.contract.agents import JobKind
from api.contract.base import Digest
from api.contract.components import ComponentKind

FILE_NAME = "policy.yaml"
_NOTHING = PolicyDocument(version=1)
_OPERATION: dict[JobKind, FileOperation] = {"plan": "plan", "plan_destroy": "plan", "apply": "apply", "destroy": "destroy"}


@dataclass(frozen=True)
class Policy:
    """What the file said when it was read. `digest` is that of the file, None where there is none: then all is allowed."""

    document: PolicyDocument = _NOTHING
    digest: Digest | None = None
    paused: Paused | None = None
    folder: Path = Path()

    def check_job(
        self,
        job: JobKind,
        component: str,
        kind: ComponentKind | None,
        now: datetime,
        artifacts: Sequence[Digest] = (),
    ) -> None:
        """Whether a job may begin. Raises PolicyRefusedError or WindowClosedError.

        `kind` is None where it isn't known (a sync); `artifacts` are the digests that the job would bring or run.
        """
        rules = self.document
        if self.paused is not None:
            raise PolicyRefusedError(
                f"the customer has {self.paused}", remedy="Ask the customer to run `exclave agent resume`; then deploy again."
            )
        if rules.mode == "read_only" and job in ("apply", "destroy"):
            raise PolicyRefusedError(f"the customer lets this agent plan, but not {job}: its policy says `mode: read_only`")
        if kind is not None and rules.kinds is not None and kind not in rules.kinds:
            allowed = ", ".join(rules.kinds) or "none"
            raise PolicyRefusedError(f"the customer's policy allows no {kind}, which {component} is; it allows: {allowed}")
        if not any_like(component, rules.components):
            allowed = ", ".join(rules.components)
            raise PolicyRefusedError(f"the customer's policy allows no component {component!r}; it allows: {allowed}")
        for digest in artifacts:
            if digest in rules.revoked:
                raise PolicyRefusedError(
                    f"the customer's policy has revoked the artifact {digest}, which {component} would use",
                    remedy="Deploy a release that doesn't have it.",
                )
        self._check_window(job, component, now)

    def check_update(self, version: str) -> None:
        """Whether a version of the agent may be brought here. Raises PolicyRefusedError."""
        updates = self.document.updates
        if self.paused is not None:
            raise PolicyRefusedError(
                f"the customer has {self.paused}", remedy="Ask the customer to run `exclave agent resume`; then try again."
            )
        if updates.mode == "off":
            raise PolicyRefusedError("the customer's policy says `updates: mode: off`: they update the agent themselves")
        if not any_like(version, updates.versions):
            allowed = ", ".join(updates.versions)
            raise PolicyRefusedError(f"the customer's policy allows no agent of version {version}; it allows: {allowed}")

    def update_waits_until(self, now: datetime) -> datetime | None:
        """When the window opens in which the agent may be replaced; None if it may be now."""
        return self._opens("update", now)

    def _opens(self, operation: str, now: datetime) -> datetime | None:
        windows = [window for window in self.document.windows if operation in window.operations]
        return opens_next(windows, now) if windows and not is_open(windows, now) else None

    def _check_window(self, job: JobKind, component: str, now: datetime) -> None:
        if opens := self._opens(job, now):
            raise WindowClosedError(
                f"the customer's policy allows {job} of {component} only in its maintenance windows; "
                f"the next opens at {opens.isoformat(timespec='minutes')}",
                remedy=f"Deploy again from {opens:%Y-%m-%d %H:%M %Z} on.",
            )

    def concerns(self, subject: Subject) -> bool:
        """Whether any rule may hold of a plan of this subject."""
        return self.document.rego is not None or any(concerns(rule, subject) for rule in self.document.rules)

    def judge(self, subject: Subject, objects: Sequence[PlannedObject]) -> list[Finding]:
        """The rules that ask for the customer's own yes to a plan. May block: Rego is a program's business.

        Raises PolicyRefusedError if a rule refuses the plan, or RegoFailedError.
        """
        found = self.findings(subject, objects)
        refusing = [each for each in found if each.effect == "refuse"]
        if refusing:
            raise refused(subject.component, refusing)
        return found

    def findings(self, subject: Subject, objects: Sequence[PlannedObject]) -> list[Finding]:
        """Every rule that holds of a plan, those that refuse it among them. May block. Raises RegoFailedError."""
        found = find(self.document.rules, subject, objects)
        if self.document.rego:
            found += rego.judge(self.document.rego, self.folder, subject, objects)
        return found

    def environment(self, job: JobKind) -> dict[str, str]:
        """What is added to, or replaced in, the environment of whatever carries the job out."""
        operation = _OPERATION.get(job)
        return dict(self.document.environment.get(operation, {})) if operation else {}

    def patterns(self) -> list[re.Pattern[str]]:
        """What no log may show, besides the secrets that the agent knows."""
        return [re.compile(text) for text in self.document.redact]


@dataclass(frozen=True)
class PolicySource:
    """Where an agent's policy is: in `file`, which must exist then, or in the agent's home, where it may be missing."""

    home: Path
    file: Path | None = None

    @property
    def path(self) -> Path:
        """The file."""
        return self.file or self.home / FILE_NAME

    def load(self) -> Policy:
        """The policy of this moment. Blocks. Raises PolicyFileError."""
        paused = KillSwitch(self.home).state()
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            if self.file is None:
                return Policy(paused=paused)
            raise PolicyFileError(f"the policy file {self.path} isn't there") from None
        except OSError as error:
            raise PolicyFileError(f"the policy file {self.path} can't be read: {error.strerror}") from None
        from agent.policy.read import read_policy  # with a reader of YAML, for which whoever has no file has no use

        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        return Policy(read_policy(self.path.name, data), digest, paused, self.path.parent)
