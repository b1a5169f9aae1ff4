"""One release for many installs at once."""

from pydantic import Field, model_validator

from api.contract.base import Model


class DeployBatchCreate(Model):
    """A release, and which installs of its app get it: all of them, those with certain labels, those that are named.

    With both `selector` and `installs`, those that both choose.
    """

    release_id: str = Field(description="The release's id.")
    all: bool = Field(default=False, description="Every install of the release's app; needed where nothing else chooses.")
    selector: str | None = Field(
        default=None, max_length=4000, description="Only installs with these labels, such as `region=eu,tier!=free`."
    )
    installs: list[str] | None = Field(
        default=None, max_length=10_000, description="Only these installs, each by its id or name."
    )

    @model_validator(mode="after")
    def _chooses(self) -> "DeployBatchCreate":
        if self.all == (self.selector is not None or self.installs is not None):
            raise ValueError("give `all: true`, or choose with `selector` or `installs`; not both, and not neither")
        return self


class BusyInstall(Model):
    """An install that gets no deploy, because it has one that is under way."""

    install_id: str
    install: str = Field(description="Its name.")
    deploy_id: str = Field(description="The deploy that is under way.")


class DeployBatch(Model):
    """What has been made. Each deploy is `pending` until its steps are planned, which follows within moments."""

    release_id: str
    release_number: int
    created: int = Field(description="How many deploys were made.")
    busy: list[BusyInstall] = Field(description="The installs that were left out.")
