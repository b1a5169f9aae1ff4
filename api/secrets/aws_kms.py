"""The key outside the database in AWS KMS: https://docs.aws.amazon.com/kms/latest/APIReference/API_Encrypt.html."""

from typing import Any

from api.settings import UnusableDataError


class AwsKmsKey:
    """A symmetric KMS key. Credentials and region come from where boto3 finds them, the region also from the key's ARN."""

    def __init__(self, key: str, client: Any) -> None:
        self.id = f"awskms:{key}"
        self._key = key
        self._client = client

    @classmethod
    def open(cls, key: str) -> "AwsKmsKey":
        """`key` is a key's ARN, id or alias. Raises UnusableDataError without boto3."""
        try:
            import boto3
        except ImportError:
            raise UnusableDataError("a secrets key in AWS KMS needs boto3: pip install 'exclave[aws]'") from None
        region = key.split(":")[3] if key.startswith("arn:") else None
        try:
            client = boto3.client("kms", region_name=region)
        except Exception as error:
            raise _unusable(key, error) from None
        return cls(key, client)

    def wrap(self, key: bytes, context: str) -> bytes:
        """See `KeyProvider`."""
        try:
            answer = self._client.encrypt(KeyId=self._key, Plaintext=key, EncryptionContext={"exclave": context})
        except Exception as error:
            raise _unusable(self._key, error) from None
        wrapped: bytes = answer["CiphertextBlob"]
        return wrapped

    def unwrap(self, wrapped: bytes, context: str) -> bytes:
        """See `KeyProvider`."""
        try:
            answer = self._client.decrypt(KeyId=self._key, CiphertextBlob=wrapped, EncryptionContext={"exclave": context})
        except Exception as error:
            raise _unusable(self._key, error) from None
        key: bytes = answer["Plaintext"]
        return key


def _unusable(key: str, error: Exception) -> UnusableDataError:
    # botocore and boto3 raise dozens of classes, most of them made at run time: their texts say what is wrong.
    return UnusableDataError(
        f"AWS KMS can't use the key {key}: {error}. Check the credentials and region of this machine, that the key is enabled, "
        "and that they allow kms:Encrypt and kms:Decrypt on it"
    )
