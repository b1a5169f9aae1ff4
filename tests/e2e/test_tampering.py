"""A bundle that isn't what the vendor signed is never unpacked; the customer's registry has one writer."""

import base64
import hashlib
import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from engineer import apply
from stage import Stage


def built(stage: Stage) -> dict[str, str]:
    """Release the app without deploying it; the digests by component."""
    assert apply(stage, "-target=exclave_release.current").code == 0
    release = stage.get("/v1/releases?order=desc&limit=1")["items"][0]
    return {build["component"]: build["digest"] for build in release["builds"]}


def content(stage: Stage, digest: str) -> Path:
    """The file in which the vendor's registry keeps a blob."""
    return stage.vendor / "registry" / "blobs" / digest.removeprefix("sha256:")


def manifest(stage: Stage, repository: str, digest: str) -> dict:
    """A manifest, read from the vendor registry's own folder."""
    name = digest.removeprefix("sha256:")
    found = [path for path in (stage.vendor / "registry").rglob(f"_manifests/{name}") if repository in str(path)]
    return json.loads(found[0].read_bytes().split(b"\n", 1)[1])


def never_ran(stage: Stage, *said: str) -> None:
    deploy = stage.get("/v1/deploys?order=desc&limit=1")["items"][0]
    assert deploy["status"] == "failed"
    sync = next(step for step in deploy["steps"] if step["component"] == "network")
    assert sync["kind"] == "sync"
    assert sync["status"] == "failed"
    for words in said:
        assert words in json.dumps(sync["failure"]), sync["failure"]
    assert not list((stage.customer("acme") / "agent").rglob("main.tf")), "the bundle was unpacked"


def test_one_changed_byte_in_the_vendors_registry(vendor: Stage) -> None:
    digests = built(vendor)
    source = manifest(vendor, "network", digests["network"])["layers"][0]["digest"]
    path = content(vendor, source)
    bytes_ = bytearray(path.read_bytes())
    bytes_[len(bytes_) // 2] ^= 1
    path.write_bytes(bytes_)
    done = apply(vendor, join="acme")
    assert done.code == 1
    assert "network" in done.output
    never_ran(vendor, "digest")


def test_a_signature_by_another_key(vendor: Stage) -> None:
    digests = built(vendor)
    tag = digests["network"].replace(":", "-") + ".sig"
    link = next(path for path in (vendor.vendor / "registry").rglob(tag) if "network" in str(path))
    signature = manifest(vendor, "network", link.read_text().strip())
    layer = signature["layers"][0]
    payload = content(vendor, layer["digest"]).read_bytes()
    forged = ec.generate_private_key(ec.SECP256R1()).sign(payload, ec.ECDSA(hashes.SHA256()))
    layer["annotations"]["dev.cosignproject.cosign/signature"] = base64.b64encode(forged).decode()
    body = json.dumps(signature).encode()
    digest = hashlib.sha256(body).hexdigest()
    (link.parent.parent / "_manifests" / digest).write_bytes(signature["mediaType"].encode() + b"\n" + body)
    link.write_text(f"sha256:{digest}")
    done = apply(vendor, join="acme")
    assert done.code == 1
    never_ran(vendor, "key")


def test_only_the_agent_writes_the_customers_registry(vendor: Stage) -> None:
    assert apply(vendor, join="acme").code == 0
    registry = vendor.customer("acme") / "registry"
    for who, action, allowed in (("writer", "push", True), ("reader", "pull", True), ("reader", "push", False)):
        granted = token(json.loads((registry / f"{who}.json").read_text()), f"repository:shop/network:{action}")
        assert (action in granted) is allowed, (who, action)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(json.loads((registry / "reader.json").read_text())["url"] + "/v2/shop/network/tags/list")
    refused.value.close()
    assert refused.value.code == 401


def token(login: dict[str, str], scope: str) -> list[str]:
    """What the customer's registry grants, from the token's own claims."""
    basic = base64.b64encode(f"{login['username']}:{login['password']}".encode()).decode()
    request = urllib.request.Request(
        f"{login['url']}/token?service=exclave-registry&scope={scope}", headers={"Authorization": f"Basic {basic}"}
    )
    try:
        with urllib.request.urlopen(request) as answer:
            claims = json.load(answer)["token"].split(".")[1]
    except urllib.error.HTTPError as error:
        error.close()
        return []
    access = json.loads(base64.urlsafe_b64decode(claims + "=="))["access"]
    return [action for one in access for action in one["actions"]]


def test_the_vendors_key_is_never_in_the_ims(vendor: Stage) -> None:
    built(vendor)
    keys = list((vendor.vendor / "build-agent").rglob("*.pem")) + list((vendor.vendor / "build-agent").rglob("*key*"))
    private = [path for path in keys if path.is_file() and b"PRIVATE KEY" in path.read_bytes()]
    assert private
    for path in private:
        assert path.stat().st_mode & 0o777 == 0o600
        number = serialization.load_pem_private_key(path.read_bytes(), None)
        der = number.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        assert der[-32:] not in (vendor.vendor / "exclave.db").read_bytes()
