# Copied from api/contract/reference_names.py. Edit that one; see its first lines.
"""What references may name: where values come from, and functions. And what other template languages call the same.

Paths of Nuon, as they stand in imported configs, are understood: `{{ .nuon.install.id }}` is `{{ install.id }}`. The sandbox of
an app there is a component here, and is taken to be named `sandbox`. This file imports nothing: see `reference_grammar`.
"""

INSTALL_FIELDS = ("id", "name", "platform", "region")
IMAGE_FIELDS = ("repository", "tag", "digest", "uri")
ROOTS = (
    "inputs.NAME",
    "secrets.NAME",
    f"install.{{{','.join(INSTALL_FIELDS)}}}",
    "install.labels.NAME",
    "components.NAME.outputs.NAME",
    f"components.NAME.image.{{{','.join(IMAGE_FIELDS)}}}",
    "self.outputs.NAME (in probes)",
)
FUNCTIONS = {
    "b64decode": ("text",),
    "b64encode": ("text",),
    "concat": ("list…",),
    "default": ("fallback", "value"),
    "from_json": ("text",),
    "indent": ("spaces", "text"),
    "join": ("separator", "list"),
    "keys": ("map",),
    "length": ("value",),
    "lower": ("text",),
    "merge": ("map…",),
    "replace": ("old", "new", "text"),
    "sha256": ("text",),
    "split": ("separator", "text"),
    "to_json": ("value",),
    "trim": ("text",),
    "trim_prefix": ("prefix", "text"),
    "trim_suffix": ("suffix", "text"),
    "upper": ("text",),
    "url_encode": ("text",),
    "values": ("map",),
}
"""Every function with its parameters; one that ends in `…` takes any number of values, but at least one."""

ELSEWHERE = {
    "b64dec": "`b64decode`",
    "b64enc": "`b64encode`",
    "coalesce": "`default(fallback, value)`",
    "dig": "the path itself, with `default`: `{{ inputs.a.b | default('c') }}`",
    "fromJson": "`from_json`",
    "index": "`[0]` or `['key']` after the value",
    "len": "`length`",
    "printf": "the text around the reference",
    "sha256sum": "`sha256`",
    "toJson": "`to_json`",
    "toPrettyJson": "`to_json`",
    "trimPrefix": "`trim_prefix`",
    "trimSuffix": "`trim_suffix`",
    "urlquery": "`url_encode`",
}
"""What functions of other template languages are called here."""

Path = tuple[str | int, ...]


class NoEquivalentError(ValueError):
    """A path of something that isn't here. The text says what to write instead."""


def translated(path: Path) -> Path:
    """The path after `.nuon`, as ours. Raises NoEquivalentError."""
    match path:
        case ("id" | "name" as field,) | ("install", "id" | "name" as field):
            return ("install", field)
        case ("inputs" | "install", "inputs", *rest) if rest:
            return ("inputs", *rest)
        case ("secrets", str() as name):
            return ("secrets", name)
        case ("cloud_account", _, "region" | "location") | ("install_stack", "outputs", "region"):
            return ("install", "region")
        case ("sandbox", "outputs", *rest) | ("install", "sandbox", "outputs", *rest):
            return ("components", "sandbox", "outputs", *rest)
        case ("components", str() as name, "outputs", "image", "repository" | "tag" | "digest" as field, *rest) | (
            "components",
            str() as name,
            "image",
            "repository" | "tag" | "digest" as field,
            *rest,
        ) if rest in ([], ["uri"]):
            return ("components", name, "image", field)
        case ("components", _, "outputs", "image", *_) | ("components", _, "image", *_):
            raise NoEquivalentError("Of an image there are `repository`, `tag`, `digest` and `uri`.")
        case ("components", str() as name, "outputs", *rest):
            return ("components", name, "outputs", *rest)
        case ("install_stack" | "domain", *_) | ("install", "public_domain" | "internal_domain", *_):
            raise NoEquivalentError("Declare an input for it, which each install gives: `{{ inputs.NAME }}`.")
        case ("actions", *_):
            raise NoEquivalentError(
                "Make what the action gives an output of a component: `{{ components.NAME.outputs.NAME }}`."
            )
        case ("org" | "app" | "runner", *_):
            raise NoEquivalentError("Write the value itself, which is the same in every install, or declare an input for it.")
    raise NoEquivalentError("Write what it stands for, or declare an input for it: `{{ inputs.NAME }}`.")
