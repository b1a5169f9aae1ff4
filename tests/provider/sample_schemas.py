"""The schemas of the sample provider: every feature of the framework at least once."""

from typing import Any

from provider_bridge.framework.schema import Schema, schema_from_json


def text(**more: Any) -> dict[str, Any]:
    return {"description": "A text.", "type": "string", **more}


def number(**more: Any) -> dict[str, Any]:
    return {"description": "A number.", "type": "number", **more}


OPTIONAL = {"optional": True}
STABLE = {"computed": True, "stable": True}

THING: Schema = schema_from_json(
    {
        "description": "A thing of every kind of attribute.",
        "version": 2,
        "identity": {"id": {"description": "Its id."}, "realm": {"description": "Where it is.", "required": False}},
        "attributes": {
            "id": text(**STABLE),
            "name": text(required=True, replaces=True, pattern="^[a-z][a-z0-9-]*$", pattern_means="lower case"),
            "note": text(**OPTIONAL),
            "size": number(default=3, whole=True, minimum=1, maximum=100),
            "ratio": number(**OPTIONAL),
            "huge": number(**OPTIONAL),
            "anything": {"description": "Any type.", "type": "dynamic", "optional": True},
            "revision": number(computed=True),
            "labels": {"description": "Labels.", "type": ["map", "string"], "default": {}},
            "tags": {"description": "Tags.", "type": ["set", "string"], "optional": True},
            "document": text(normalized="json", **OPTIONAL),
            "settings": text(normalized="yaml", **OPTIONAL),
            "every": text(normalized="duration", **OPTIONAL),
            "secret": text(write_only=True, sensitive=True, **OPTIONAL),
            "secret_version": number(**OPTIONAL),
            "secret_length": number(computed=True, stable=True),
            "title": text(deprecated="Use `note`.", conflicts=["note"], **OPTIONAL),
            "owner": {
                "description": "Who it belongs to.",
                "optional": True,
                "nested": {"name": text(required=True), "team": text(default="core"), "id": text(**STABLE)},
            },
            "ports": {
                "description": "Ports by name.",
                "nesting": "map",
                "optional": True,
                "key_pattern": "^[a-z]+$",
                "nested": {"port": number(required=True), "protocol": text(default="tcp", one_of=["tcp", "udp"])},
            },
            "rules": {
                "description": "Rules in order.",
                "nesting": "list",
                "optional": True,
                "nested": {
                    "action": text(required=True, one_of=["allow", "deny"]),
                    "priority": number(default=10),
                    "id": text(computed=True),
                },
            },
            "peers": {
                "description": "Peers in no order.",
                "nesting": "set",
                "optional": True,
                "nested": {"address": text(required=True), "weight": number(default=1), "id": text(**STABLE)},
            },
            "timeouts": {
                "description": "How long things may take.",
                "optional": True,
                "nested": {"create": text(duration=True, **OPTIONAL), "delete": text(duration=True, **OPTIONAL)},
            },
        },
        "blocks": {
            "public": {
                "description": "A public image.",
                "conflicts": ["registry"],
                "attributes": {"image_url": text(required=True), "tag": text(default="latest")},
            },
            "registry": {
                "description": "A private image.",
                "attributes": {
                    "image_url": text(required=True, pattern="[a-z./]+"),
                    "password": text(write_only=True, **OPTIONAL),
                },
            },
            "mount": {
                "description": "A mount.",
                "nesting": "list",
                "max_items": 3,
                "attributes": {
                    "path": text(required=True, pattern="/.*"),
                    "read_only": {**text(default=False), "type": "bool"},
                },
                "blocks": {
                    "option": {
                        "description": "An option.",
                        "nesting": "set",
                        "attributes": {"key": text(required=True), "value": text(default="on")},
                    }
                },
            },
            "grant": {
                "description": "A grant.",
                "nesting": "set",
                "attributes": {"role": text(required=True), "scope": text(default="all"), "id": text(**STABLE)},
            },
        },
    }
)

PART: Schema = schema_from_json(
    {
        "description": "What a thing may become by a move. It takes as long to make as it says.",
        "identity": {"id": {"description": "Its id."}},
        "attributes": {
            "id": text(**STABLE),
            "name": text(required=True),
            "takes": text(duration=True, **OPTIONAL),
            "status": text(computed=True),
            "timeouts": {
                "description": "How long things may take.",
                "optional": True,
                "nested": {"create": text(duration=True, **OPTIONAL)},
            },
        },
    }
)

THING_DATA: Schema = schema_from_json(
    {
        "description": "Reads a thing.",
        "exactly_one_of": ["id", "name"],
        "attributes": {
            "id": text(optional=True, computed=True),
            "name": text(optional=True, computed=True),
            "size": number(computed=True),
        },
    }
)

TOKEN: Schema = schema_from_json(
    {
        "description": "A token that lasts for one run.",
        "attributes": {
            "scope": text(required=True, pattern="[a-z]+"),
            "value": text(computed=True, sensitive=True),
        },
    }
)

THINGS_LIST: Schema = schema_from_json(
    {"description": "Finds things.", "attributes": {"prefix": text(pattern="[a-z-]*", **OPTIONAL)}}
)

PROVIDER: Schema = schema_from_json({"description": "A sample.", "attributes": {"realm": text(pattern="[a-z]*", **OPTIONAL)}})
