"""What the generated classes share: attributes go into Terraform's JSON under the names that the provider gives them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

import jsii
from constructs import Construct

from exclave_cdktn.library import cdk

PROVIDER_SOURCE = "exclave/exclave"

_METADATA = {"provider_name": "exclave"}


class EphemeralMeta(TypedDict, total=False):
    """Terraform's meta-arguments, which every element takes."""

    count: "float | cdk.TerraformCount"
    depends_on: "Sequence[cdk.ITerraformDependable]"
    for_each: "cdk.ITerraformIterator"
    provider: "cdk.TerraformProvider"


class Meta(EphemeralMeta, total=False):
    """Those of a resource or a data source."""

    lifecycle: "cdk.TerraformResourceLifecycle"


def _set(element: "cdk.TerraformElement", attributes: Mapping[str, Any]) -> None:
    """Write the attributes that are given.

    As overrides, because what a class returns from `synthesizeAttributes` has its keys rewritten, also those of maps that are
    the user's own, such as a module's variables.
    """
    for name, value in attributes.items():
        if value is not None:
            element.add_override(name, value)


class Resource(cdk.TerraformResource):
    """A resource of Exclave's provider."""

    def __init__(self, scope: Construct, construct_id: str, kind: str, attributes: Mapping[str, Any], meta: Meta) -> None:
        metadata = cdk.TerraformProviderGeneratorMetadata(**_METADATA)
        super().__init__(scope, construct_id, terraform_resource_type=kind, terraform_generator_metadata=metadata, **meta)
        _set(self, attributes)


class DataSource(cdk.TerraformDataSource):
    """A data source of Exclave's provider."""

    def __init__(self, scope: Construct, construct_id: str, kind: str, attributes: Mapping[str, Any], meta: Meta) -> None:
        metadata = cdk.TerraformProviderGeneratorMetadata(**_METADATA)
        super().__init__(scope, construct_id, terraform_resource_type=kind, terraform_generator_metadata=metadata, **meta)
        _set(self, attributes)


if TYPE_CHECKING or hasattr(cdk, "TerraformEphemeralResource"):

    class EphemeralResource(cdk.TerraformEphemeralResource):
        """An ephemeral resource of Exclave's provider."""

        def __init__(
            self, scope: Construct, construct_id: str, kind: str, attributes: Mapping[str, Any], meta: EphemeralMeta
        ) -> None:
            metadata = cdk.TerraformProviderGeneratorMetadata(**_METADATA)
            super().__init__(scope, construct_id, terraform_resource_type=kind, terraform_generator_metadata=metadata, **meta)
            _set(self, attributes)

else:

    class EphemeralResource:
        """The same where the library, cdktf, doesn't know ephemeral resources."""

        def __init__(self, *arguments: Any) -> None:
            raise NotImplementedError("cdktf doesn't know ephemeral resources; cdktn does, from 0.22.")


class Provider(cdk.TerraformProvider):
    """The provider itself."""

    def __init__(self, scope: Construct, construct_id: str, attributes: Mapping[str, Any], alias: str | None) -> None:
        self._alias = alias
        super().__init__(
            scope,
            construct_id,
            terraform_resource_type="exclave",
            terraform_generator_metadata=cdk.TerraformProviderGeneratorMetadata(**_METADATA),
            terraform_provider_source=PROVIDER_SOURCE,
        )
        _set(self, attributes)

    @property
    @jsii.member(jsii_name="alias")
    def alias(self) -> str | None:
        """The name by which elements refer to it, if there are several providers."""
        return self._alias

    @alias.setter
    def alias(self, value: str | None) -> None:
        self._alias = value
