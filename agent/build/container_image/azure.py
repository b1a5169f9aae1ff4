"""Azure Container Registry: a service principal's password as it is, or a refresh token for its certificate.

https://learn.microsoft.com/azure/container-registry/container-registry-auth-service-principal: the registry takes a client's id
and secret as a login. For a certificate, https://learn.microsoft.com/entra/identity-platform/certificate-credentials makes an
access token, which the registry's `/oauth2/exchange` turns into a refresh token for the user name of zeros.
"""

import base64
import binascii
import time
import uuid

import httpx
import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from pydantic import BaseModel, ConfigDict, ValidationError

from agent.build.builder import BuildContext
from agent.build.container_image.cloud import CloudAccessError
from agent.build.image_reference import ImageNameError, ImageReference
from agent.oci.token import Credential
from api.contract.image_sources import AcrImage

LOGIN = "https://login.microsoftonline.com"
_SCOPE = "https://containerregistry.azure.net/.default"
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_NOBODY = "00000000-0000-0000-0000-000000000000"
_SECONDS = 300


class _Tokens(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    access_token: str = ""
    refresh_token: str = ""


async def acr_credential(image: AcrImage, context: BuildContext, login: str = LOGIN) -> Credential:
    """A login for the registry. Raises CloudAccessError, SecretMissingError."""
    if image.client_secret_name is not None:
        return Credential(image.client_id, context.secret(image.client_secret_name, "config.azure_acr.client_secret_name"))
    if image.client_certificate_name is None:
        raise CloudAccessError(
            "the service principal has neither a secret nor a certificate",
            remedy="Give `client_secret_name` or `client_certificate_name`.",
            field="config.azure_acr.client_secret_name",
        )
    field = "config.azure_acr.client_certificate_name"
    pem = context.secret(image.client_certificate_name, field)
    issuer = f"{login}/{image.tenant_id}/oauth2/v2.0/token"
    form = {
        "grant_type": "client_credentials",
        "client_id": image.client_id,
        "scope": _SCOPE,
        "client_assertion_type": _ASSERTION,
        "client_assertion": _assertion(pem, image.client_id, issuer, field),
    }
    access = (await _tokens(context.http, issuer, form, field)).access_token
    registry = _registry(image)
    exchange = {"grant_type": "access_token", "service": registry.host, "tenant": image.tenant_id, "access_token": access}
    refresh = (
        await _tokens(context.http, f"{registry.url}/oauth2/exchange", exchange, "config.azure_acr.registry_url")
    ).refresh_token
    return Credential(_NOBODY, refresh)


def _registry(image: AcrImage) -> ImageReference:
    try:
        return ImageReference.parse(f"{image.registry_url.removeprefix('https://').rstrip('/')}/any")
    except ImageNameError:
        raise ImageNameError(
            f"{image.registry_url!r} is not a registry's address",
            remedy="Write its login server, such as `acme.azurecr.io`.",
            field="config.azure_acr.registry_url",
        ) from None


def _assertion(pem: str, client_id: str, audience: str, field: str) -> str:
    """A token that the certificate's key signs, with the certificate's thumbprint in its header."""
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        key = serialization.load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError, binascii.Error):
        key = None
    if not isinstance(key, RSAPrivateKey):
        raise CloudAccessError(
            "the secret isn't a certificate with its RSA key",
            remedy="Store both as PEM, unencrypted, one after the other.",
            field=field,
        )
    now = int(time.time())
    claims = {"aud": audience, "iss": client_id, "sub": client_id, "jti": str(uuid.uuid4()), "nbf": now, "exp": now + _SECONDS}
    thumbprint = base64.urlsafe_b64encode(certificate.fingerprint(hashes.SHA256())).rstrip(b"=").decode()
    return jwt.encode(claims, key, algorithm="PS256", headers={"x5t#S256": thumbprint})


async def _tokens(http: httpx.AsyncClient, url: str, form: dict[str, str], field: str) -> _Tokens:
    try:
        response = await http.post(url, data=form, timeout=30, follow_redirects=False)
        tokens = _Tokens.model_validate_json(response.content) if response.status_code == 200 else None
    except (httpx.TransportError, ValidationError) as error:
        raise CloudAccessError(
            f"{url} gives no token: {type(error).__name__}", remedy="Check the address.", field=field
        ) from None
    if tokens is None:
        raise CloudAccessError(
            f"{url} answers {response.status_code}",
            remedy="Check the tenant, the client's id, and that the certificate is registered for the client.",
            field=field,
        )
    return tokens
