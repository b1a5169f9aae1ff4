"""Who calls the IMS while the kill loop kills, and what they know was written."""

from dataclasses import dataclass, field
from typing import Any

import httpx
from stage import wait_for

CUSTOMERS = {"north": "auto", "south": "auto", "east": "vendor"}
"""Installs by name, and who approves their plans."""


@dataclass
class Written:
    """What was acknowledged, and so must be found at the end."""

    apps: list[str] = field(default_factory=list)
    inputs: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    """By install: each version of its inputs that a client knows was written, and the colour in it."""
    releases: list[str] = field(default_factory=list)
    deploys: dict[str, list[str]] = field(default_factory=dict)
    cancels: list[str] = field(default_factory=list)
    approvals: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        by_install = [*self.inputs.values(), *self.deploys.values()]
        return sum(map(len, [self.apps, self.releases, self.cancels, self.approvals, *by_install]))


class Caller:
    """Calls to the IMS, which may be dead. An answer of 500 is a fault whatever else happens."""

    def __init__(self, url: str, token: str, faults: list[str]) -> None:
        headers = {"authorization": f"Bearer {token}"}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=120, trust_env=False)
        self._faults = faults

    def send(self, method: str, path: str, body: Any = None, key: str | None = None) -> tuple[int, Any] | None:
        """Status and body; None if there was no answer, or one that says to try again."""
        try:
            answer = self._http.request(method, path, json=body, headers={"idempotency-key": key} if key else {})
        except httpx.TransportError:
            return None
        if answer.status_code >= 500:
            if answer.status_code != 503 or not answer.json()["retryable"]:
                self._faults.append(f"{method} {path}: {answer.status_code} {answer.text}")
            return None
        return answer.status_code, answer.json() if answer.content else None

    def ask(self, method: str, path: str, body: Any = None, key: str | None = None) -> tuple[int, Any]:
        """Send until there is an answer."""
        found: tuple[int, Any] = wait_for(f"{method} {path}", lambda: self.send(method, path, body, key), seconds=600)
        return found

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def get(self, path: str) -> Any:
        """What is there; it must be."""
        status, found = self.ask("GET", path)
        assert status == 200, (path, status, found)
        return found

    def all(self, path: str) -> list[Any]:
        """Every page of a collection."""
        items: list[Any] = []
        after = ""
        while True:
            page = self.get(f"{path}?limit=1000" + (f"&after={after}" if after else ""))
            items += page["items"]
            after = page["after"]
            if not after:
                return items
