"""Platforms as OCI and Terraform write them."""

import platform
import sys

from api.contract.base import Model

_ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


class Platform(Model):
    """An operating system and an architecture, in Go's words: `linux` and `amd64`."""

    os: str
    architecture: str

    def __str__(self) -> str:
        return f"{self.os}_{self.architecture}"

    @classmethod
    def named(cls, name: str) -> "Platform":
        """The platform that OCI calls `linux/amd64`."""
        os, _, architecture = name.partition("/")
        return cls(os=os, architecture=architecture)


def current_platform() -> Platform:
    """The platform of this machine."""
    machine = platform.machine().lower()
    return Platform(os=sys.platform, architecture=_ARCHITECTURES.get(machine, machine))
