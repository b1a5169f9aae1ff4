"""The provider's functions, as Terraform calls them: they build the references that a component's texts may hold.

Names are checked by the provider, when Terraform plans. The libraries' own `Fn` doesn't know functions of providers.
"""

import json

__all__ = ["image", "input_of", "install", "output", "secret"]


def _call(function: str, *arguments: str) -> str:
    literals = (json.dumps(each).replace("${", "$${").replace("%{", "%%{") for each in arguments)
    return f"${{provider::exclave::{function}({', '.join(literals)})}}"


def output(component: str, name: str) -> str:
    """An output of another component: `output("database", "url")`."""
    return _call("output", component, name)


def image(component: str, field: str) -> str:
    """The `repository`, `tag`, `digest` or `uri` of another component's image."""
    return _call("image", component, field)


def input_of(name: str) -> str:
    """An input of the app: `provider::exclave::input`."""
    return _call("input", name)


def secret(name: str) -> str:
    """A named secret."""
    return _call("secret", name)


def install(field: str) -> str:
    """The `id`, `name`, `platform` or `region` of the install itself."""
    return _call("install", field)
