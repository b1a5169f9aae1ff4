"""From an exception to what the user is told. Nothing that goes wrong in a call may reach Terraform as a crash."""

from provider_bridge.framework.diagnostics import RefusedError, error
from provider_bridge.framework.resource import Call

BUG_REMEDY = "This is a bug in the provider. Run again with TF_LOG_PROVIDER=DEBUG and report what it prints."


def refuse(call: Call, exception: Exception) -> None:
    """Add what the exception says to the call's diagnostics. One that nobody foresaw goes to the log with its traceback."""
    if isinstance(exception, RefusedError):
        call.diagnostics.extend(exception.diagnostics)
        return
    log_bug(exception)
    call.diagnostics.append(error("The provider failed", f"{type(exception).__name__}: {exception}", remedy=BUG_REMEDY))


def log_bug(exception: Exception) -> None:
    """Write the traceback to stderr, which is Terraform's log."""
    import traceback  # costs start time, and is never used if all is well

    traceback.print_exception(exception)
