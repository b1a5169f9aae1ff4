"""A small Google Cloud on loopback: IAM, workload identity pools, STS, IAM Credentials, a registry that asks for tokens.

Nothing real can run here, so this is a fake, written from Google's documentation of these APIs. It has what the tests of
`modules/gar-access` need and no more, and it enforces: the limits of ids, names, subjects and conditions, the 30 days in which
a deleted pool's id stays taken, the etags of policies, and who may do what. An AWS identity is proven as at Google: the signed
request is sent on to AWS (AWS_ENDPOINT), mapped and judged by the provider's CEL expressions (with cel-python).

In the environment of `requirements.txt`; run by `emulators.google`. The token `admin` may administer; `token-of ADDRESS` is one
of a service account outside. Nothing lasts.
"""

import base64
import http.client
import json
import os
import re
import threading
import time
import urllib.parse
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import celpy
from celpy import celtypes

NUMBERS = {"acme-images": "424242424242"}
REPOSITORIES = {f"projects/acme-images/locations/europe-west1/repositories/{name}" for name in ("shop", "ledger")}
ROLES = {
    "roles/iam.serviceAccountTokenCreator": {"iam.serviceAccounts.getAccessToken", "iam.serviceAccounts.signBlob"},
    "roles/iam.workloadIdentityUser": {"iam.serviceAccounts.getAccessToken"},
    "roles/artifactregistry.reader": {"artifactregistry.repositories.downloadArtifacts"},
    "roles/artifactregistry.writer": {
        "artifactregistry.repositories.downloadArtifacts",
        "artifactregistry.repositories.uploadArtifacts",
    },
}
PERMISSIONS = {
    "GET": "artifactregistry.repositories.downloadArtifacts",
    "PUT": "artifactregistry.repositories.uploadArtifacts",
}
Document = dict[str, Any]


class RefusedError(Exception):
    """What the API answers with: a status code, a status and a message."""

    def __init__(self, code: int, status: str, message: str) -> None:
        super().__init__(message)
        self.code, self.status = code, status


class Cloud:
    """All that there is."""

    def __init__(self) -> None:
        self.accounts: dict[str, Document] = {}
        self.pools: dict[str, Document] = {}
        """Pools and their providers, by their whole names."""
        self.reserved: set[str] = set()
        self.policies: dict[str, Document] = {}
        self.tokens: dict[str, tuple[list[str], float]] = {}
        """The principals that each token stands for, and when it ends."""
        self.lock = threading.Lock()

    def policy(self, resource: str) -> Document:
        return self.policies.setdefault(resource, {"bindings": [], "etag": "first"})

    def issue(self, principals: list[str], seconds: int = 3600) -> str:
        token = f"ya29.{uuid.uuid4().hex}"
        self.tokens[token] = principals, time.time() + seconds
        return token

    def demand(self, principals: list[str], permission: str, resource: str) -> None:
        """Raises RefusedError unless a binding of the resource gives the permission to one of the principals."""
        for binding in self.policy(resource)["bindings"]:
            if permission in ROLES.get(binding["role"], ()) and set(binding["members"]) & set(principals):
                return
        raise RefusedError(403, "PERMISSION_DENIED", f"Permission '{permission}' denied on '{resource}'")

    def who(self, authorization: str) -> list[str]:
        """The principals of a request. A registry takes the token as the password of `oauth2accesstoken`, too."""
        kind, _, token = authorization.partition(" ")
        if kind == "Basic":
            user, _, token = base64.b64decode(token).decode().partition(":")
            token = token if user == "oauth2accesstoken" else ""
        if token.startswith("token-of "):
            return [f"serviceAccount:{token.removeprefix('token-of ')}"]
        principals, end = self.tokens.get(token, ([], 0.0))
        if end < time.time():
            raise RefusedError(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        return principals


CLOUD = Cloud()


# STS: an AWS identity becomes a principal of a pool


def exchange(form: Document) -> Document:
    audience = form["audience"].removeprefix("//iam.googleapis.com/")
    provider = CLOUD.pools.get(audience)
    if provider is None or "aws" not in provider:
        raise RefusedError(400, "invalid_target", "The target service indicated by the audience is invalid.")
    if form["subject_token_type"] != "urn:ietf:params:aws:token-type:aws4_request":
        raise RefusedError(400, "invalid_request", "Unsupported subject token type.")
    identity = aws_identity(json.loads(urllib.parse.unquote(form["subject_token"])), form["audience"])
    if identity["account"] != provider["aws"]["accountId"]:
        raise RefusedError(400, "invalid_grant", "The AWS account isn't the provider's.")
    mapped = {name: str(evaluate(text, assertion=identity)) for name, text in provider["attributeMapping"].items()}
    subject = mapped["google.subject"]
    if not 0 < len(subject) <= 127:
        raise RefusedError(400, "invalid_grant", f"google.subject has {len(subject)} characters, and 127 are allowed.")
    custom = {name.removeprefix("attribute."): value for name, value in mapped.items() if name.startswith("attribute.")}
    condition = provider.get("attributeCondition")
    if condition and not evaluate(condition, assertion=identity, google={"subject": subject}, attribute=custom):
        raise RefusedError(400, "unauthorized_client", "The given credential is rejected by the attribute condition.")
    pool = "//iam.googleapis.com/" + audience.split("/providers/")[0]
    principals = [f"principal:{pool}/subject/{subject}", f"principalSet:{pool}/*"]
    principals += [f"principalSet:{pool}/attribute.{name}/{value}" for name, value in custom.items()]
    return {
        "access_token": CLOUD.issue(principals),
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "token_type": "Bearer",
        "expires_in": 3600,
    }


def aws_identity(request: Document, audience: str) -> dict[str, str]:
    """Who AWS says has signed this request for the caller's identity."""
    headers = {each["key"].lower(): each["value"] for each in request["headers"]}
    url = urllib.parse.urlsplit(request["url"])
    asks = urllib.parse.parse_qs(url.query).get("Action")
    if not re.fullmatch(r"sts(\.[a-z0-9-]+)?\.amazonaws\.com", url.hostname or "") or asks != ["GetCallerIdentity"]:
        raise RefusedError(400, "invalid_grant", "The token isn't a request to AWS for the caller's identity.")
    # google-auth adds this header after it has signed, so that it can't be demanded that the signature covers it.
    if headers.get("x-goog-cloud-target-resource") != audience:
        raise RefusedError(400, "invalid_grant", "The token was made for another audience.")
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(os.environ["AWS_ENDPOINT"]).netloc, timeout=30)
    connection.request(request["method"], f"{url.path or '/'}?{url.query}", headers={**headers, "host": url.netloc})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    if answer.status != 200:
        raise RefusedError(400, "invalid_grant", f"AWS refuses the request: {' '.join(text.split())[:300]}")
    found = {
        name: re.search(f"<{tag}>([^<]+)</{tag}>", text)
        for name, tag in (("arn", "Arn"), ("account", "Account"), ("userid", "UserId"))
    }
    return {name: match[1] for name, match in found.items() if match}


