"""Log lines on stderr in the form that Terraform reads (hclog's JSON), so that TF_LOG_PROVIDER filters them by level.

That is the one way in which Terraform lets a provider say something while it works.
"""

import json
import sys
from typing import Literal


def log(level: Literal["debug", "info", "warn", "error"], message: str) -> None:
    """Write one line."""
    from datetime import UTC, datetime  # costs start time

    line = {"@level": level, "@message": message, "@module": "provider", "@timestamp": datetime.now(UTC).isoformat()}
    # One write for each line: calls log from many threads.
    sys.stderr.write(json.dumps(line) + "\n")
    sys.stderr.flush()
