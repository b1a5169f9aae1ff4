import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent.cli import agent_command
from agent.identity import Home
from agent.ledger.ledger import Ledger
from agent.ledger.verify import entries
from agent.oci.signature import Signed
from agent.oci.vendor_key import VendorKey
from agent.trust.notices import NEXT_KEY, REVOKED, RevocationsWrongError, fingerprint, read_revocations
from agent.trust.store import ArtifactRevokedError, TrustFileError, TrustStore
from api.contract.enrollment import EnrollResponse

OLD = "sha256:" + "1" * 64


def pem(folder: Path, name: str) -> str:
    return VendorKey.load_or_create(folder / name).public_pem


def run(*arguments: object) -> Result:
    return CliRunner().invoke(agent_command, ["trust", *map(str, arguments)])


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The folder of an install agent that has pinned the key `first`."""
    folder = tmp_path / "home"
    Home(folder)
    enrolled = EnrollResponse(
        agent_id="agt_1",
        kind="install",
        install_id="ins_1",
        install_name="acme",
        app_name="shop",
        vendor_keys=[pem(tmp_path, "first")],
    )
    (folder / "identity.json").write_text(enrolled.model_dump_json())
    return folder


def test_a_trusted_key_vouches_for_the_next_and_revokes_itself(tmp_path: Path) -> None:
    first, second = pem(tmp_path, "first"), pem(tmp_path, "second")
    store = TrustStore(tmp_path, (first,))
    assert store.learn([Signed("good", first, {NEXT_KEY: second})]).keys == (second,)
    assert store.keys() == (first, second)
    assert store.learn([Signed("good", first, {NEXT_KEY: second})]).keys == ()
    store.learn([Signed("good", second, {REVOKED: fingerprint(first)})])
    assert store.keys() == (second,)
    assert TrustStore(tmp_path, (first,)).keys() == (second,)


def test_a_revoked_artifact_stays_revoked(tmp_path: Path) -> None:
    store = TrustStore(tmp_path, ())
    store.check("web", [OLD])
    store.learn([Signed("good", "", {REVOKED: f"{OLD},nonsense"})])
    with pytest.raises(ArtifactRevokedError):
        store.check("web", [OLD])
    store.learn([Signed("good", "", {})])
    assert store.revoked() == (OLD,)


@pytest.mark.parametrize("key", ["nonsense", "-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n"])
def test_what_is_no_key_is_passed_over(tmp_path: Path, key: str) -> None:
    assert TrustStore(tmp_path, ()).learn([Signed("good", "", {NEXT_KEY: key})]).keys == ()


def test_a_file_that_can_not_be_read_trusts_nobody(tmp_path: Path) -> None:
    (tmp_path / "trust.json").write_text("{")
    with pytest.raises(TrustFileError):
        TrustStore(tmp_path, ("x",)).keys()


def test_the_customer_adds_and_revokes_keys_by_hand(home: Path, tmp_path: Path) -> None:
    first, second = pem(tmp_path, "first"), pem(tmp_path, "second")
    assert run("show", "--home", home).output == f"trusts  {fingerprint(first)}\n"
    (tmp_path / "second.pem").write_text(second)
    assert run("add", tmp_path / "second.pem", "--home", home).output == f"Trusts {fingerprint(second)}.\n"
    assert run("revoke", fingerprint(first), OLD, "--home", home).output == "Revoked.\n"
    shown = json.loads(run("show", "--home", home, "--json").output)
    assert [key["fingerprint"] for key in shown["keys"]] == [fingerprint(second)]
    assert set(shown["revoked"]) == {OLD, fingerprint(first)}
    assert "nothing runs" in run("revoke", fingerprint(second), "--home", home).output
    told = [each.data for each in entries(Ledger(home).files()) if each.event == "trust.changed"]
    assert [each["keys"] for each in told] == [[fingerprint(second)], [], []]

    (tmp_path / "private.pem").write_bytes((tmp_path / "second").read_bytes())
    assert "is no public key" in run("add", tmp_path / "private.pem", "--home", home).output
    assert "is no digest" in run("revoke", "sha256:abc", "--home", home).output
    assert "not the folder of an install agent" in run("show", "--home", tmp_path).output


def test_a_file_of_revocations_is_read_or_its_line_is_said(tmp_path: Path) -> None:
    file = tmp_path / "revoked"
    file.write_text(f"# leaked\n{OLD}  # release 7\n\n{OLD}\n")
    assert read_revocations(file) == (OLD,)
    file.write_text(f"{OLD}\nsha256:abc\n")
    with pytest.raises(RevocationsWrongError, match=r"revoked:2: 'sha256:abc' is no digest"):
        read_revocations(file)
    with pytest.raises(RevocationsWrongError, match="can't be read"):
        read_revocations(tmp_path / "none")


def test_a_file_that_is_no_key_is_refused_in_words(home: Path, tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    refused = run("add", tmp_path / "bytes", "--home", home)
    assert refused.exit_code == 1
    assert "is no public key in PEM that a vendor can have" in refused.output


def test_to_look_changes_nothing(home: Path) -> None:
    home.chmod(0o750)
    assert run("show", "--home", home).exit_code == 0
    assert home.stat().st_mode & 0o777 == 0o750
