"""A provider written on PyPI's `tf`, with a resource like `exclave_terraform_module_component`: a peer of `provider.py`.

It runs in an environment of its own, where `tf` is, and keeps nothing anywhere: what is read is what Terraform has.
"""

from typing import Any

from tf.blocks import SetNestedBlock
from tf.iface import Config, DataSource, Provider, Resource, State
from tf.runner import run_provider
from tf.schema import Attribute, Block, Schema
from tf.types import Map, Number, String
from tf.utils import Diagnostics

_TEXT = String()


class Component(Resource):
    """A component: seven attributes and two blocks."""

    def __init__(self, provider: Provider) -> None:
        pass

    @classmethod
    def get_name(cls) -> str:
        """See `Resource`."""
        return "component"

    @classmethod
    def get_schema(cls) -> Schema:
        """See `Resource`."""
        return Schema(
            attributes=[
                Attribute("id", _TEXT, computed=True),
                Attribute("app_id", _TEXT, required=True, requires_replace=True),
                Attribute("name", _TEXT, required=True, requires_replace=True),
                Attribute("version", Number(), computed=True),
                Attribute("source_digest", _TEXT, computed=True),
                Attribute("bundle_engine", _TEXT, optional=True, computed=True, default="terraform"),
                Attribute("variables", Map(_TEXT), optional=True),
            ],
            block_types=[
                SetNestedBlock("path", Block(attributes=[Attribute("path", _TEXT, required=True)])),
                SetNestedBlock("git", Block(attributes=[Attribute(name, _TEXT, optional=True) for name in ("url", "ref")])),
            ],
        )

    def create(self, ctx: Any, planned: State) -> State:
        """See `Resource`."""
        return {**planned, "id": f"cmp_{planned['name']}", "version": 1, "source_digest": "sha256:0"}

    def read(self, ctx: Any, current: State) -> State:
        """See `Resource`."""
        return current

    def update(self, ctx: Any, current: State, planned: State) -> State:
        """See `Resource`."""
        return planned

    def delete(self, ctx: Any, current: State) -> None:
        """See `Resource`."""

    def upgrade(self, ctx: Any, version: int, old: State) -> State:
        """See `Resource`."""
        return old


class Peer(Provider):
    """The provider."""

    def get_model_prefix(self) -> str:
        """See `Provider`."""
        return "peer_"

    def get_provider_schema(self, diags: Diagnostics) -> Schema:
        """See `Provider`."""
        return Schema(attributes=[])

    def full_name(self) -> str:
        """See `Provider`."""
        return "example.com/benchmark/peer"

    def validate_config(self, diags: Diagnostics, config: Config) -> None:
        """See `Provider`."""

    def configure_provider(self, diags: Diagnostics, config: Config) -> None:
        """See `Provider`."""

    def get_data_sources(self) -> list[type[DataSource]]:
        """See `Provider`."""
        return []

    def get_resources(self) -> list[type[Resource]]:
        """See `Provider`."""
        return [Component]


if __name__ == "__main__":
    run_provider(Peer())
