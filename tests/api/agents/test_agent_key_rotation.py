"""Changing an agent's key: both keys have to sign for it."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from ims_driver import Body, Ims, fields
from shop import Shop

from api.contract.enrollment import rotate_key_message

pytestmark = pytest.mark.anyio


def rotation(shop: Shop, old: Ed25519PrivateKey, new: Ed25519PrivateKey, signer: Ed25519PrivateKey | None = None) -> Body:
    public = base64.b64encode(new.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()
    at, nonce = int(shop.ims.clock().timestamp()), "nonce-of-a-rotation"
    message = rotate_key_message(shop.builder.id, public, at, nonce)
    return {
        "public_key": public,
        "timestamp": at,
        "nonce": nonce,
        "old_signature": base64.b64encode(old.sign(message)).decode(),
        "new_signature": base64.b64encode((signer or new).sign(message)).decode(),
    }


async def rotate(shop: Shop, body: Body, status: int) -> Body:
    answer = await shop.ims.send("POST", "/v1/agent/rotate-key", body, token=shop.builder.token)
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else {}


async def test_after_a_rotation_only_the_new_key_signs_in(ims: Ims, shop: Shop) -> None:
    await shop.builder.sign_in()
    old, new = shop.builder.key, Ed25519PrivateKey.generate()
    body = rotation(shop, old, new)
    await rotate(shop, body, 204)
    await rotate(shop, body, 204)  # the answer was lost
    assert [event["object_id"] for event in await ims.events("agent.key_rotated")] == [shop.builder.id]
    await ims.refused(401, "POST", "/v1/agent/session", shop.builder.signed(), token=None)
    shop.builder.key = new
    await shop.builder.sign_in()
    assert await shop.builder.lease() is None


async def test_a_rotation_needs_the_signatures_of_both_keys(ims: Ims, shop: Shop) -> None:
    await shop.builder.sign_in()
    old, new, other = shop.builder.key, Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    await rotate(shop, rotation(shop, other, new), 401)
    assert fields(await rotate(shop, rotation(shop, old, new, signer=other), 422)) == ["new_signature"]
    await rotate(shop, {**rotation(shop, old, new), "public_key": "AAAA"}, 401)
    ims.clock.forward(301)
    await shop.builder.sign_in()
    await rotate(shop, {**rotation(shop, old, new), "timestamp": int(ims.clock().timestamp()) - 301}, 401)
    await shop.builder.sign_in()
