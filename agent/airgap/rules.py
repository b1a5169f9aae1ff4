"""The customer's rules for what is carried here by hand: those under which their agent takes a release that the IMS offers."""

import getpass
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agent.airgap.bundle import Checked
from agent.failure import CodedError
from agent.identity import Home, IdentityError
from agent.ledger.ledger import Ledger
from agent.policy.policy import Policy, PolicySource
from agent.trust.notices import fingerprint
from agent.trust.releases import ReleaseRefusedError, ReleaseUnsignedError, check_may_run
from agent.trust.store import ArtifactRevokedError, TrustStore


class RulesUnknownError(CodedError):
    """What the rules say can't be told from what was given."""

    code = "rules_unknown"


@dataclass(frozen=True)
class Rules:
    """Whom the customer trusts, and what they let in. `trust` and `app` are those of their agent, if its folder was given."""

    keys: tuple[str, ...]
    policy: Policy
    trust: TrustStore | None = None
    app: str | None = None

    @classmethod
    def of(cls, home: Path | None, policy: Path | None, keys: tuple[str, ...]) -> "Rules":
        """The rules of the agent in `home`, or those of the file `policy`. `keys` (PEM) stand in for those that it trusts.

        Blocks. Raises RulesUnknownError, PolicyFileError, TrustFileError.
        """
        loaded = PolicySource(policy.absolute().parent, policy).load() if policy and home is None else Policy()
        if home is None:
            return cls(keys, loaded)
        try:
            identity = Home(home, make=False).identity()
        except (IdentityError, OSError) as error:
            raise RulesUnknownError(f"--home {home}: {error}") from None
        if identity is None or identity.enrolled.kind != "install":
            raise RulesUnknownError(f"--home {home} is not the folder of an install agent that has enrolled")
        trust = TrustStore(home.absolute(), tuple(identity.enrolled.vendor_keys))
        revoked = trust.revoked()
        trusted = tuple(key for key in keys if fingerprint(key) not in revoked) if keys else trust.keys()
        if not trusted:
            raise RulesUnknownError("every key is revoked", remedy="Trust the vendor's new one: `exclave agent trust add`.")
        return cls(trusted, PolicySource(home.absolute(), policy).load(), trust, identity.enrolled.app_name)

    def check(self, checked: Checked, now: datetime) -> None:
        """Whether the bundle may come in, as far as an agent would look at it before it brings and plans a release.

        Raises PolicyRefusedError, ArtifactRevokedError, ReleaseUnsignedError, ReleaseRefusedError, RulesUnknownError.
        """
        for one in checked.release.artifacts:
            self.policy.check_job("sync", one.component, None, now, [one.digest])
            if self.trust is not None:
                self.trust.check(one.component, [one.digest])
        if self.policy.document.releases != "any":
            self._check_release(checked)

    def learn(self, checked: Checked) -> None:
        """Remember for good, and write down, what a signed release revokes, where the agent would. Blocks."""
        if self.trust is None or checked.signed is None or self.policy.document.releases == "any":
            return
        new = self.trust.add((), checked.signed.document.revoked)
        if new.revoked:
            Ledger(self.trust.home).append("trust.changed", keys=[], revoked=list(new.revoked), by=getpass.getuser())

    def _check_release(self, checked: Checked) -> None:
        rule, release = self.policy.document.releases, checked.release
        if checked.signed is None:
            raise ReleaseUnsignedError(
                f"the customer's policy says `releases: {rule}`, and {release.app} release {release.number} isn't taken for "
                f"signed: {checked.unsigned}",
                remedy="Have the vendor sign it with `exclave releases sign`, and make the bundle again.",
            )
        said = checked.signed.document
        if self.app is not None and said.app != self.app:
            raise ReleaseRefusedError(
                f"the bundle has a release of the app {said.app!r}, and this is an install of {self.app!r}"
            )
        if rule == "forward" and self.trust is None:
            raise RulesUnknownError(
                "the policy says `releases: forward`, and only the agent knows which release was applied last",
                remedy="Give its folder with --home.",
            )
        revoked = {*self.policy.document.revoked, *(self.trust.revoked() if self.trust else ()), *said.revoked}
        highest = self.trust.highest_release() if self.trust and rule == "forward" else 0
        check_may_run(said.number, checked.signed.digest, revoked, highest)
        for one in release.artifacts:
            if one.digest in said.revoked:
                raise ArtifactRevokedError(f"release {said.number} revokes {one.digest}, which is its own {one.component}")
