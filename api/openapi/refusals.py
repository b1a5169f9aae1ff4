"""Which operation answers with which problems: what can't be read off its parameters, by its `operationId`.

`tests/api/ims_driver.py` holds every answer of every test against this, and `test_contract_of_the_api.py` thousands of odd
requests: a status that isn't said here fails there.
"""

from api.contract.problems import (
    AccessDeniedError,
    AgentRevokedError,
    AttemptClosedError,
    AuthorizationPendingError,
    ChunkConflictError,
    ConflictError,
    ContentTooLargeError,
    ForbiddenError,
    InUseError,
    InvalidError,
    LogFullError,
    LoginOffError,
    LogPrunedError,
    NameTakenError,
    NotFoundError,
    NotTheApproverError,
    PreconditionFailedError,
    ProblemError,
    RateLimitedError,
    StaleAttemptError,
    UnauthorizedError,
    UpgradeRequiredError,
)

SIGNED_IN: list[type[ProblemError]] = [UnauthorizedError]
"""Of every operation that needs a token."""
WITH_ROLE: list[type[ProblemError]] = [ForbiddenError]
"""Of every operation of people and programs, which have roles and scopes; agents have none."""
WITH_BODY: list[type[ProblemError]] = [ContentTooLargeError, InvalidError]
WITH_PATH: list[type[ProblemError]] = [NotFoundError, InvalidError]
"""Of every operation whose path names an object."""
WITH_PARAMETERS: list[type[ProblemError]] = [InvalidError]
BY_PARAMETER: dict[str, list[type[ProblemError]]] = {
    "app": [NotFoundError],
    "install": [NotFoundError],
    "If-Match": [PreconditionFailedError],
    "Idempotency-Key": [ConflictError],
}

BY_OPERATION: dict[str, list[type[ProblemError]]] = {
    "approve_step": [ConflictError, NotTheApproverError],
    "cancel_build": [ConflictError],
    "cancel_deploy": [ConflictError],
    "collect_registry": [ConflictError],
    "create_app": [NameTakenError],
    "create_component": [NameTakenError],
    "create_deploy": [ConflictError],
    "create_deploys": [ConflictError],
    "create_install": [NameTakenError],
    "create_secret": [NameTakenError],
    "create_token": [NameTakenError],
    "create_webhook": [NameTakenError],
    "customer_decision": [ConflictError, NotTheApproverError],
    "delete_app": [InUseError],
    "delete_install": [InUseError],
    "delete_release": [InUseError],
    "delete_secret": [ConflictError, InUseError],
    "begin_device": [LoginOffError, RateLimitedError],
    "disconnect": [ConflictError],
    "enroll": [AgentRevokedError, ConflictError, ForbiddenError, RateLimitedError, UnauthorizedError, UpgradeRequiredError],
    "find_drift": [ConflictError],
    "finish": [StaleAttemptError],
    "lease": [NotFoundError, StaleAttemptError],
    "metrics": [ForbiddenError],
    "get_log": [LogPrunedError],
    "get_release_contents": [ConflictError],
    "get_secret": [ConflictError],
    "heartbeat": [StaleAttemptError],
    "offer_version": [ConflictError],
    "poll_device": [AccessDeniedError, AuthorizationPendingError, LoginOffError, RateLimitedError, UnauthorizedError],
    "put_log": [AttemptClosedError, ChunkConflictError, LogFullError, StaleAttemptError],
    "put_release_signature": [ConflictError],
    "reject_step": [ConflictError, NotTheApproverError],
    "renew_ticket": [StaleAttemptError],
    "replay": [ConflictError],
    "replay_delivery": [ConflictError],
    "render_install": [NotFoundError],
    "retry_deploy": [ConflictError],
    "retry_step": [ConflictError],
    "revoke_token": [ConflictError],
    "roll_back": [ConflictError],
    "rotate_key": [ConflictError],
    "sign_in": [AgentRevokedError, RateLimitedError, UnauthorizedError, UpgradeRequiredError],
    "skip_step": [ConflictError],
    "stream_log": [LogPrunedError],
    "update_secret": [ConflictError],
}
