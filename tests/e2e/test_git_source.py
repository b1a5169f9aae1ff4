"""Components from a git repository: the build records the commit."""

import os
import subprocess

from engineer import apply, plan
from stage import QUICKSTART, Stage


def test_a_component_from_a_git_repository(vendor: Stage) -> None:
    repository = vendor.folder / "repository"
    identity = {f"GIT_{who}_{what}": "t@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(repository), *arguments],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, **identity},
        )
        return done.stdout.strip()

    repository.mkdir()
    git("init", "-q", "-b", "main")
    (repository / "parts").mkdir()
    module = (QUICKSTART / "modules" / "network" / "main.tf").read_text()
    (repository / "parts" / "main.tf").write_text(module)
    git("add", "-A")
    git("commit", "-q", "-m", "first")
    git("tag", "v1")

    main = vendor.work / "main.tf"
    source = f'git {{\n    url          = "{repository}"\n    ref          = "v1"\n    subdirectory = "parts"\n  }}'
    text = main.read_text().replace('path {\n    path = "${path.module}/modules/network"\n  }', source)
    assert source in text
    main.write_text(text)
    done = apply(vendor, join="acme")
    assert done.code == 0, done.output
    builds = {build["component"]: build for build in vendor.get("/v1/builds")["items"]}
    assert builds["network"]["source_revision"] == git("rev-parse", "HEAD")
    assert plan(vendor).code == 0

    main.write_text(text.replace('ref          = "v1"', 'ref          = "v2"'))
    done = apply(vendor)
    assert done.code == 1
    assert "v2" in done.output
