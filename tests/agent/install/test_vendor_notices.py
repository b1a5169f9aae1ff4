"""The vendor changes keys and revokes artifacts: install agents learn it from signatures, with the next sync."""

import pytest
from customer import Customer

from agent.failure import JobFailedError
from agent.ledger.verify import entries
from agent.oci.vendor_key import VendorKey
from agent.trust.notices import Notices, fingerprint
from agent.trust.store import TrustStore

pytestmark = pytest.mark.anyio

WEB = 'output "a" { value = "a" }\n'
OTHER = 'output "b" { value = "b" }\n'


async def test_installs_follow_the_vendor_to_a_new_key(account: Customer) -> None:
    old, new = account.key, VendorKey.load_or_create(account.folder.parent / "new.key")
    await account.build("web", WEB, new)
    with pytest.raises(JobFailedError, match="with another"):
        await account.sync("web")

    account.notices = Notices(previous=old)
    await account.build("web", WEB, new)
    await account.sync("web")
    trust = TrustStore(account.site.approvals.home, account.site.vendor_keys)
    assert trust.keys() == (old.public_pem, new.public_pem)

    # From here on the old key isn't needed any more, and is revoked.
    account.notices = Notices(revoked=(fingerprint(old.public_pem),))
    await account.build("other", OTHER, new)
    await account.sync("other")
    assert trust.keys() == (new.public_pem,)
    account.notices = Notices()
    await account.build("third", OTHER + WEB, old)
    with pytest.raises(JobFailedError, match="with another"):
        await account.sync("third")
    told = [each.data for each in entries(account.site.ledger.files()) if each.event == "trust.changed"]
    assert [(each["keys"], each["revoked"]) for each in told] == [
        ([fingerprint(new.public_pem)], []),
        ([], [fingerprint(old.public_pem)]),
    ]


async def test_no_way_leads_back_to_a_revoked_artifact(account: Customer) -> None:
    bad = await account.build("web", WEB)
    await account.sync("web")
    account.notices = Notices(revoked=(bad,))
    await account.build("other", OTHER)
    await account.sync("other")
    for work in (account.sync("web"), account.run(account.job("plan", "web"))):
        with pytest.raises(JobFailedError) as caught:
            await work
        assert caught.value.failure.code == "artifact_revoked"


async def test_who_is_not_trusted_can_not_vouch_or_revoke(account: Customer) -> None:
    stranger = VendorKey.load_or_create(account.folder.parent / "stranger.key")
    good = await account.build("web", WEB)
    account.notices = Notices(previous=stranger, revoked=(good, fingerprint(account.key.public_pem)))
    await account.build("web", WEB, stranger)
    await account.sync("web")
    trust = TrustStore(account.site.approvals.home, account.site.vendor_keys)
    assert (trust.keys(), trust.revoked()) == (account.site.vendor_keys, ())
