"""`ref+env://NAME`: a variable of the agent's environment, if the customer allows it by its prefix."""

from collections.abc import Mapping

from agent.secrets.reference import SecretReference, UnresolvedError


def from_environment(reference: SecretReference, env: Mapping[str, str], prefix: str) -> str:
    """The variable's value. Raises UnresolvedError."""
    reference.option()
    name = reference.name
    if not name.startswith(prefix):
        raise UnresolvedError(
            f"this agent reads only variables that begin with {prefix!r}",
            f"Name the variable {prefix}…, or start the agent with another --secrets-env-prefix.",
        )
    if name not in env:
        raise UnresolvedError(f"the agent's environment has no {name}", f"Set {name} for the agent, and start it again.")
    return env[name]
