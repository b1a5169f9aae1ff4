"""What a change would do, before anything of it is stored: the check of a draft of an app, and the preview of a deploy.

Both find what is wrong all at once and answer it with 200, in `problems`: a plan shows every mistake, not the first one.
"""

from typing import Literal

from pydantic import Field

from api.contract.base import Json, Model
from api.contract.inputs import InputSpec
from api.contract.regions import Platform
from api.contract.replans import Replan
from api.contract.resources import Approval, StepKind


class DraftInstall(Model):
    """An install's settings as they are to be. See `InstallCreate`."""

    inputs: dict[str, Json] = Field(default_factory=dict)
    sensitive_inputs: dict[str, Json] | None = Field(default=None, description="Null: they aren't looked at.")
    labels: dict[str, str] = Field(default_factory=dict)
    platform: Platform | None = None
    region: str | None = None


class AppDraft(Model):
    """An app as it is to be: what is given stands in place of what is stored.

    A value that isn't known yet, as in a Terraform plan, is best left out, or stood in for by a text without references.
    """

    inputs: list[InputSpec] | None = Field(default=None, description="The app's inputs; null: those stored.")
    components: dict[str, Json] = Field(
        default_factory=dict,
        description="The config of each component by its name, as `ComponentCreate.config` takes it; null takes one out.",
    )
    complete: bool = Field(default=False, description="These are all components: those stored beside them don't count.")
    partial: bool = Field(
        default=False,
        description="These are some of the components, and nothing is known of the others: those stored don't count, and that "
        "a component, a secret or the inputs of a new app aren't here is no mistake.",
    )
    secrets: list[str] = Field(default_factory=list, description="Names of secrets that will be there, besides those stored.")
    installs: dict[str, DraftInstall] = Field(default_factory=dict, description="Installs to look at with it, by name.")


class DraftProblem(Model):
    """One thing that is wrong. `field` is what the real write would say of that object: `config.variables.cidr`."""

    component: str | None = Field(default=None, description="The component in which it is wrong.")
    install: str | None = Field(default=None, description="The install in whose settings it is wrong.")
    field: str
    message: str
    remedy: str = ""


class DraftCheck(Model):
    """What is wrong with a draft. `ok` = nothing: it could be stored and released as it is."""

    ok: bool
    problems: list[DraftProblem]


class DeployPreviewRequest(Model):
    """A deploy to look at: of a release, or of the app as it is (or, with `draft`, is to be) as if it were released now.

    Of an install that doesn't exist yet, `app_id` and `install` say what it will be. Of an app that doesn't, a `draft` that is
    `complete` does.
    """

    install_id: str | None = Field(default=None, description="The install's id or name; null for one that is to be made.")
    app_id: str | None = Field(default=None, description="The app's id or name, for an install that is to be made.")
    install: DraftInstall | None = Field(default=None, description="The install's settings as they are to be.")
    approval: Approval | None = Field(default=None, description="The install's `approval` as it is to be; null: as it is.")
    kind: Literal["deploy", "teardown"] = "deploy"
    release_id: str | None = Field(default=None, description="The release's id.")
    release_number: int | None = Field(default=None, ge=1, lt=2**63, description="Its number, instead of its id.")
    draft: AppDraft | None = Field(default=None, description="The app as it is to be released; not with a release.")
    replan: list[Replan] = Field(
        default_factory=list, max_length=100, description="Components to plan though nothing differs, as a deploy takes them."
    )


BuildState = Literal["ready", "building", "to_build"]
PreviewAction = Literal["create", "update", "check", "destroy", "none"]


class PreviewStep(Model):
    """One step that a deploy would have."""

    component: str
    kind: StepKind
    needs: list[str] = Field(description="The steps before it, each as `component kind`.")
    conditional: bool = Field(description="Runs only if outputs of a component that it needs have changed.")


class PreviewComponent(Model):
    """What a deploy would do with one component.

    `check`: planned, and changed only if outputs of what it needs have changed, or a plan that was asked for finds something.
    `none`: it is at this config already.
    """

    name: str
    action: PreviewAction
    why: str = Field(description="In plain words.")
    wave: int | None = Field(description="From 1; those of one wave go side by side. Null where nothing is done.")
    build: BuildState | None = Field(description="Whether what it is made of is there; null for what is destroyed.")
    asks_approval: bool = Field(description="Its plan, unless it is empty, waits for a person.")


class DeployPreview(Model):
    """What a deploy would do if it were made now. `ok` = it would be accepted."""

    ok: bool
    install_id: str | None
    app_id: str | None = Field(description="Null for an app that is to be made.")
    kind: Literal["deploy", "teardown"]
    release_id: str | None
    release_number: int | None
    approval: Approval
    components: list[PreviewComponent] = Field(description="By wave, then by name; those with nothing to do come last.")
    steps: list[PreviewStep] = Field(description="In an order in which they could run one by one.")
    problems: list[DraftProblem] = Field(description="Why it would be refused, or would not begin.")
    notes: list[str] = Field(description="What else to know: what it would wait for.")
