"""Which registry the settings mean for which kind of job, and whoever makes its logins."""

import importlib.util
from dataclasses import dataclass

from api.contract.agents import AGENT_REPOSITORY
from api.registry.front import Front
from api.registry.upstream import Upstream
from api.settings import GAR_URL, Settings, UnusableDataError
from api.tickets.ecr import EcrLogins
from api.tickets.gar import GarLogins
from api.tickets.logins import LOGIN_PATH, Logins
from api.tickets.service import Place


@dataclass(frozen=True)
class Places:
    """Where builds push, where install agents pull, and where agents get their own versions."""

    pushes: Place
    pulls: Place
    updates: Place


def places(settings: Settings) -> Places:
    """The registry in the IMS for everything, or the vendor's own.

    A cloud's registry has no versions of the agent: those stay in the IMS, whose tokens any agent can use (`exclave agent
    publish` puts them there).
    """
    own = Place(settings.public_url)
    if settings.vendor_registry_url is None:
        return Places(own, own, own)
    if not settings.vendor_registry_logs_in:
        vendor = Place(settings.vendor_registry_url)
        return Places(vendor, vendor, vendor)
    cloud = Place(*address(settings), settings.public_url + LOGIN_PATH)
    return Places(cloud, own if settings.vendor_registry_front else cloud, own)


def front_of(settings: Settings) -> Front | None:
    """The front before the vendor's registry, if the settings want one. What the IMS has itself are versions of the agent."""
    logins = logins_of(settings)
    if logins is None or not settings.vendor_registry_front:
        return None
    upstream = Upstream(*address(settings), lambda access: logins.login("front", access))
    return Front(upstream, own=frozenset({AGENT_REPOSITORY}))


def check_extras(settings: Settings) -> None:
    """Raises UnusableDataError if a package is missing that the vendor's registry needs."""
    if settings.vendor_registry_role_arn and importlib.util.find_spec("boto3") is None:
        raise UnusableDataError("a vendor_registry_url of Amazon ECR needs boto3: pip install 'exclave[aws]'")
    if settings.vendor_registry_reader and not _has_google_auth():
        raise UnusableDataError(
            "a vendor_registry_url of Google Artifact Registry needs google-auth: pip install 'exclave[gcp]'"
        )


def _has_google_auth() -> bool:
    try:
        return bool(importlib.util.find_spec("google.auth") and importlib.util.find_spec("requests"))
    except (ModuleNotFoundError, ValueError):  # there is no `google` at all
        return False


def address(settings: Settings) -> tuple[str, str]:
    """The address of the vendor's registry, and what is before all repositories there."""
    url = settings.vendor_registry_url or ""
    google = GAR_URL.fullmatch(url)
    return (google[1], google[2]) if google else (url, "")


def logins_of(settings: Settings) -> Logins | None:
    """Whoever makes logins of the vendor's registry; None where it takes the tokens of the IMS."""
    url = settings.vendor_registry_url or ""
    if settings.vendor_registry_role_arn:
        return EcrLogins(url, settings.vendor_registry_role_arn)
    if settings.vendor_registry_reader:
        return GarLogins(settings.vendor_registry_reader, settings.vendor_registry_writer)
    return None
