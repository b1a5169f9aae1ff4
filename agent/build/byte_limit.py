"""Limits in bytes that the environment of a build agent may change."""

from collections.abc import Mapping

from agent.failure import CodedError


class LimitWrongError(CodedError):
    """A limit in the build agent's environment is no number of bytes."""

    code = "limit_wrong"
    remedy = "Give a whole number of bytes in the build agent's environment, or leave the variable out."


def byte_limit(env: Mapping[str, str], name: str, usual: int) -> int:
    """What the variable `name` says, `usual` without it. Raises LimitWrongError."""
    said = env.get(name, "")
    if not said:
        return usual
    if not (said.isascii() and said.isdigit()):
        raise LimitWrongError(f"{name} is {said!r}, which is no number of bytes")
    return int(said)
