"""Manifests read as Kubernetes reads them, and what of two states of an object differs or is ours."""

from collections.abc import Mapping
from typing import Any

import pytest

from agent.artifact.manifest import ManifestsConfig
from agent.failure import CodedError
from agent.install.kubernetes_manifest.artifact import FetchedManifests
from agent.install.kubernetes_manifest.fields import differences, fingerprint, owned
from agent.install.kubernetes_manifest.order import rank
from agent.install.kubernetes_manifest.render import render_objects
from agent.install.variables import Scope
from agent.kubernetes.objects import Obj, Ref

HEAD = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: conf}\n"


def rendered(text: str, inputs: Mapping[str, Any] | None = None, inline: bool = True) -> list[Obj]:
    fetched = FetchedManifests(
        ManifestsConfig(files=("a.yaml",), closure="strict"), {"a.yaml": text.encode()}, "registry.example.com/shop/web"
    )
    return render_objects(fetched, Scope("ins_1", "acme", inputs or {}, lambda _: None, {}), inline=inline)


def test_scalars_are_read_as_kubernetes_does() -> None:
    text = HEAD + 'data: {a: 2001-01-01, b: 22:22, c: yes, d: 1, e: ~, f: "{{ inputs.n }}", g: 1.5, h: 0x10}\n'
    assert rendered(text, {"n": 3})[0]["data"] == {
        "a": "2001-01-01",
        "b": "22:22",
        "c": True,
        "d": 1,
        "e": None,
        "f": "3",
        "g": 1.5,
        "h": 16,
    }


def test_a_reference_may_be_a_list_a_key_and_a_part() -> None:
    text = HEAD + "data:\n  {{ inputs.name }}: {{ inputs.hosts }}\n  text: 'at {{ inputs.hosts | to_json }}'\n"
    given = {"name": "key", "hosts": ["a", "b"]}
    assert rendered(text, given)[0]["data"] == {"key": ["a", "b"], "text": 'at ["a","b"]'}
    with pytest.raises(CodedError, match="a list can't stand in the middle of a text"):
        rendered(text.replace(" | to_json", ""), given)


def test_files_are_taken_as_they_are() -> None:
    assert rendered(HEAD + 'data: {a: "{{ inputs.n }}"}\n', inline=False)[0]["data"] == {"a": "{{ inputs.n }}"}


@pytest.mark.service
def test_aliases_and_merges_are_followed_and_bombs_are_not() -> None:
    text = HEAD + "base: &base {a: 1, b: 2}\none: {<<: *base, b: 3}\ntwo: {<<: *base}\n"
    assert rendered(text)[0]["one"] == {"a": 1, "b": 3}
    bomb = HEAD + "a: &a [1,1,1,1,1,1,1,1,1,1]\n"
    for before, name in zip("abcdefg", "bcdefgh", strict=True):
        bomb += f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
    with pytest.raises(CodedError, match="holds too much"):
        rendered(bomb)
    with pytest.raises(CodedError, match="holds too much"):
        rendered(HEAD + "a: &a [*a]\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\n", "has no apiVersion"),
        ("apiVersion: v1\nkind: Pod\n", "document 1 .Pod without a name. has no metadata.name"),
        ("[1]\n", "isn't an object"),
        (HEAD + "data: {a: 1, a: 2}\n", "a.yaml:4 has the key 'a' twice"),
        (HEAD + "data: {1: a}\n", "has a key that isn't a text"),
    ],
)
def test_what_cant_be_an_object_is_named(text: str, said: str) -> None:
    with pytest.raises(CodedError, match=said):
        rendered(text)


def test_lists_are_taken_apart_and_what_a_server_wrote_is_left_out() -> None:
    text = (
        "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: a, uid: x, generation: 3}}\n"
    )
    assert rendered(text) == [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}]


def test_the_texts_of_a_secret_become_data() -> None:
    text = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {old: eA==}\nstringData: {new: y}\n"
    assert rendered(text)[0]["data"] == {"old": "eA==", "new": "eQ=="}
    assert "stringData" not in rendered(text)[0]


def test_differences_are_names() -> None:
    before = {
        "metadata": {"resourceVersion": "1", "labels": {"a": "1"}},
        "status": {"x": 1},
        "spec": {"c": [{"name": "w", "i": 1}]},
    }
    after = {"metadata": {"resourceVersion": "2", "labels": {"b": "1"}}, "spec": {"c": [{"name": "w", "i": 2}, {"name": "v"}]}}
    assert differences(before, after) == ["metadata.labels.a", "metadata.labels.b", "spec.c[v].name", "spec.c[w].i"]
    assert differences(before, before) == []
    assert differences({}, after, depth=2) == ["metadata.labels", "spec.c"]


def test_a_fingerprint_changes_with_what_is_ours_alone() -> None:
    fields = {"f:data": {"f:a": {}}, "f:ports": {'k:{"port":80}': {".": {}, "f:name": {}}}}
    live = {"data": {"a": "1", "b": "2"}, "ports": [{"port": 80, "name": "web"}, {"port": 81}]}
    same = {**live, "data": {"a": "1", "b": "3"}, "ports": [{"port": 82}, {"port": 80, "name": "web", "x": 1}]}
    assert fingerprint(live, [fields]) == fingerprint(same, [fields])
    for other in ({**live, "data": {"a": "2"}}, {**live, "data": {}}, {**live, "ports": [{"port": 81}]}):
        assert fingerprint(live, [fields]) != fingerprint(other, [fields])
    entries = [{"manager": "exclave", "operation": "Update", "fieldsV1": {}}]
    assert owned({"metadata": {"managedFields": entries}}) == {}


def test_what_others_need_comes_first() -> None:
    kinds = ["ValidatingWebhookConfiguration", "Shelf", "Deployment", "Secret", "Role", "CustomResourceDefinition", "Namespace"]
    assert sorted(kinds, key=lambda kind: rank(Ref("v1", kind, "", "a"))) == list(reversed(kinds))
