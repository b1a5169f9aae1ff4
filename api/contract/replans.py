"""A component that a deploy plans anew though nothing differs: whole, in part, or with objects that are made again."""

from typing import Annotated

from pydantic import Field

from api.contract.base import Model, Name

ResourceAddress = Annotated[str, Field(min_length=1, max_length=1000, pattern=r"^[^\x00-\x1f\x7f]+$")]


class Replan(Model):
    """One component to plan, whether or not anything differs. Only Terraform modules take `targets` and `replace`."""

    component: Name = Field(description="The component's name.")
    targets: list[ResourceAddress] = Field(
        default_factory=list,
        max_length=100,
        description="Plan only these resources or modules, and what they need (`-target`). The next deploy plans the whole.",
    )
    replace: list[ResourceAddress] = Field(
        default_factory=list, max_length=100, description="Destroy these resources and make them anew (`-replace`)."
    )
