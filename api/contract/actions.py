"""What can happen, as the history names it: `<object>.<what happened>`. A test holds docs/reference/events.md to it."""

import difflib

ACTIONS: dict[str, tuple[str, ...]] = {
    "app": ("created", "updated", "deleted"),
    "component": ("created", "updated", "deleted"),
    "install": ("created", "updated", "deleted"),
    "secret": ("created", "updated", "deleted"),
    "release": ("created", "ready", "failed", "signed", "deleted"),
    "build": ("created", "succeeded", "failed", "cancelled"),
    "deploy": ("created", "cancel_requested", "succeeded", "failed", "cancelled"),
    "deploys": ("created",),
    "step": (
        *("waiting", "active", "succeeded", "failed", "cancelled", "skipped"),
        *("replanned", "retry_requested", "skip_requested"),
    ),
    "approval": ("requested", "approved", "rejected", "expired", "refused"),
    "drift": ("found",),
    "health": ("changed",),
    "job": (
        *("leased", "succeeded", "failed", "cancelled", "cancel_requested", "lost_contact", "reattached", "resumed"),
        *("requeued", "reported_late", "stale_report", "pruned"),
    ),
    "logs": ("pruned",),
    "ticket": ("issued", "used", "refused"),
    "enrollment": ("created", "deleted", "refused"),
    "agent": (
        *("enrolled", "online", "offline", "revoked", "disconnected", "key_rotated", "sealing_key_set", "update_offered"),
        *("sign_in_refused", "rotation_refused"),
    ),
    "token": ("created", "revoked"),
    "session": ("opened", "closed"),
    "device_login": ("confirmed", "denied"),
    "webhook": ("created", "updated", "disabled", "secret_rotated", "replayed", "deleted"),
    "secrets": ("rotation_begun", "rotated", "rewrapped"),
    "events": ("pruned",),
    "registry": ("collected",),
    "ims": ("restored",),
}

NAMES = frozenset(f"{of}.{what}" for of, happened in ACTIONS.items() for what in happened)


def known(pattern: str) -> bool:
    """Whether a pattern (`deploy.created`, `deploy.*`, `*`) fits anything that can happen."""
    return pattern == "*" or pattern in NAMES or (pattern.endswith(".*") and pattern[:-2] in ACTIONS)


def near(pattern: str) -> list[str]:
    """The patterns that may have been meant."""
    every = [*(f"{of}.*" for of in ACTIONS), *sorted(NAMES)]
    return difflib.get_close_matches(pattern, every, n=3)
