"""What the CLI writes as HCL means to a real engine what it meant to us, and is as `terraform fmt` would have it."""

import json
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from agent.engine.find import find_engine
from api.cli.hcl import Attribute, Block, Comment, Expression, JsonEncode, as_string, document, identifier

PIECES = [
    *("$", "%", "{", "}", "${", "%{", "$${", "%%{", "$$${", '"', "\\", "\\n", "\n", "\r\n", "\t", "EOT", "\nEOT\n", "<<EOT\n"),
    *(
        "{{ inputs.domain }}",
        "${var.x}",
        "%{ if true }",
        "~}",
        "# no",
        "// no",
        "/*",
        "ä",
        "☃",
        "\u2028",
        "\u00a0",
        "🙂",
        "\x07",
        " ",
    ),
]
AWKWARD = [
    *(
        "",
        " ",
        "line\nline\n",
        "line\n${x}\n%{y}\n",
        "  indented\n    more\n",
        "a\n\n\nb\n",
        "EOT\nEOT\n",
        "$${a}\n$${b}\n",
        "\n\n",
    ),
    *("$${", "$$${", "%%{", "%%%{", "\\u0024{", "null", "true", "1e5", "tail\\"),
]


def strings() -> list[str]:
    """The same on each run, so that a failure can be found again."""
    chance = random.Random(20261121)
    return AWKWARD + ["".join(chance.choices(PIECES, k=chance.randint(1, 9))) for _ in range(400)]


def terraform(folder: Path, *arguments: str) -> str:
    ended = subprocess.run(
        [*find_engine(None, {}).argv(), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "CHECKPOINT_DISABLE": "1"},
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def output(name: str, of: Any) -> Block:
    return Block("output", (name,), (Attribute("value", of),))


def test_every_string_list_and_map_means_what_it_was(tmp_path: Path) -> None:
    texts = strings()
    nested = {
        "list": texts[:50],
        "maps": [{"a": text, "b": {"c": [1, True, None, text]}} for text in texts[:30]],
        "none": {},
        "no": [],
    }
    keys = {
        text: str(at) for at, text in enumerate(dict.fromkeys([*texts, "for", "if", "in", "null", "true", "a-b", "1a", "ab_c"]))
    }
    (tmp_path / "main.tf").write_text(
        document(
            [
                Comment("Generated.\n\nOf two paragraphs.", alone=True),
                *(output(f"text_{at}", text) for at, text in enumerate(texts)),
                output("nested", nested),
                output("keys", keys),
                output("json", as_string(nested)),
                output("number", as_string([1.5, 1e300, "x"])),
            ]
        )
    )
    terraform(tmp_path, "fmt", "-check", "-diff")
    terraform(tmp_path, "apply", "-auto-approve", "-input=false", "-no-color")
    found = {name: one["value"] for name, one in json.loads(terraform(tmp_path, "output", "-json")).items()}
    # Terraform reads CR LF as it is written here, but normalises no string of ours: none has combining characters.
    assert {at: (text, found[f"text_{at}"]) for at, text in enumerate(texts) if found[f"text_{at}"] != text} == {}
    assert found["nested"] == nested
    assert found["keys"] == keys
    assert json.loads(found["json"]) == nested
    assert json.loads(found["number"]) == [1.5, 1e300, "x"]


def test_the_layout_is_that_of_terraform_fmt(tmp_path: Path) -> None:
    (tmp_path / "main.tf").write_text(
        document(
            [
                Comment("About what comes next."),
                Block(
                    "locals",
                    (),
                    (
                        Attribute("a", 1),
                        Attribute("longer_name", {"x": 1, "yyyy": 2, "zz": {"a": 1, "bbb": "line\nline\n"}, "ää": 3, "b": 4}),
                        Attribute("text", "one\ntwo\n"),
                        Attribute("json", JsonEncode({"hosts": ["a", "b"], "deep": [{"a": 1}, ["b"]]})),
                        Comment("About this one."),
                        Attribute("reference", Expression("path.module")),
                        Attribute("b", [1, 2]),
                    ),
                ),
                Comment("Alone.", alone=True),
                Block(
                    "resource",
                    ("terraform_data", "one"),
                    (
                        Attribute("input", None),
                        Comment("About the block."),
                        Block("lifecycle", (), (Attribute("prevent_destroy", False), Attribute("create_before_destroy", True))),
                    ),
                ),
                Block("resource", ("terraform_data", "two")),
            ]
        )
    )
    terraform(tmp_path, "fmt", "-check", "-diff")
    terraform(tmp_path, "validate")


@pytest.mark.parametrize(("text", "name"), [("a-b", "a-b"), ("a.b/c", "a_b_c"), ("1a", "_1a"), ("", "_"), ("ä", "_")])
def test_any_text_becomes_a_name(text: str, name: str) -> None:
    assert identifier(text) == name
