"""Labels: what a vendor says about its installs, to choose them by."""

import re

from api.contract.problems import FieldProblem

MAX_LABELS = 64
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_PREFIX = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*"
KEY = re.compile(rf"(?:(?={'.{1,253}/'}){_PREFIX}/)?{_NAME}")
VALUE = re.compile(rf"(?:{_NAME})?")
KEY_RULE = (
    "1 to 63 of letters, digits, `-`, `_` and `.`, with a letter or digit at both ends; before it, a domain and `/` may stand"
)
VALUE_RULE = "at most 63 of letters, digits, `-`, `_` and `.`, with a letter or digit at both ends; or nothing"


def check_labels(labels: dict[str, str]) -> list[FieldProblem]:
    """What is wrong with labels; the same rules as Kubernetes'. Fields are `labels` or `labels.<key>`."""
    problems = []
    if len(labels) > MAX_LABELS:
        problems.append(
            FieldProblem(field="labels", message=f"there are {len(labels)} labels; at most {MAX_LABELS} are allowed")
        )
    for key, value in labels.items():
        if not KEY.fullmatch(key):
            problems.append(FieldProblem(field="labels", message=f"{key!r} can't be a label's key", remedy=f"Use {KEY_RULE}."))
        elif not VALUE.fullmatch(value):
            # A dot in the key would be read as a step in the path.
            field = "labels" if "." in key else f"labels.{key}"
            message = f"{value!r} can't be the value of label {key!r}"
            problems.append(FieldProblem(field=field, message=message, remedy=f"Use {VALUE_RULE}."))
    return problems
