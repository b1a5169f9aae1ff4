"""Writes the answers that are the same for every Terraform, encoded: `python -m provider_bridge.resources.prepare`.

They follow from `schema.json` and the functions: run it after a change of those. Making them at run time would take 20 ms of
every Terraform command. A test fails while they are stale.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from provider_bridge.framework.calls import provider as calls
from provider_bridge.framework.resource import Provider
from provider_bridge.protocol.calls import Message
from provider_bridge.resources.provider import ExclaveProvider

ANSWERS: Mapping[str, Callable[[Provider], Message]] = {
    "GetProviderSchema": calls.made_schema,
    "GetResourceIdentitySchemas": calls.made_identity_schemas,
}


def prepare() -> None:
    """Write each answer beside this file."""
    provider = ExclaveProvider({})
    for call, make in ANSWERS.items():
        Path(__file__).with_name(f"{call}.binpb").write_bytes(make(provider).SerializeToString(deterministic=True))


if __name__ == "__main__":
    prepare()
