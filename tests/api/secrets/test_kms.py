"""The key in a cloud's KMS, with the unmodified clients of AWS and Google against fakes written from their documentation."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from botocore.session import get_session
from botocore.stub import Stubber
from google.auth.credentials import AnonymousCredentials
from google.cloud import kms
from google.cloud.kms_v1.services.key_management_service.transports import KeyManagementServiceGrpcTransport
from ims_driver import running_ims

from api.secrets import keyring, offline
from api.secrets.aws_kms import AwsKmsKey
from api.secrets.google_kms import GoogleKmsKey
from api.settings import Settings, UnusableDataError

pytestmark = pytest.mark.anyio

ARN = "arn:aws:kms:eu-west-1:1:key/k"
NAME = "projects/p/locations/global/keyRings/r/cryptoKeys/k"


def test_aws_kms_wraps_with_the_key_and_binds_the_context() -> None:
    client = get_session().create_client("kms", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="y")
    key = AwsKmsKey(ARN, client)
    asked = {"KeyId": ARN, "EncryptionContext": {"exclave": "dek_1"}}
    with Stubber(client) as stub:
        stub.add_response("encrypt", {"CiphertextBlob": b"wrapped"}, {**asked, "Plaintext": b"key"})
        stub.add_response("decrypt", {"Plaintext": b"key"}, {**asked, "CiphertextBlob": b"wrapped"})
        stub.add_client_error("decrypt", "InvalidCiphertextException", "", 400)
        assert key.wrap(b"key", "dek_1") == b"wrapped"
        assert key.unwrap(b"wrapped", "dek_1") == b"key"
        with pytest.raises(UnusableDataError, match=r"AWS KMS can't use the key .*kms:Decrypt"):
            key.unwrap(b"wrapped", "dek_2")
    assert key.id == f"awskms:{ARN}"


class FakeGoogleKms(grpc.GenericRpcHandler):
    """A fake of google.cloud.kms.v1.KeyManagementService: Encrypt and Decrypt, without any encryption."""

    def __init__(self) -> None:
        self.calls = 0

    def service(self, call: grpc.HandlerCallDetails) -> Any:
        """See grpc.GenericRpcHandler."""
        encrypts = call.method.endswith("/Encrypt")
        request, answer = (kms.EncryptRequest, kms.EncryptResponse) if encrypts else (kms.DecryptRequest, kms.DecryptResponse)
        return grpc.unary_unary_rpc_method_handler(
            self._encrypt if encrypts else self._decrypt,
            request_deserializer=request.deserialize,
            response_serializer=answer.serialize,
        )

    def _encrypt(self, request: kms.EncryptRequest, context: grpc.ServicerContext) -> kms.EncryptResponse:
        self.calls += 1
        sealed = b"|".join([request.name.encode(), request.additional_authenticated_data, request.plaintext[::-1]])
        return kms.EncryptResponse(name=request.name, ciphertext=sealed)

    def _decrypt(self, request: kms.DecryptRequest, context: grpc.ServicerContext) -> kms.DecryptResponse:
        self.calls += 1
        head = b"|".join([request.name.encode(), request.additional_authenticated_data, b""])
        if not request.ciphertext.startswith(head):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "Decryption failed: the ciphertext is invalid.")
        return kms.DecryptResponse(plaintext=request.ciphertext[len(head) :][::-1])


@pytest.fixture
def google() -> Iterator[tuple[FakeGoogleKms, GoogleKmsKey]]:
    fake = FakeGoogleKms()
    with ThreadPoolExecutor(2) as threads:
        server = grpc.server(threads, handlers=[fake])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        transport = KeyManagementServiceGrpcTransport(channel=channel, credentials=AnonymousCredentials())
        try:
            yield fake, GoogleKmsKey(NAME, kms.KeyManagementServiceClient(transport=transport))
        finally:
            channel.close()
            server.stop(None).wait()


def test_google_kms_wraps_with_the_key_and_binds_the_context(google: tuple[FakeGoogleKms, GoogleKmsKey]) -> None:
    _, key = google
    assert key.unwrap(key.wrap(b"key", "dek_1"), "dek_1") == b"key"
    with pytest.raises(
        UnusableDataError, match=r"Google KMS can't use the key .*Decryption failed.*cryptoKeyEncrypterDecrypter"
    ):
        key.unwrap(key.wrap(b"key", "dek_1"), "dek_2")


async def test_an_ims_moves_to_a_kms_and_asks_it_only_at_its_start(
    tmp_path: Path,
    database_url: str | None,
    google: tuple[FakeGoogleKms, GoogleKmsKey],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake, key = google
    monkeypatch.setattr(GoogleKmsKey, "open", classmethod(lambda cls, name: key))
    data = tmp_path / "ims"
    async with running_ims(data, database_url=database_url) as ims:
        made = await ims.ok("POST", "/v1/secrets", {"name": "license", "value": "canary"})
        token = ims.token
    assert await offline.rewrap(ims.state.settings, f"gcpkms:{NAME}") == 2
    (data / "secrets.key").unlink()
    monkeypatch.setattr("ims_driver.Settings", _with_kms)
    async with running_ims(data, token=token, database_url=database_url) as ims:
        calls = fake.calls
        await ims.ok("PUT", "/v1/secrets/license", {"value": "other"})
        again = await ims.ok("PUT", "/v1/secrets/license", {"value": "canary"})
        assert (again["fingerprint"], fake.calls) == (made["fingerprint"], calls)
        await ims.ok("POST", "/v1/secrets/rotation")
        assert (await ims.ok("POST", "/v1/secrets/rotation/steps"))["done"]
        assert keyring.fresh_key(ims.state.keys, ims.clock()).wrapped_by == f"gcpkms:{NAME}"


def _with_kms(*arguments: Any, **more: Any) -> Settings:
    return Settings(*arguments, **more, secrets_key=f"gcpkms:{NAME}")