def evaluate(text: str, **values: Document) -> Any:
    """A CEL expression with Google's `extract`."""
    environment = celpy.Environment()
    program = environment.program(environment.compile(text), functions={"extract": extract})
    return program.evaluate({name: celpy.json_to_cel(value) for name, value in values.items()})


def extract(text: Any, template: Any) -> celtypes.StringType:
    """What stands in a text where a template such as `assumed-role/{name}/` has its braces; empty if it doesn't fit."""
    before, _, rest = str(template).partition("{")
    after = rest.partition("}")[2]
    _, found, value = str(text).partition(before) if before else ("", True, str(text))
    if not found or (after and after not in value):
        return celtypes.StringType("")
    return celtypes.StringType(value.partition(after)[0] if after else value)


# What there is, and who may use it


def generate_access_token(email: str, body: Document, authorization: str) -> Document:
    if email not in CLOUD.accounts:
        raise RefusedError(404, "NOT_FOUND", f"Unknown service account {email}")
    CLOUD.demand(CLOUD.who(authorization), "iam.serviceAccounts.getAccessToken", CLOUD.accounts[email]["name"])
    seconds = int(body.get("lifetime", "3600s").rstrip("s"))
    end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
    return {"accessToken": CLOUD.issue([f"serviceAccount:{email}"], seconds), "expireTime": end}


