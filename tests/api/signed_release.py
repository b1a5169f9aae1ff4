"""What a vendor signs of a release as a whole."""

from cryptography.hazmat.primitives.asymmetric import ec
from ims_driver import Body, Ims
from shop import sha

from agent.oci.dsse import sealed
from agent.oci.manifest import canonical_json
from agent.oci.vendor_key import FileKey, VendorKey
from api.contract.signed_releases import DOCUMENT_TYPE


async def document(ims: Ims, release: Body) -> Body:
    """The document of a release."""
    said = await ims.ok("GET", f"/v1/releases/{release['id']}/contents")
    lines = {name: {"digest": one["digest"], "config": sha(name)} for name, one in said["components"].items()}
    return {"app": said["app"], "number": said["number"], "components": lines, "revoked": []}


def signature(said: Body, key: VendorKey, payload_type: str = DOCUMENT_TYPE) -> Body:
    """The body that stores it."""
    return {"envelope": sealed(payload_type, canonical_json(said), key).decode(), "public_key": key.public_pem}


async def sign(ims: Ims, release: Body) -> None:
    """Have a release signed, with a key that nobody needs any more."""
    key = FileKey(ec.generate_private_key(ec.SECP256R1()))
    await ims.ok("PUT", f"/v1/releases/{release['id']}/signature", signature(await document(ims, release), key))
