import os
import subprocess
from pathlib import Path

import pytest

from agent.build.git import GitFailedError
from agent.build.source import FetchedSource, SourceChangedError, SourceNotFoundError, SourceUnreadableError, fetch_source
from api.contract.components import GitSource, PathSource, Source
from api.contract.source_digest import source_digest

pytestmark = pytest.mark.anyio

ENV = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.com",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.com",
    "GIT_AUTHOR_DATE": "2026-01-02T03:04:05Z",
    "GIT_COMMITTER_DATE": "2026-01-02T03:04:05Z",
}


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, env=ENV, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Three commits: `one` on the branch old and the tag v1, `two` on no branch, `three` on main."""
    folder = tmp_path / "repository"
    (folder / "modules" / "net").mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    for content in ("one", "two", "three"):
        (folder / "modules" / "net" / "main.tf").write_text(f"# {content}\n")
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", "--message", content)
        if content == "one":
            git(folder, "branch", "old")
            git(folder, "tag", "--annotate", "--message", "v1", "v1")
    return folder


async def fetch_git(repository: Path | str, work: Path, ref: str, subdirectory: str = "modules/net") -> FetchedSource:
    work.mkdir()
    source = Source(git=GitSource(url=str(repository), ref=ref, subdirectory=subdirectory))
    return await fetch_source(source, work, ENV)


async def fetch_path(path: Path, work: Path, digest: str | None = None) -> FetchedSource:
    work.mkdir()
    return await fetch_source(Source(path=PathSource(path=str(path), digest=digest)), work, ENV)


@pytest.mark.parametrize(
    ("ref", "content"), [("main", "three"), ("old", "one"), ("v1", "one"), ("HEAD", "three"), ("refs/heads/old", "one")]
)
async def test_a_branch_or_tag_is_checked_out(repository: Path, tmp_path: Path, ref: str, content: str) -> None:
    fetched = await fetch_git(repository, tmp_path / "work", ref)
    assert (fetched.folder / "main.tf").read_text() == f"# {content}\n"
    assert fetched.revision == git(repository, "rev-parse", f"{ref}^{{commit}}")
    assert fetched.created == "2026-01-02T03:04:05Z"


@pytest.mark.parametrize("length", [40, 10])
async def test_a_commit_is_checked_out(repository: Path, tmp_path: Path, length: int) -> None:
    commit = git(repository, "rev-parse", "main~1")
    fetched = await fetch_git(repository, tmp_path / "work", commit[:length])
    assert (fetched.folder / "main.tf").read_text() == "# two\n"
    assert fetched.revision == commit


async def test_the_checkout_is_removed(repository: Path, tmp_path: Path) -> None:
    await fetch_git(repository, tmp_path / "work", "main")
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["source"]


async def test_an_unknown_ref_is_named_with_what_there_is(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(GitFailedError, match="'nope'") as refused:
        await fetch_git(repository, tmp_path / "work", "nope")
    assert refused.value.failure.field == "config.source.git.ref"
    assert "main, old" in refused.value.failure.remedy
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.parametrize("ref", ["main:refs/heads/x", "+main", "a b", "main^", "^main"])
async def test_a_ref_that_is_more_than_a_name_is_refused(repository: Path, tmp_path: Path, ref: str) -> None:
    with pytest.raises(GitFailedError) as refused:
        await fetch_git(repository, tmp_path / "work", ref)
    assert refused.value.failure.field == "config.source.git.ref"


async def test_a_repository_that_is_not_there_is_named_in_gits_words(tmp_path: Path) -> None:
    with pytest.raises(GitFailedError, match=r"not appear to be a git repository|does not exist") as refused:
        await fetch_git(tmp_path / "nope", tmp_path / "work", "main")
    assert refused.value.failure.field == "config.source.git.url"


async def test_a_password_in_a_url_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(GitFailedError) as refused:
        await fetch_git("http://user:hunter2@127.0.0.1:1/x.git", tmp_path / "work", "main")
    assert "hunter2" not in refused.value.failure.model_dump_json()


async def test_a_url_that_would_run_a_command_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GitFailedError):
        await fetch_git(f"ext::touch {tmp_path / 'ran'}", tmp_path / "work", "main")
    assert not (tmp_path / "ran").exists()


async def test_a_subdirectory_that_is_not_there_is_named(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(GitFailedError, match="modules/other") as refused:
        await fetch_git(repository, tmp_path / "work", "main", "modules/other")
    assert refused.value.failure.field == "config.source.git.subdirectory"


@pytest.mark.parametrize("target", ["/etc/hostname", "../../../secret"])
async def test_a_link_out_of_the_repository_is_refused(repository: Path, tmp_path: Path, target: str) -> None:
    (tmp_path / "secret").write_text("s")
    (repository / "modules" / "net" / "link.tf").symlink_to(target)
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "link")
    with pytest.raises((SourceUnreadableError, GitFailedError)):
        await fetch_git(repository, tmp_path / "work", "main")
    assert not (tmp_path / "work" / "source").exists()


async def test_hooks_of_the_machine_do_not_run(repository: Path, tmp_path: Path) -> None:
    hook = tmp_path / "template" / "hooks" / "post-checkout"
    hook.parent.mkdir(parents=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path / 'ran'}\n")
    hook.chmod(0o755)
    source = Source(git=GitSource(url=str(repository), ref="main"))
    (tmp_path / "work").mkdir()
    await fetch_source(source, tmp_path / "work", ENV | {"GIT_TEMPLATE_DIR": str(tmp_path / "template")})
    assert not (tmp_path / "ran").exists()


async def test_a_folder_is_copied_without_what_is_not_source(tmp_path: Path) -> None:
    origin = tmp_path / "origin"
    for name in ("main.tf", "sub/x.tf", ".terraform/providers/p", ".git/HEAD", "terraform.tfstate", "terraform.tfstate.backup"):
        (origin / name).parent.mkdir(parents=True, exist_ok=True)
        (origin / name).write_text(name)
    fetched = await fetch_path(origin, tmp_path / "work")
    found = {path.relative_to(fetched.folder).as_posix() for path in fetched.folder.rglob("*") if path.is_file()}
    assert found == {"main.tf", "sub/x.tf"}
    assert fetched.revision == source_digest(str(origin))
    assert fetched.created is None


async def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match="doesn't exist") as refused:
        await fetch_path(tmp_path / "nope", tmp_path / "work")
    assert (refused.value.failure.code, refused.value.failure.field) == ("source_not_found", "config.source.path")


async def test_a_file_is_not_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceNotFoundError, match="not a folder"):
        await fetch_path(tmp_path / "file", tmp_path / "work")


async def test_a_folder_that_has_changed_since_the_apply_is_refused(tmp_path: Path) -> None:
    (tmp_path / "origin").mkdir()
    (tmp_path / "origin" / "main.tf").write_text("1")
    digest = source_digest(str(tmp_path / "origin"))
    assert (await fetch_path(tmp_path / "origin", tmp_path / "work1", digest)).revision == digest
    (tmp_path / "origin" / "main.tf").write_text("2")
    with pytest.raises(SourceChangedError) as refused:
        await fetch_path(tmp_path / "origin", tmp_path / "work2", digest)
    assert refused.value.failure.field == "config.source.path"


async def test_a_link_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    (tmp_path / "origin").mkdir()
    (tmp_path / "origin" / "broken.tf").symlink_to("nowhere")
    with pytest.raises(SourceUnreadableError, match=r"broken\.tf"):
        await fetch_path(tmp_path / "origin", tmp_path / "work")
