"""The provider's process: `terraform` starts it through the launcher that `exclave provider install` writes.

`python -m provider_bridge --debug` serves any Terraform run that gets the variable that it prints.
"""

import gc
import os
import sys
from typing import TYPE_CHECKING

from provider_bridge.later import load_later

if TYPE_CHECKING:
    from provider_bridge.framework.servicer import Servicer
    from provider_bridge.resources.provider import ExclaveProvider

SOURCE_ADDRESS = "exclave/exclave"

_NEVER_USED = ("calendar", "inspect", "google.protobuf.internal.python_message")
"""What protobuf and `dataclasses` import, and use for nothing that a provider does."""


def main() -> None:
    """Serve until Terraform is done. Exits with 1 and a message if nobody but a user has started it."""
    # What a start makes stays: looking for what of it could go is in vain, now and later.
    gc.disable()
    load_later(*_NEVER_USED)
    from provider_bridge.protocol import serve

    made: list[ExclaveProvider] = []
    is_there = True
    try:
        if "--debug" in sys.argv[1:]:
            serve.serve_reattach(_load(made), os.environ, SOURCE_ADDRESS)
        else:
            is_there = serve.serve_terraform(lambda: _load(made), os.environ)
    except serve.NotAPluginRunError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    if is_there:
        # Else Terraform was killed: what it has noted of this run isn't known.
        for provider in made:
            provider.close()
    # Not sys.exit: it would wait for threads that wait for calls that nobody makes any more.
    os._exit(0)


def _load(made: "list[ExclaveProvider]") -> "Servicer":
    """What answers Terraform. The provider is put into `made`."""
    from provider_bridge.framework.servicer import Servicer
    from provider_bridge.resources.provider import ExclaveProvider

    made.append(ExclaveProvider(os.environ))
    servicer = Servicer(made[0])
    gc.freeze()
    gc.enable()
    return servicer


if __name__ == "__main__":
    main()
