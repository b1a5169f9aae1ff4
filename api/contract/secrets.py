"""Named secrets, `/v1/secrets`: write-only. No answer ever has a value."""

from pydantic import Field

from api.contract.base import Model, Name, Timestamp

VALUE_LIMIT = 64 * 1024


class SecretCreate(Model):
    """A new secret. Components refer to it as `{{ secrets.NAME }}`."""

    name: Name = Field(description="The secret's name, unique in its scope.")
    value: str = Field(
        min_length=1, max_length=VALUE_LIMIT, description="Write-only. Stored encrypted; never given back.", repr=False
    )
    app_id: str | None = Field(default=None, description="The id or name of the only app that may use it.")
    install_id: str | None = Field(default=None, description="The id or name of the only install that may use it.")


class SecretUpdate(Model):
    """A new value. It makes version n+1 if it differs."""

    value: str = Field(min_length=1, max_length=VALUE_LIMIT, description="Write-only.", repr=False)


class SecretUse(Model):
    """Something that refers to a secret: a component of an app, or what of it an install runs."""

    app: str
    component: str
    install: str | None = Field(default=None, description="The install's name; None for the app's newest definition.")
    field: str = Field(description="Which field refers to it, such as `variables.password`.")


class Secret(Model):
    """A secret without its value. `fingerprint` is a keyed hash: equal values give equal ones in this IMS."""

    id: str
    name: str
    app_id: str | None
    install_id: str | None
    version: int
    fingerprint: str
    used_by: list[SecretUse]
    created_at: Timestamp
    updated_at: Timestamp


class Rotation(Model):
    """The rotation to the current data key. `values_done` of `values` are sealed with it."""

    data_key: str
    done: bool
    values_done: int
    values: int
    begun_at: Timestamp
    finished_at: Timestamp | None
