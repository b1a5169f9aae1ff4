"""The wire: values, the certificate, the compiled messages."""

import ssl
import subprocess
import sys
from pathlib import Path

import msgpack
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from msgpack.ext import ExtType

from provider_bridge.protocol import certificate, generate
from provider_bridge.protocol import tfplugin6_pb2 as pb
from provider_bridge.protocol.values import UNKNOWN, Dynamic, decode, encode, is_known


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -5,
        1.5,
        "text",
        "",
        [],
        [1, "a", None],
        {"a": {"b": [UNKNOWN]}},
        UNKNOWN,
        Dynamic(["list", "string"], ["x"]),
    ],
)
def test_values_survive_the_wire(value: object) -> None:
    assert decode(encode(value)) == value


def test_a_refined_unknown_is_the_one_unknown() -> None:
    refined = msgpack.packb(ExtType(12, msgpack.packb({1: False, 2: "prefix-"})))
    assert decode(refined) is UNKNOWN
    assert decode(msgpack.packb({"a": ExtType(0, b"\0")})) == {"a": UNKNOWN}


def test_an_extension_that_cty_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="extension 7"):
        decode(msgpack.packb(ExtType(7, b"")))


def test_what_is_no_value_is_refused() -> None:
    with pytest.raises(TypeError, match="object is not a cty value"):
        encode(object())


def test_an_unknown_value_has_no_truth() -> None:
    with pytest.raises(TypeError, match="neither true nor false"):
        bool(UNKNOWN)


def test_known_means_known_in_every_part() -> None:
    assert is_known({"a": [1, {"b": None}]})
    assert not is_known({"a": [1, {"b": UNKNOWN}]})


def test_the_certificate_signs_itself_and_names_localhost() -> None:
    ours = certificate.create()
    parsed = x509.load_pem_x509_certificate(ours.pem)
    parsed.verify_directly_issued_by(parsed)
    assert ours.der == ssl.PEM_cert_to_DER_cert(ours.pem.decode())
    names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]


def test_the_key_belongs_to_the_certificate(tmp_path: Path) -> None:
    ours = certificate.create()
    file = tmp_path / "pair.pem"
    file.write_bytes(ours.pem + ours.key_pem)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(file)


@pytest.mark.parametrize("scalar", [1, 2, 3, 2**255, certificate._N - 1])
def test_curve_arithmetic_agrees_with_cryptography(scalar: int) -> None:
    expected = ec.derive_private_key(scalar, ec.SECP256R1()).public_key().public_numbers()
    assert certificate.multiply(scalar) == (expected.x, expected.y)


@pytest.mark.service
def test_the_compiled_messages_are_those_of_the_proto_file(tmp_path: Path) -> None:
    generate.generate(tmp_path)
    code = "import tfplugin6_pb2, sys; sys.stdout.buffer.write(tfplugin6_pb2.DESCRIPTOR.serialized_pb)"
    fresh = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=True).stdout
    assert fresh == pb.DESCRIPTOR.serialized_pb, "run `python -m provider_bridge.protocol.generate`"
