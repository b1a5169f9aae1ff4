"""The key outside the database in Google Cloud KMS: https://cloud.google.com/kms/docs/reference/rpc/google.cloud.kms.v1."""

from typing import Any

from api.settings import UnusableDataError


class GoogleKmsKey:
    """A symmetric KMS key. Credentials come from where Google's libraries find them (application default credentials)."""

    def __init__(self, key: str, client: Any) -> None:
        self.id = f"gcpkms:{key}"
        self._key = key
        self._client = client

    @classmethod
    def open(cls, key: str) -> "GoogleKmsKey":
        """`key` is `projects/P/locations/L/keyRings/R/cryptoKeys/K`. Raises UnusableDataError without google-cloud-kms."""
        try:
            from google.cloud import kms
        except ImportError:
            raise UnusableDataError("a secrets key in Google KMS needs google-cloud-kms: pip install 'exclave[gcp]'") from None
        try:
            client = kms.KeyManagementServiceClient()
        except Exception as error:
            raise _unusable(key, error) from None
        return cls(key, client)

    def wrap(self, key: bytes, context: str) -> bytes:
        """See `KeyProvider`."""
        request = {"name": self._key, "plaintext": key, "additional_authenticated_data": context.encode()}
        try:
            wrapped: bytes = self._client.encrypt(request=request).ciphertext
        except Exception as error:
            raise _unusable(self._key, error) from None
        return wrapped

    def unwrap(self, wrapped: bytes, context: str) -> bytes:
        """See `KeyProvider`."""
        request = {"name": self._key, "ciphertext": wrapped, "additional_authenticated_data": context.encode()}
        try:
            key: bytes = self._client.decrypt(request=request).plaintext
        except Exception as error:
            raise _unusable(self._key, error) from None
        return key


def _unusable(key: str, error: Exception) -> UnusableDataError:
    # Google's libraries raise several families of errors (api_core, auth, grpc): their texts say what is wrong.
    return UnusableDataError(
        f"Google KMS can't use the key {key}: {error}. Check the credentials of this machine, that the key is enabled, and "
        "that they have the role roles/cloudkms.cryptoKeyEncrypterDecrypter on it"
    )
