"""Private repositories: the real git, by https with a password and by ssh with a key, each from a named secret."""

import base64
import os
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from build_job import BuildAgent
from registry_server import serve
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Route

from agent.build.git import GitFailedError, GitLogin, check_out
from agent.engine.find import EngineNotFoundError, find_engine
from agent.failure import JobFailedError
from api.contract.agents import BuildResult
from api.contract.components import CustomConfig, GitSource, Source, TerraformModuleConfig, secret_texts

pytestmark = pytest.mark.anyio

CANARY = "canary-git-77"
KEY = f"-----BEGIN OPENSSH PRIVATE KEY-----\n{CANARY}\n-----END OPENSSH PRIVATE KEY-----"
ENV = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", "GIT_TRACE_CURL": "1"}
IDENTITY = {f"GIT_{who}_{what}": "t@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "run.sh").write_text("#!/bin/sh\n")
    for arguments in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "first"], ["update-server-info"]):
        subprocess.run(["git", *arguments], cwd=folder, env={**ENV, **IDENTITY}, check=True)
    return folder


def head(repository: Path) -> str:
    return subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=repository, check=True, capture_output=True, text=True
    ).stdout.strip()


def behind_a_password(repository: Path, seen: list[str | None]) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        seen.append(request.headers.get("authorization"))
        wanted = "Basic " + base64.b64encode(f"me:{CANARY}".encode()).decode()
        if seen[-1] != wanted:
            return Response(status_code=401, headers={"WWW-Authenticate": 'Basic realm="git"'})
        path = repository / ".git" / request.path_params["path"]
        return FileResponse(path) if path.is_file() else Response(status_code=404)

    return answer


async def test_a_password_by_https(repository: Path, build_agent: BuildAgent) -> None:
    seen: list[str | None] = []
    route = Route("/acme/app.git/{path:path}", behind_a_password(repository, seen))
    async with serve(Starlette(routes=[route])) as url:
        source = GitSource(url=f"{url}/acme/app.git", ref=head(repository), username="me", password_secret="git-token")
        config = CustomConfig(source=Source(git=source), command=["./run.sh"])
        assert secret_texts(config) == {"source.git.password_secret": "git-token"}
        build = build_agent.builds("acme/app")
        with pytest.raises(JobFailedError) as missing:
            await build(config)
        assert (missing.value.failure.code, missing.value.failure.field) == (
            "secret_missing",
            "config.source.git.password_secret",
        )
        with pytest.raises(JobFailedError) as wrong:
            await build(config, secrets={"git-token": "wrong"})
        assert wrong.value.failure.code == "git_failed"
        result = await build(config, env=ENV, secrets={"git-token": CANARY})
    assert result.source_revision == head(repository)
    assert not [line for line in build_agent.log if CANARY in line]


async def test_a_redirect_does_not_take_a_password_along(repository: Path, tmp_path: Path) -> None:
    seen: list[str | None] = []
    route = Route("/{path:path}", behind_a_password(repository, seen))
    async with serve(Starlette(routes=[route])) as elsewhere:

        async def lead(request: Request) -> Response:
            return RedirectResponse(f"{elsewhere}/{request.path_params['path']}")

        async with serve(Starlette(routes=[Route("/{path:path}", lead)])) as url:
            with pytest.raises(GitFailedError):
                await check_out(GitSource(url=url, ref="main"), tmp_path / "work", ENV, GitLogin("me", CANARY))
    assert seen == []


async def test_a_key_by_ssh(repository: Path, tmp_path: Path) -> None:
    """The ssh here is a script: it notes what it is given, and runs what the other side would."""
    tools, noted = tmp_path / "tools", tmp_path / "noted"
    tools.mkdir()
    script = f'#!/bin/sh\nfor last; do :; done\necho "$@" > {noted}\n'
    script += f'while [ "$1" != "-i" ]; do shift; done\ncat "$2" >> {noted}; stat -c %a "$2" >> {noted}\neval "$last"\n'
    (tools / "ssh").write_text(script)
    (tools / "ssh").chmod(0o755)
    env = ENV | {"PATH": f"{tools}:{ENV['PATH']}", "GIT_SSH_COMMAND": "false"}
    source = GitSource(url=f"git@git.example.com:{repository}", ref="main", ssh_key_secret="deploy-key")
    commit = await check_out(source, tmp_path / "work" / "tree", env, GitLogin(ssh_key=KEY))
    assert commit.hash == head(repository)
    said = noted.read_text()
    assert "-oBatchMode=yes -oIdentitiesOnly=yes" in said
    assert KEY in said
    assert said.rstrip().endswith("600")
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["tree"]


@pytest.mark.parametrize(
    "fields",
    [
        {"url": "http://git.example.com/a.git", "password_secret": "token"},
        {"url": "git@git.example.com:a.git", "password_secret": "token"},
        {"url": "https://git.example.com/a.git", "ssh_key_secret": "key"},
        {"url": "https://git.example.com/a.git", "username": "me"},
    ],
)
def test_a_login_that_does_not_fit_the_address(fields: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="secret"):
        GitSource(**fields)  # type: ignore[arg-type]


def module_in(folder: Path, text: str) -> Path:
    folder.mkdir()
    (folder / "main.tf").write_text(text)
    for arguments in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "first"], ["update-server-info"]):
        subprocess.run(["git", *arguments], cwd=folder, env={**ENV, **IDENTITY}, check=True)
    return folder


async def test_private_modules_of_the_sources_host_are_fetched_with_the_sources_login_and_others_without(
    build_agent: BuildAgent, tmp_path: Path
) -> None:
    """The real git and the real engine; another host asks for the same password, and isn't told it."""
    try:
        engine = find_engine(None, os.environ)
    except EngineNotFoundError:
        pytest.skip("no Terraform engine here")
    seen: list[str | None] = []
    elsewhere: list[str | None] = []

    async def own(request: Request) -> Response:
        return await behind_a_password(tmp_path / request.path_params["name"], seen)(request)

    net = module_in(tmp_path / "net", 'output "id" { value = "net" }\n')
    foreign = Route("/acme/net.git/{path:path}", behind_a_password(net, elsewhere))
    routes = [Route("/acme/{name}.git/{path:path}", own)]
    async with serve(Starlette(routes=routes)) as url, serve(Starlette(routes=[foreign])) as other:
        build = build_agent.builds("acme/app", engine)

        async def of(name: str, host: str) -> BuildResult:
            folder = module_in(tmp_path / name, f'module "net" {{\n  source = "git::{host}/acme/net.git?ref=main"\n}}\n')
            git = GitSource(url=f"{url}/acme/{name}.git", ref=head(folder), username="me", password_secret="git-token")
            config = TerraformModuleConfig(source=Source(git=git))
            return await build(config, env={**ENV, "GIT_TRACE_CURL": ""}, secrets={"git-token": CANARY})

        result = await of("app", url)
        with pytest.raises(JobFailedError) as refused:
            await of("stray", other)
    assert result.source_revision == head(tmp_path / "app")
    assert refused.value.failure.code == "init_failed"
    assert elsewhere
    assert set(elsewhere) == {None}
    assert CANARY not in refused.value.failure.model_dump_json()
    assert not [line for line in build_agent.log if CANARY in line]
