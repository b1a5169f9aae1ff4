"""The outputs of the kinds that always have the same ones: a build declares them, an install gives them."""

from api.contract.resources import ModuleOutput

IMAGE_OUTPUTS = ("digest", "repository", "tag", "uri")
CHART_OUTPUTS = ("app_version", "chart_version", "namespace", "release_name")
MANIFEST_OUTPUTS = ("addresses", "hosts", "namespace")


def declared(names: tuple[str, ...]) -> tuple[ModuleOutput, ...]:
    """The outputs as a build's result has them."""
    return tuple(ModuleOutput(name=name) for name in names)
