"""Which named secrets an install may use, and their values on the way to its agent.

One that belongs to the install comes before one of its app, and that before one for all.
"""

from collections import defaultdict
from collections.abc import Sequence

from sqlmodel import col, select

from api.contract.base import Json
from api.db.statements import Query, among
from api.db.transaction import Read
from api.installs.models import InstallRow
from api.secrets.models import SecretRow
from api.secrets.vault import Vault

ALL = "all"
_OF_SCOPES = Query(select(SecretRow).where(col(SecretRow.deleted_at).is_(None), among(SecretRow.scope, "scopes")))


def names_for_app(tx: Read, app_id: str) -> set[str]:
    """The secrets that some install of an app may use."""
    installs = select(InstallRow.id).where(InstallRow.app_id == app_id, col(InstallRow.deleted_at).is_(None))
    scope = col(SecretRow.scope)
    query = select(SecretRow.name).where(col(SecretRow.deleted_at).is_(None), scope.in_((ALL, app_id)) | scope.in_(installs))
    return set(tx.all(query))


def fingerprints_for(tx: Read, install: InstallRow) -> dict[str, str]:
    """The fingerprint of every secret that an install may use, by name."""
    return {row.name: row.fingerprint for row in _usable(tx, install)}


def values_for(tx: Read, vault: Vault, install: InstallRow) -> dict[str, Json]:
    """The values of every secret that an install may use, by name: only for a deploy, which seals them again."""
    return {row.name: vault.open_sealed(row.sealed, owner=row.id)["value"] for row in _usable(tx, install)}


def values_for_build(tx: Read, vault: Vault, app_id: str, names: set[str]) -> dict[str, Json]:
    """The values of those of the named secrets that a build of an app may use: the app's own, and those for all."""
    if not names:
        return {}
    query = select(SecretRow).where(
        col(SecretRow.deleted_at).is_(None), col(SecretRow.scope).in_((ALL, app_id)), col(SecretRow.name).in_(names)
    )
    nearest_last = sorted(tx.all(query), key=lambda row: row.scope != ALL)
    return {row.name: vault.open_sealed(row.sealed, owner=row.id)["value"] for row in nearest_last}


def asked_of(installs: Sequence[InstallRow]) -> tuple[Query[SecretRow], dict[str, set[str]]]:
    """The query for the secrets that many installs may use; what it finds is for `keep`."""
    return _OF_SCOPES, {"scopes": {ALL, *(install.app_id for install in installs), *(install.id for install in installs)}}


def keep(tx: Read, installs: Sequence[InstallRow], rows: Sequence[SecretRow]) -> None:
    """Remember what many installs may use."""
    of_scope: defaultdict[str, list[SecretRow]] = defaultdict(list)
    for row in rows:
        of_scope[row.scope].append(row)
    for install in installs:
        nearest_last = (of_scope[scope] for scope in (ALL, install.app_id, install.id))
        tx.memo["secrets", install.id] = {row.name: row for found in nearest_last for row in found}


def _usable(tx: Read, install: InstallRow) -> list[SecretRow]:
    if ("secrets", install.id) not in tx.memo:
        keep(tx, [install], tx.fetch(asked_of([install]))[0])
    usable: dict[str, SecretRow] = tx.memo["secrets", install.id]
    return list(usable.values())
