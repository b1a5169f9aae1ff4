"""Calls to a real IMS, past the provider: what a test looks at there, and what it changes behind Terraform's back."""

import json
import urllib.request
from typing import Any

from server_process import ServerProcess


class RealIms:
    """An IMS without agents, and calls to its API as its admin."""

    def __init__(self, process: ServerProcess) -> None:
        self.url = process.url
        self.token = process.token

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON of an answer; None for an empty one. Raises urllib's HTTPError for a problem."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/v1/{path}", data, headers, method=method)) as answer:
            content = answer.read()
        return json.loads(content) if content else None

    def get(self, path: str) -> Any:
        """An object, or a page."""
        return self.call("GET", path)
