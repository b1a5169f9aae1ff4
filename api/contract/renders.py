"""What the references in an install's components stand for now, as far as the IMS knows: values stay with the agent."""

from pydantic import Field

from api.contract.base import Json, Model
from api.contract.components import ComponentKind


class RenderedText(Model):
    """One text of a component that holds references."""

    field: str = Field(description="Where it stands in the config, such as `variables.domain`.")
    text: str = Field(description="The text as the vendor wrote it.")
    value: Json = Field(
        default=None,
        description="What it stands for. `(sensitive)` and `(known after NAME is deployed)` take the place of what isn't "
        "known here; null where there is a problem.",
    )
    sensitive: bool = Field(default=False, description="Something in it is sensitive, and isn't shown.")
    complete: bool = Field(default=True, description="All of it is known, sensitive parts aside.")
    problem: str = Field(default="", description="Why it can't be rendered; empty if it can.")
    remedy: str = Field(default="", description="What to do about the problem.")


class RenderedComponent(Model):
    """The texts of one component."""

    name: str
    kind: ComponentKind
    texts: list[RenderedText] = Field(description="Those with references, by field.")


class InstallRender(Model):
    """A preview of the values that an install's agent would fill in now."""

    install_id: str
    install: str = Field(description="The install's name.")
    release_number: int | None = Field(description="Of the release whose configs these are; null: the newest ones of the app.")
    components: list[RenderedComponent]
