"""What the resources of one provider process share: the way to the IMS, and what they know of each other's plans."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from provider_bridge.framework.diagnostics import RefusedError, error, warning
from provider_bridge.framework.resource import Call
from provider_bridge.framework.schema import Body
from provider_bridge.problems import ProblemError, UnreachableError
from provider_bridge.resources.activity import Activity
from provider_bridge.resources.lists import Lists
from provider_bridge.resources.plans import Plans
from provider_bridge.resources.refusals import refusals

if TYPE_CHECKING:
    from provider_bridge.client import Client

T = TypeVar("T")


class Connection:
    """The IMS, once the provider is configured.

    `client` stays None while the provider's configuration isn't known yet (a plan that makes the IMS in the same run): then
    nothing is read or checked.
    """

    client: "Client | None" = None

    def __init__(self) -> None:
        self.connect(None)

    def connect(self, client: "Client | None") -> None:
        """Begin a Terraform run: nothing that was known before counts."""
        if self.client is not None:
            self.client.close()
        self.client = client
        self.activity = Activity()
        self.lists = Lists()
        self.plans = Plans()
        self._changing_apps: set[str] = set()
        self._names: set[tuple[str, str]] = set()
        self._warned = threading.Lock()

    def need(self) -> "Client":
        """The client. Raises RefusedError if the provider's configuration isn't known."""
        if self.client is None:
            raise RefusedError(
                error(
                    "The provider isn't configured",
                    "The provider's `url` or `token` isn't known yet.",
                    remedy="Apply what they depend on first, with `terraform apply -target=…`.",
                )
            )
        return self.client

    def note_app_changes(self, *ids_and_names: str) -> None:
        """Note that this plan changes the app: what the IMS says now of its components and installs won't hold then."""
        self._changing_apps.update(ids_and_names)

    def note_name(self, type_name: str, name: str) -> None:
        """The state holds an object of this name: a create that takes the name follows its destruction."""
        self._names.add((type_name, name))

    def check(
        self,
        call: Call,
        schema: Body,
        dry_run: "Callable[[Client], T]",
        *,
        app: str = "",
        creates: tuple[str, str] | None = None,
    ) -> T | None:
        """Let the IMS check a planned change, and return what it would answer, if it says. Raises RefusedError otherwise.

        Its answer doesn't count where it could be wrong: when this plan changes the `app` too, when the parent isn't there
        (yet), and when the name that is taken is that of an object that this plan replaces (`creates`: type and name). If the
        IMS can't be reached, one warning says that the plan is unchecked.
        """
        if self.client is None or app in self._changing_apps:
            return None
        with refusals(schema):
            try:
                return dry_run(self.client)
            except ProblemError as problem:
                ours = problem.code == "name_taken" and creates in self._names
                if not problem.is_not_there and not ours:
                    raise
            except UnreachableError as problem:
                if self._warned.acquire(blocking=False):
                    call.diagnostics.append(
                        warning("This plan is unchecked", f"{problem}. What the IMS would refuse shows only in the apply.")
                    )
        return None
