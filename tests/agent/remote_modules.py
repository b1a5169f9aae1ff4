"""A place on the network from which a module may be called: a git repository, an archive, and a module registry, by TLS.

The registry speaks https://developer.hashicorp.com/terraform/internals/module-registry-protocol, and git its dumb protocol.
"""

import functools
import ssl
import subprocess
import threading
import zipfile
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from certificates import make_certificates

_REGISTRY = {
    "/v1/modules/acme/net/aws/versions": '{"modules": [{"versions": [{"version": "1.0.0"}, {"version": "1.2.3"}]}]}',
}
_DOWNLOADS = {f"/v1/modules/acme/net/aws/{version}/download": "/net.zip" for version in ("1.0.0", "1.2.3")}
_IDENTITY = {f"GIT_{who}_{what}": "t@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


@dataclass(frozen=True)
class RemoteModules:
    """A running server. `host` is its name with its port, `ca` the file of the authority that its certificate is from."""

    host: str
    ca: Path
    folder: Path
    server: ThreadingHTTPServer

    @property
    def git(self) -> str:
        """The address of the repository."""
        return f"git::https://{self.host}/net/.git"

    def commit(self, name: str, content: str) -> str:
        """Commit a file to the repository, and serve its folder as an archive, too; gives the commit's hash."""
        work = self.folder / "net"
        if not work.exists():
            work.mkdir()
            self._git("init", "-q", "-b", "main")
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(content)
        for arguments in (["add", "-A"], ["commit", "-q", "-m", name], ["update-server-info"]):
            self._git(*arguments)
        with zipfile.ZipFile(self.folder / "net.zip", "w") as archive:
            for path in sorted(work.rglob("*")):
                if path.is_file() and ".git" not in path.parts:
                    archive.write(path, path.relative_to(work).as_posix())
        return self._git("rev-parse", "HEAD")

    def close(self) -> None:
        """Be gone: nobody can reach it any more."""
        self.server.shutdown()
        self.server.server_close()

    def _git(self, *arguments: str) -> str:
        env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent", **_IDENTITY}
        done = subprocess.run(["git", *arguments], cwd=self.folder / "net", env=env, check=True, capture_output=True, text=True)
        return done.stdout.strip()


class _Answers(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path in _REGISTRY:
            self._answer(200, _REGISTRY[path].encode(), {"Content-Type": "application/json"})
        elif path in _DOWNLOADS:
            self._answer(204, b"", {"X-Terraform-Get": _DOWNLOADS[path]})
        else:
            super().do_GET()

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def serve_modules(folder: Path) -> RemoteModules:
    """Start the server; its files lie in `folder`, which is made."""
    make_certificates(folder / "tls", "localhost")
    (folder / "www").mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Answers, directory=str(folder / "www")))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls" / "server.pem", folder / "tls" / "server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return RemoteModules(f"localhost:{server.server_port}", folder / "tls" / "ca.pem", folder / "www", server)
