import pytest

from agent.oci.manifest import Descriptor, ManifestBody, descriptor_json
from agent.oci.shape import Fields, ShapeError

DIGEST = "sha256:" + "a" * 64


def manifest(layers: str) -> bytes:
    return f'{{"schemaVersion": 2, "layers": {layers}}}'.encode()


def test_what_is_null_counts_as_left_out() -> None:
    body = ManifestBody.read(
        b'{"mediaType": null, "config": null, "layers": null, "manifests": null, "subject": null, "annotations": null}'
    )
    assert body == ManifestBody("", None, None, None, [], [], {})
    assert ManifestBody.read(b"{}") == body


def test_fields_of_a_descriptor_that_have_no_name_here_are_kept() -> None:
    listed = {
        "digest": DIGEST,
        "size": 3,
        "mediaType": "text/plain",
        "annotations": {"a": "b"},
        "artifactType": "application/x",
        "platform": {"os": "linux", "architecture": "arm64", "variant": None},
        "urls": ["https://example.com/ä"],
    }
    assert descriptor_json(Descriptor.of(Fields(listed))) == listed
    assert descriptor_json(Descriptor(DIGEST, 0)) == {"digest": DIGEST, "size": 0}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (b"", "no JSON"),
        (b"\xff\xfe{}", "no JSON"),
        (b'{"layers": [}', "no JSON"),
        (b'{"a": NaN}', "no JSON: NaN"),
        (b'{"a": "\\ud800"}', "no JSON"),
        (b'{"a": ' + b"[" * 200_000, "no JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "no JSON"),
        (b"[]", "the document is no object"),
        (b'{"mediaType": 1}', "mediaType is not a string"),
        (b'{"config": []}', "config is no object"),
        (b'{"annotations": {"a": 1}}', "annotations is not an object of strings"),
        (b'{"annotations": {"a": null}}', "annotations is not an object of strings"),
        (manifest("{}"), "layers is not a list"),
        (manifest("[1]"), "layers.0 is no object"),
        (manifest('[{"size": 1}]'), "layers.0.digest is missing"),
        (manifest('[{"digest": "sha256:ab", "size": 1}]'), "layers.0.digest is not like sha256"),
        (manifest(f'[{{"digest": "{DIGEST}\\n", "size": 1}}]'), "layers.0.digest is not like"),
        (manifest(f'[{{"digest": "{DIGEST}"}}]'), "layers.0.size is missing"),
        (manifest(f'[{{"digest": "{DIGEST}", "size": -1}}]'), "layers.0.size is not a whole number"),
        (manifest(f'[{{"digest": "{DIGEST}", "size": 1.5}}]'), "layers.0.size is not a whole number"),
        (manifest(f'[{{"digest": "{DIGEST}", "size": true}}]'), "layers.0.size is not a whole number"),
        (manifest(f'[{{"digest": "{DIGEST}", "size": "1"}}]'), "layers.0.size is not a whole number"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_is_no_manifest_is_refused_and_the_field_named(document: bytes, said: str) -> None:
    with pytest.raises(ShapeError) as refused:
        ManifestBody.read(document)
    assert said in str(refused.value)
    assert len(str(refused.value)) < 300


def test_a_number_may_be_one_of_either_kind_or_left_out() -> None:
    fields = Fields.read(b'{"whole": 300, "part": 0.5, "text": "300", "truth": true}')
    assert (fields.number("whole"), fields.number("part"), fields.number("none", 60)) == (300, 0.5, 60)
    for name in ("text", "truth", "none"):
        with pytest.raises(ShapeError, match=name):
            fields.number(name)
