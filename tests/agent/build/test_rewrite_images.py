"""Images in rendered YAML replaced by the install's own: those that the build found, and nothing else."""

import pytest
import yaml

from agent.build.closure.found_images import images_in
from agent.build.closure.rewrite import rewrite_images

WEB = "sha256:" + "1" * 64
INIT = "sha256:" + "2" * 64
IMAGES = {"nginx:1.27": WEB, "ghcr.io/acme/init:1": INIT}
OURS = "registry.example.com:5000/exclave/shop/web"

POD = """# über all dem: a comment that stays
kind: Pod
metadata: {name: "wéb"}   # so does this
spec:
  initContainers: [{image: ghcr.io/acme/init:1, name: init}]
  containers:
    - image:   'nginx:1.27'   # the web server
      args: ["--sidecar=ghcr.io/acme/init:1", "nginx:1.27"]
      env: [{name: A, value: "ghcr.io/acme/init:1"}]
    - image: other:1
---
kind: ConfigMap
data:
  text: |
    image: nginx:1.27
"""


def test_each_image_that_travelled_is_replaced_by_its_digest() -> None:
    pod, config = yaml.safe_load_all(rewrite_images("web.yaml", POD, IMAGES, OURS))
    web, other = pod["spec"]["containers"]
    assert pod["spec"]["initContainers"][0]["image"] == f"{OURS}@{INIT}"
    assert (web["image"], other["image"]) == (f"{OURS}@{WEB}", "other:1")
    assert web["args"] == [f"--sidecar={OURS}@{INIT}", "nginx:1.27"]
    assert web["env"][0]["value"] == f"{OURS}@{INIT}"
    assert config["data"]["text"] == "image: nginx:1.27\n"


def test_everything_else_stays_as_it_was() -> None:
    rewritten = rewrite_images("web.yaml", POD, IMAGES, OURS)
    assert rewritten.count("\n") == POD.count("\n")
    for line in ("# über all dem: a comment that stays", 'metadata: {name: "wéb"}   # so does this', "    - image: other:1"):
        assert line in rewritten.splitlines()
    assert "   # the web server" in rewritten


def test_nothing_that_the_build_found_is_left() -> None:
    found = {image.name for image in images_in("web.yaml", rewrite_images("web.yaml", POD, IMAGES, OURS))}
    assert not found & set(IMAGES)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ("{repository: nginx, tag: '1.27'}", {"repository": OURS, "tag": f"1.27@{WEB}"}),
        (
            "{registry: ghcr.io, repository: acme/init, tag: 1}",
            {"registry": "registry.example.com:5000", "repository": "exclave/shop/web", "tag": f"1@{INIT}"},
        ),
    ],
)
def test_an_image_in_parts(parts: str, expected: dict[str, str]) -> None:
    assert yaml.safe_load(rewrite_images("x.yaml", f"image: {parts}\n", IMAGES, OURS)) == {"image": expected}


def test_an_image_in_a_block_of_text() -> None:
    text = "spec:\n  image: >-\n    nginx:1.27\n  name: x\n"
    assert yaml.safe_load(rewrite_images("x.yaml", text, IMAGES, OURS)) == {"spec": {"image": f"{OURS}@{WEB}", "name": "x"}}


def test_an_image_behind_an_alias_is_replaced_once() -> None:
    text = "a: {image: &web nginx:1.27}\nb: {image: *web}\n"
    rewritten = rewrite_images("x.yaml", text, IMAGES, OURS)
    assert yaml.safe_load(rewritten) == {"a": {"image": f"{OURS}@{WEB}"}, "b": {"image": f"{OURS}@{WEB}"}}
