"""Whether whoever made an image has signed it, before anything of it is copied."""

from cryptography.exceptions import UnsupportedAlgorithm

from agent.build.builder import BuildContext
from agent.build.image_reference import ImageReference
from agent.failure import CodedError
from agent.oci.client import RegistryClient
from agent.oci.dsse import key_id
from agent.oci.signature import SignatureError, public_key_of, verify
from api.contract.image_sources import ImageVerification


class ImageUnverifiedError(CodedError):
    """The image has no signature by the key that the config names."""

    code = "image_not_verified"
    remedy = (
        "Have its maker sign this digest (`cosign sign --key`), or name the key that they sign with. What cosign 3 writes by "
        "default isn't read: sign with `--new-bundle-format=false`."
    )


class VerificationKeyError(CodedError):
    """What should be a public key isn't one that this agent can use."""

    code = "image_key_wrong"
    remedy = (
        "Give the public key as PEM, `-----BEGIN PUBLIC KEY-----` and all: an ECDSA key, as `cosign generate-key-pair` makes."
    )


async def check_signature(
    wanted: ImageVerification, source: RegistryClient, image: ImageReference, digest: str, context: BuildContext
) -> None:
    """Read the source registry's signatures of `digest`: the image's own, or its index's, which names each platform by digest.

    Raises ImageUnverifiedError, VerificationKeyError, SecretMissingError, and the errors of RegistryClient.
    """
    field = "config.verify.key_secret" if wanted.key_secret else "config.verify.key"
    pem = context.secret(wanted.key_secret, field) if wanted.key_secret else wanted.key or ""
    try:
        name = f"the key sha256:{key_id(public_key_of(pem))}"
    except (ValueError, UnsupportedAlgorithm):
        raise VerificationKeyError("`verify` doesn't have an ECDSA public key", field=field) from None
    if wanted.key_secret:
        name += f" of the secret {wanted.key_secret}"
    try:
        await verify(source, image.repository, digest, (pem,))
    except SignatureError as error:
        why = {
            "unsigned": "it has no signature",
            "other_key": "it is signed with another key",
            "other_digest": "what this key signed there is another digest",
        }[error.reason]
        raise ImageUnverifiedError(f"{image}, which is {digest}, isn't signed with {name}: {why}", field=field) from None
    context.log(f"{image} is signed with {name}")
