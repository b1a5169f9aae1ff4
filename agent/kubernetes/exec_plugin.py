"""Credentials from a program, as EKS and GKE have them ("Authenticating", client-go credential plugins)."""

import asyncio
import contextlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agent.kubernetes.errors import ClusterLoginError, NoClusterError
from agent.kubernetes.login import Login

_SECONDS = 60
_EARLY = timedelta(minutes=1)
_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")


@dataclass
class ExecPlugin:
    """A program that prints an ExecCredential. What it gives is kept until it ends."""

    config: Mapping[str, Any]
    folder: Path
    what: str
    cluster: Mapping[str, Any]
    env: Mapping[str, str]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _held: tuple[Login, datetime | None] | None = field(default=None, repr=False)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    async def login(self, afresh: bool) -> Login:
        """The credentials. Raises ClusterLoginError, NoClusterError."""
        async with self._lock:
            if afresh or self._held is None or (self._held[1] is not None and self._held[1] - _EARLY < self.now()):
                self._held = await self._run()
            return self._held[0]

    async def _run(self) -> tuple[Login, datetime | None]:
        version = str(self.config.get("apiVersion"))
        if version not in _VERSIONS:
            raise NoClusterError(f"{self.what}: exec.apiVersion {version!r} is none of {', '.join(_VERSIONS)}")
        own = {name: value for name, value in self.env.items() if not name.startswith("EXCLAVE_")}
        env = {**own, **{each["name"]: str(each["value"]) for each in self.config.get("env") or []}}
        spec: dict[str, Any] = {"interactive": False}
        if self.config.get("provideClusterInfo"):
            spec["cluster"] = dict(self.cluster)
        info = {"apiVersion": version, "kind": "ExecCredential", "spec": spec}
        argv = [self._program(env), *map(str, self.config.get("args") or [])]
        printed = await self._output(argv, {**env, "KUBERNETES_EXEC_INFO": json.dumps(info)})
        try:
            given = json.loads(printed)["status"]
            login = Login(
                token=given.get("token"),
                certificate=given.get("clientCertificateData"),
                key=given.get("clientKeyData"),
            )
            ends = given.get("expirationTimestamp")
            return login, datetime.fromisoformat(ends) if ends else None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ClusterLoginError(f"{self.what}: {argv[0]} printed no ExecCredential with a status") from None

    def _program(self, env: Mapping[str, str]) -> str:
        """A command with a slash is relative to the kubeconfig; one without is looked for on PATH."""
        command = str(self.config.get("command") or "")
        found = str(self.folder / command) if "/" in command else shutil.which(command, path=env.get("PATH"))
        if not found or not Path(found).is_file():
            hint = str(self.config.get("installHint") or "").strip()
            raise NoClusterError(
                f"{self.what}: the program {command!r} isn't on the agent's machine", remedy=hint or f"Install {command}."
            )
        return found

    async def _output(self, argv: list[str], env: Mapping[str, str]) -> bytes:
        """What the program prints. Its errors are shown, its output never: it has the token."""
        process = await asyncio.create_subprocess_exec(
            *argv,
            env=dict(env),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(_SECONDS):
                printed, said = await process.communicate()
        except TimeoutError:
            raise ClusterLoginError(f"{self.what}: {argv[0]} did not answer within {_SECONDS} s") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode != 0:
            last = " ".join(said.decode(errors="replace").split())[-500:]
            raise ClusterLoginError(f"{self.what}: {argv[0]} failed with exit code {process.returncode}: {last}")
        return printed
