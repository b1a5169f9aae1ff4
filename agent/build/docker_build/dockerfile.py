"""The images that a Dockerfile takes from outside: bases, `COPY --from` and `RUN --mount=from=`, each with its line.

https://docs.docker.com/reference/dockerfile/. `closure`: each one is resolved at the build, and the Dockerfile that is built
names the resolved one in its place, so that the builder needs no network and a moved tag can't come in between.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from agent.failure import CodedError

_FROM = re.compile(r"^(\s*FROM\s+(?:--platform=\S+\s+)?)(\S+)((?:\s+AS\s+(\S+))?\s*)$", re.IGNORECASE)
_COPY = re.compile(r"^(\s*(?:COPY|ADD)\s(?:.*?\s)?--from=)(\S+)", re.IGNORECASE)
_MOUNT = re.compile(r"(--mount=(?:[^\s,]+,)*from=)([^\s,]+)")
_ARG = re.compile(r"^\s*ARG\s+(.+)$", re.IGNORECASE)
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?::(-|\+)([^}]*))?\})")
_INSTRUCTION = re.compile(r"^\s*[A-Za-z]+\s")

SCRATCH = "scratch"


class DockerfileError(CodedError):
    """The Dockerfile can't be read, or names an image that can't be known."""

    code = "dockerfile_wrong"
    remedy = "Correct the Dockerfile."


@dataclass(frozen=True)
class Base:
    """An image from outside, with its ARGs filled in; its line, and how it is written there."""

    image: str
    line: int
    written: str


@dataclass(frozen=True)
class Dockerfile:
    """A Dockerfile's text and what it takes from outside. `final` is the base of the stage that is built, if it has one."""

    lines: tuple[str, ...]
    bases: tuple[Base, ...]
    final: str | None

    def rewritten(self, name_of: Callable[[str], str]) -> str:
        """The text with each outside image called as `name_of` says."""
        lines = list(self.lines)
        for base in self.bases:
            for pattern in (_FROM, _COPY, _MOUNT):
                lines[base.line - 1] = pattern.sub(_renamer(base, name_of(base.image)), lines[base.line - 1])
        return "\n".join(lines) + "\n"


@dataclass
class _Reader:
    build_args: Mapping[str, str]
    target: str | None
    known: dict[str, str] = field(default_factory=dict)
    stages: list[tuple[str, str]] = field(default_factory=list)  # name, image or stage that it is from
    bases: list[Base] = field(default_factory=list)

    def read(self, text: str) -> Dockerfile:
        lines = text.splitlines()
        continued = False
        for number, line in enumerate(lines, start=1):
            if line.lstrip().startswith("#"):
                continue
            if not continued:
                self._instruction(line, number)
            if not _INSTRUCTION.match(line) or continued or line.lstrip().upper().startswith("RUN"):
                for _, image in _MOUNT.findall(line):
                    self._outside(image, number, image)
            continued = line.rstrip().endswith("\\")
        if not self.stages:
            raise DockerfileError("the Dockerfile has no FROM")
        return Dockerfile(tuple(lines), tuple(self.bases), self._final())

    def _instruction(self, line: str, number: int) -> None:
        if (found := _FROM.match(line)) is not None:
            image = self._filled(found[2], number)
            self._outside(image, number, found[2])
            self.stages.append((found[4] or str(len(self.stages)), image))
        elif line.lstrip().upper().startswith("FROM"):
            raise DockerfileError(f"line {number}: FROM isn't on one line: {line.strip()}")
        elif (found := _COPY.match(line)) is not None:
            self._outside(found[2], number, found[2])
        elif (found := _ARG.match(line)) is not None and not self.stages:
            for each in found[1].split():
                name, _, default = each.partition("=")
                self.known[name] = self.build_args.get(name, default.strip("\"'"))

    def _outside(self, image: str, number: int, written: str) -> None:
        names = {name.lower() for name, _ in self.stages} | {str(at) for at in range(len(self.stages))}
        if image.lower() not in names and image != SCRATCH:
            self.bases.append(Base(image, number, written))

    def _filled(self, text: str, number: int) -> str:
        def value(found: re.Match[str]) -> str:
            name = found[1] or found[2]
            have = self.known.get(name, "")
            if found[3] == "+":
                return found[4] if have else ""
            if not have and found[3] is None:
                raise DockerfileError(
                    f"line {number}: FROM {text} needs the ARG {name}, which has no value",
                    remedy="Give it a default before the first FROM, or a value in `build_args`.",
                )
            return have or found[4]

        return _VARIABLE.sub(value, text)

    def _final(self) -> str | None:
        sources = {name.lower(): image for name, image in self.stages}
        wanted = self.target.lower() if self.target else self.stages[-1][0].lower()
        if wanted not in sources:
            there = ", ".join(name for name, _ in self.stages)
            raise DockerfileError(
                f"the Dockerfile has no stage {self.target!r}", remedy=f"Its stages are: {there}.", field="config.target"
            )
        image = sources[wanted]
        for _ in self.stages:
            image = sources.get(image.lower(), image)
        return None if image == SCRATCH else image


def read_dockerfile(text: str, build_args: Mapping[str, str], target: str | None) -> Dockerfile:
    """Read a Dockerfile. Raises DockerfileError, with the line."""
    return _Reader(build_args, target).read(text)


def _renamer(base: Base, name: str) -> Callable[[re.Match[str]], str]:
    """Puts `name` where a pattern finds the base as it is written, and leaves anything else as it is."""

    def put(found: re.Match[str]) -> str:
        if found[2] != base.written:
            return found[0]
        return found[1] + name + (found[3] if found.re is _FROM else "")

    return put
