"""How access through a cloud's identity fails."""

from agent.failure import CodedError


class CloudAccessError(CodedError):
    """The cloud refuses the build agent what it needs to pull. The message has its own words, never a credential."""

    code = "cloud_access_refused"


class ExtraMissingError(CodedError):
    """The agent lacks a cloud's client."""

    code = "extra_missing"
