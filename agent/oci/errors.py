"""What can go wrong with a registry. Each error is a `JobFailedError`, so that it can end a job as it is."""

from agent.failure import CodedError


class RegistryError(CodedError):
    """Base of the errors of this package."""

    code = "registry_error"


class RegistryUnavailableError(RegistryError):
    """No answer, or 429/502/503/504, after all tries. `retry_after` is the wait in seconds that the registry asks for."""

    code = "registry_unavailable"
    retryable = True
    remedy = "Check that the registry runs and that this machine can reach it; then try again."

    def __init__(self, message: str, *, retry_after: float | None = None, field: str | None = None) -> None:
        super().__init__(message, field=field)
        self.retry_after = retry_after


class TicketRefusedError(RegistryError):
    """The token endpoint doesn't accept the credential: a ticket that was used, is too late, or is for something else."""

    code = "ticket_refused"
    retryable = True
    remedy = "Try again: each attempt gets a ticket of its own."


class AccessRefusedError(RegistryError):
    """The registry knows who asks, and refuses."""

    code = "registry_access_refused"
    remedy = "Give the credential the right to do this in the registry."


class NotFoundError(RegistryError):
    """No such repository, manifest or blob."""

    code = "artifact_not_found"
    remedy = "Check that the artifact was pushed to this repository and wasn't deleted since."


class DigestMismatchError(RegistryError):
    """`digest-pinned`: the bytes aren't those that the digest names. They were thrown away."""

    code = "digest_mismatch"
    remedy = "The registry's copy is damaged or was tampered with. Delete it there and push the artifact again."


class TagMovedError(RegistryError):
    """The tag names another manifest than the one that was to be replaced."""

    code = "tag_moved"
    retryable = True
    remedy = "Read it again, and write what follows from that."


class TooManyPartsError(RegistryError):
    """The artifact is made of more manifests than anybody's is, or they lie too deep in each other."""

    code = "artifact_too_large"
    remedy = "Don't use this artifact; ask whoever made it."


class BadAnswerError(RegistryError):
    """The registry answered something that the distribution specification doesn't allow or that this client doesn't take."""

    code = "registry_bad_answer"
    remedy = "Check that the address is that of an OCI registry, and read the registry's log."
