"""Provider functions: they build the references that a component's texts may hold, so that a wrong one is seen at once."""

import re

from provider_bridge.framework.functions import Function, FunctionError, Parameter
from provider_bridge.protocol.values import Value
from provider_bridge.resources.reference_names import IMAGE_FIELDS, INSTALL_FIELDS

_NAME = re.compile(r"[a-z]([a-z0-9_-]{0,61}[a-z0-9])?")
_NAME_RULE = "1 to 63 of a-z, 0-9, `-` and `_`; begins with a letter, ends with a letter or a digit"
_OUTPUT = re.compile(r"[A-Za-z0-9_-]+")

_COMPONENT = Parameter("component", "string", "The component's name.")


def _name(arguments: list[Value], at: int, what: str) -> str:
    name = str(arguments[at])
    if not _NAME.fullmatch(name):
        raise FunctionError(f"{name!r} can't be the name of {what}: {_NAME_RULE}.", at)
    return name


def _one_of(arguments: list[Value], at: int, what: str, known: tuple[str, ...]) -> str:
    field = str(arguments[at])
    if field not in known:
        raise FunctionError(f"{what} has no {field!r}; it has: {', '.join(known)}.", at)
    return field


class Output(Function):
    """`output("database", "url")`."""

    summary = "A reference to an output of another component."
    description = (
        "Returns `{{ components.COMPONENT.outputs.OUTPUT }}`, which the install agent replaces by the output's value. The "
        "component that uses it is deployed after the one that it names."
    )
    parameters = (_COMPONENT, Parameter("output", "string", "The output's name, as the component's module declares it."))
    returns = "string"

    def run(self, arguments: list[Value]) -> Value:
        """See `Function`."""
        component, output = _name(arguments, 0, "a component"), str(arguments[1])
        if not _OUTPUT.fullmatch(output):
            raise FunctionError(f"{output!r} can't be the name of an output: letters, digits, `-` and `_`.", 1)
        return f"{{{{ components.{component}.outputs.{output} }}}}"


class Image(Function):
    """`image("web_image", "repository")`."""

    summary = "A reference to the image of another component."
    description = (
        "Returns `{{ components.COMPONENT.image.FIELD }}`. The field is `repository`, `tag`, `digest` or `uri` "
        "(the repository with the digest) of the image in the customer's registry."
    )
    parameters = (_COMPONENT, Parameter("field", "string", "`repository`, `tag`, `digest` or `uri`."))
    returns = "string"

    def run(self, arguments: list[Value]) -> Value:
        """See `Function`."""
        component = _name(arguments, 0, "a component")
        return f"{{{{ components.{component}.image.{_one_of(arguments, 1, 'an image', IMAGE_FIELDS)} }}}}"


class Input(Function):
    """`input("domain")`."""

    summary = "A reference to an input of the app."
    description = "Returns `{{ inputs.NAME }}`, which the install agent replaces by what the install gives for that input."
    parameters = (Parameter("name", "string", "The input's name, as the app declares it."),)
    returns = "string"

    def run(self, arguments: list[Value]) -> Value:
        """See `Function`."""
        return f"{{{{ inputs.{_name(arguments, 0, 'an input')} }}}}"


class Secret(Function):
    """`secret("api_key")`."""

    summary = "A reference to a named secret."
    description = "Returns `{{ secrets.NAME }}`: the value of an `exclave_secret`, which reaches only the install's agent."
    parameters = (Parameter("name", "string", "The secret's name."),)
    returns = "string"

    def run(self, arguments: list[Value]) -> Value:
        """See `Function`."""
        return f"{{{{ secrets.{_name(arguments, 0, 'a secret')} }}}}"


class Install(Function):
    """`install("name")`."""

    summary = "A reference to the install itself."
    description = "Returns `{{ install.FIELD }}`. The field is `id`, `name`, `platform` or `region`."
    parameters = (Parameter("field", "string", "`id`, `name`, `platform` or `region`."),)
    returns = "string"

    def run(self, arguments: list[Value]) -> Value:
        """See `Function`."""
        return f"{{{{ install.{_one_of(arguments, 0, 'an install', INSTALL_FIELDS)} }}}}"
