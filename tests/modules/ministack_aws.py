"""Starts MiniStack, an emulator of AWS, with four answers of IAM and STS put right. Run by `emulators.aws`.

In the environment of `requirements.txt`. MiniStack enforces signatures, sessions and policies by itself (AUTH=true). What it
doesn't do, and AWS's documentation says:

- a Google token's signature, issuer and expiry are verified (here against the keys in the file GOOGLE_JWKS), and its claims are
  given to policies as `sub`, `aud` (from `azp`, if there is one) and `oaud` (from `aud`);
- `aws:PrincipalArn` of a session is its role's ARN;
- no session is longer than its role's MaxSessionDuration allows, and none that a role's session assumed longer than an hour.
"""

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import jwt
import ministack.core.iam_evaluator as evaluator
import ministack.services.iam as iam
import ministack.services.sts as sts
from ministack.app import main

GOOGLE = "accounts.google.com"
KEYS = {key["kid"]: jwt.PyJWK(key).key for key in json.loads(Path(os.environ["GOOGLE_JWKS"]).read_text())["keys"]}


def web_identity(token: str, _provider: str, _role: str) -> tuple[str, dict[str, str]]:
    """The federation that a token comes from, and what policies get to know of it."""
    try:
        claims = jwt.decode(
            token,
            KEYS[jwt.get_unverified_header(token)["kid"]],
            algorithms=["RS256"],
            issuer=[GOOGLE, f"https://{GOOGLE}"],
            options={"verify_aud": False, "require": ["exp", "iss", "sub", "aud"]},
        )
    except (jwt.PyJWTError, KeyError):
        return "a token that Google hasn't signed", {}
    known = {f"{GOOGLE}:sub": claims["sub"], f"{GOOGLE}:aud": claims.get("azp", claims["aud"])}
    return GOOGLE, known | ({f"{GOOGLE}:oaud": claims["aud"]} if "azp" in claims else {})


def role_of(arn: str) -> Any:
    """The role of an ARN, if there is one."""
    parts = arn.split(":")
    return iam._roles.get_scoped(parts[4], None, arn.rsplit("/", 1)[-1]) if len(parts) > 5 else None


resolve = evaluator._resolve_condition_key


def resolve_principal(key: str, context: Any) -> Any:
    """The value of a condition key, with the role in the place of its session."""
    value = resolve(key, context)
    if key.lower() != "aws:principalarn" or ":assumed-role/" not in str(value):
        return value
    account, name = value.split(":")[4], value.split("/")[1]
    role = iam._roles.get_scoped(account, None, name)
    return role["Arn"] if role else f"arn:aws:iam::{account}:role/{name}"


handle = sts.handle_request


async def handle_request(method: str, path: str, headers: Any, body: bytes, query: Any) -> Any:
    """STS, which looks at the wanted length of a session first."""
    form = {key: values[0] for key, values in parse_qs((body or b"").decode()).items()}
    if form.get("Action") in ("AssumeRole", "AssumeRoleWithWebIdentity"):
        seconds, role = int(form.get("DurationSeconds", 3600)), role_of(form.get("RoleArn", ""))
        if role and seconds > int(role.get("MaxSessionDuration", 3600)):
            return too_long("MaxSessionDuration set for this role")
        chained = form["Action"] == "AssumeRole" and "Credential=ASIA" in headers.get("authorization", "")
        if chained and seconds > 3600:
            return too_long("1 hour session limit for roles assumed by role chaining")
    return await handle(method, path, headers, body, query)


def too_long(limit: str) -> Any:
    return sts._error(400, "ValidationError", f"The requested DurationSeconds exceeds the {limit}.", ns="sts")


sts._web_identity_principal = web_identity
sts.handle_request = handle_request
evaluator._resolve_condition_key = resolve_principal

if __name__ == "__main__":
    main()
