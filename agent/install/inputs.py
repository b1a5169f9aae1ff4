"""Resolve the `ref+…` references among an install's sensitive inputs, in the customer's account."""

from collections.abc import Mapping

from agent.install.site import Site
from agent.job import JobContext
from agent.secrets.resolve import SecretUnresolvedError
from api.contract.agents import DeployJob
from api.contract.base import Json
from api.contract.components import template_texts
from api.contract.references import InvalidReferenceError, find_all
from api.contract.secret_references import scheme_of


async def resolve_inputs(
    job: DeployJob, context: JobContext, site: Site, texts: Mapping[str, str] | None = None
) -> dict[str, Json]:
    """The values of the references that this component uses, or only these `texts` of it, by input.

    The redactor knows each before anything runs.

    Values are texts: the engine converts them to the variable's type, as it does every text. Raises SecretUnresolvedError.
    """
    resolved: dict[str, Json] = {}
    for name in sorted(_used(template_texts(job.config) if texts is None else texts)):
        reference = job.sensitive_inputs.get(name)
        if scheme_of(reference) is None:
            continue
        if site.resolver is None:
            raise SecretUnresolvedError(f"input {name!r}: this agent resolves no references", remedy="Give the value itself.")
        value = await site.resolver.resolve(name, str(reference), context.redactor.learn)
        resolved[name] = value
    return resolved


def _used(texts: Mapping[str, str]) -> set[str]:
    try:
        return {reference.input for _, reference in find_all(texts) if reference.input}
    except InvalidReferenceError:
        return set()  # the rendering says so, with the field