def manifest(method: str, project: str, repository: str, authorization: str) -> Document:
    resource = f"projects/{project}/locations/europe-west1/repositories/{repository}"
    CLOUD.demand(CLOUD.who(authorization), PERMISSIONS[method], resource)
    return {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json"}


def create_account(project: str, body: Document) -> Document:
    name = body["accountId"]
    if not re.fullmatch(r"[a-z][-a-z0-9]{4,28}[a-z0-9]", name):
        raise RefusedError(400, "INVALID_ARGUMENT", f"Invalid account id {name}")
    email = f"{name}@{project}.iam.gserviceaccount.com"
    if email in CLOUD.accounts:
        raise RefusedError(409, "ALREADY_EXISTS", f"Service account {name} already exists")
    made = {**body["serviceAccount"], "email": email, "uniqueId": str(10**20 + len(CLOUD.accounts))}
    CLOUD.accounts[email] = {**made, "name": f"projects/{project}/serviceAccounts/{email}"}
    return CLOUD.accounts[email]


def account(method: str, email: str, body: Document) -> Document:
    if email not in CLOUD.accounts:
        raise RefusedError(404, "NOT_FOUND", f"Unknown service account {email}")
    if method == "PATCH":
        CLOUD.accounts[email].update(body["serviceAccount"])
    return CLOUD.accounts.pop(email) if method == "DELETE" else CLOUD.accounts[email]


def repository(method: str, parent: str, name: str) -> Document:
    if method == "POST":
        if f"{parent}/{name}" in REPOSITORIES:
            raise RefusedError(409, "ALREADY_EXISTS", "the repository already exists")
        REPOSITORIES.add(f"{parent}/{name}")
    elif method == "DELETE":
        REPOSITORIES.discard(f"{parent}/{name}")
    return {"name": f"{parent}/{name}"}


def iam_policy(resource: str, action: str, body: Document) -> Document:
    emails = [each["name"] for each in CLOUD.accounts.values()]
    if resource not in REPOSITORIES and resource not in emails:
        raise RefusedError(404, "NOT_FOUND", f"{resource} not found")
    if action == "set":
        if body["policy"].get("etag") != CLOUD.policy(resource)["etag"]:
            raise RefusedError(409, "ABORTED", "There were concurrent policy changes.")
        CLOUD.policies[resource] = {**body["policy"], "etag": uuid.uuid4().hex}
    return CLOUD.policy(resource)


def pool(method: str, project: str, path: str, query: dict[str, list[str]], body: Document) -> Document:
    """A pool or a provider of one, by the path behind `workloadIdentityPools`."""
    is_provider = "/providers" in path
    wanted = query.get("workloadIdentityPoolProviderId" if is_provider else "workloadIdentityPoolId", [""])[0]
    base = f"projects/{NUMBERS.get(project, project)}/locations/global/workloadIdentityPools{path}"
    name = f"{base}/{wanted}" if method == "POST" else base
    if len(body.get("displayName") or "") > 32:
        raise RefusedError(400, "INVALID_ARGUMENT", "display_name has at most 32 characters")
    if len(body.get("attributeCondition") or "") > 4096:
        raise RefusedError(400, "INVALID_ARGUMENT", "attribute_condition has at most 4096 characters")
    if method == "POST":
        if not re.fullmatch(r"[a-z0-9-]{4,32}", wanted) or wanted.startswith("gcp-"):
            raise RefusedError(400, "INVALID_ARGUMENT", f"Invalid id {wanted}")
        if is_provider and base.removesuffix("/providers") not in CLOUD.pools:
            raise RefusedError(404, "NOT_FOUND", f"There is no pool {base.removesuffix('/providers')}")
        if name in CLOUD.pools or name in CLOUD.reserved:
            raise RefusedError(
                409, "ALREADY_EXISTS", "Requested entity already exists (a deleted one keeps its id for 30 days)"
            )
        CLOUD.pools[name] = {**body, "name": name, "state": "ACTIVE"}
    if name not in CLOUD.pools:
        raise RefusedError(404, "NOT_FOUND", f"{name} not found")
    if method == "PATCH":
        CLOUD.pools[name].update(body)
    if method == "DELETE":
        CLOUD.reserved.add(name)
        return CLOUD.pools.pop(name)
    return CLOUD.pools[name]


def answer(method: str, url: urllib.parse.SplitResult, body: bytes, authorization: str) -> Document:
    """What the clouds' APIs say to one request."""
    path = url.path
    if path == "/v1/token":
        return exchange({name: values[0] for name, values in urllib.parse.parse_qs(body.decode()).items()})
    document = json.loads(body) if body else {}
    if found := re.fullmatch(r"/v1/projects/-/serviceAccounts/([^/:]+):generateAccessToken", path):
        return generate_access_token(found[1], document, authorization)
    if found := re.fullmatch(r"/v2/([^/]+)/([^/]+)/.+/manifests/[^/]+", path):
        return manifest(method, found[1], found[2], authorization)
    if authorization != "Bearer admin":
        raise RefusedError(403, "PERMISSION_DENIED", "The caller may not administer.")
    if found := re.fullmatch(r"/v1/(.+):(get|set)IamPolicy", path):
        return iam_policy(found[1], found[2], document)
    if found := re.fullmatch(r"/v1/(projects/[^/]+/locations/[^/]+/repositories)(?:/([^/]+))?", path):
        return repository(method, found[1], found[2] or urllib.parse.parse_qs(url.query)["repositoryId"][0])
    if found := re.fullmatch(r"/v1/projects/([^/]+)/serviceAccounts", path):
        return create_account(found[1], document)
    if found := re.fullmatch(r"/v1/projects/[^/]+/serviceAccounts/([^/:]+)", path):
        return account(method, found[1], document)
    if found := re.fullmatch(r"/v1/projects/([^/]+)/locations/global/workloadIdentityPools(.*)", path):
        return pool(method, found[1], found[2], urllib.parse.parse_qs(url.query), document)
    raise RefusedError(404, "NOT_FOUND", f"no API at {path}")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def handle_one(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            with CLOUD.lock:
                code, said = 200, answer(self.command, url, body, self.headers.get("Authorization", ""))
        except RefusedError as error:
            code = error.code
            if url.path == "/v1/token":
                said = {"error": error.status, "error_description": str(error)}
            else:
                said = {"error": {"code": code, "status": error.status, "message": str(error)}}
        content = json.dumps(said).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_one  # noqa: N815 - what http.server looks for


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
