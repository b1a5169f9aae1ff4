"""The stand-in for the Google provider: service accounts, IAM members and workload identity pools, over REST.

It takes the real provider's `*_custom_endpoint` settings, so that the same configuration would lead the real one to the fake.
"""

import threading
from dataclasses import dataclass
from typing import Any, ClassVar

import httpx
from standin import Handler, StandIn, known, refused

from provider_bridge.framework.resource import Call
from provider_bridge.protocol.values import Object


@dataclass(frozen=True)
class Clients:
    """Who calls, and where the APIs are; each address ends with a slash."""

    project: str
    token: str
    iam: str
    pools: str
    registry: str

    def call(self, method: str, url: str, body: Any = None, **query: str) -> Any:
        """The answer's JSON, or None for what isn't there. Raises RefusedError with what the API says."""
        answer = httpx.request(
            method, url, json=body, params=query, headers={"Authorization": f"Bearer {self.token}"}, timeout=30
        )
        if answer.status_code == 404:
            return None
        if answer.is_error:
            raise refused(f"Error {method} {url}: googleapi: Error {answer.status_code}", answer.text)
        return answer.json()


class ServiceAccount(Handler):
    replaces_ = ("account_id", "project")
    defaults: ClassVar[Object] = {"disabled": False}

    def create(self, call: Call, planned: Object) -> Object:
        project = known(planned)["project"] or self.clients.project
        body = {"displayName": planned["display_name"], "description": planned["description"]}
        made = self.clients.call(
            "POST",
            f"{self.clients.iam}projects/{project}/serviceAccounts",
            {"accountId": planned["account_id"], "serviceAccount": body},
        )
        return self._state(planned, made)

    def read(self, call: Call, state: Object) -> Object | None:
        found = self.clients.call("GET", f"{self.clients.iam}{state['id']}")
        return None if found is None else self._state(state, found)

    def update(self, call: Call, prior: Object, planned: Object) -> Object:
        body = {"displayName": planned["display_name"], "description": planned["description"]}
        return self._state(planned, self.clients.call("PATCH", f"{self.clients.iam}{prior['id']}", {"serviceAccount": body}))

    def delete(self, call: Call, prior: Object) -> None:
        self.clients.call("DELETE", f"{self.clients.iam}{prior['id']}")

    def import_state(self, call: Call, import_id: str) -> Object:
        return {"id": import_id, "disabled": False}

    def _state(self, state: Object, account: Any) -> Object:
        return {
            **known(state),
            "id": account["name"],
            "name": account["name"],
            "account_id": account["email"].partition("@")[0],
            "project": account["name"].split("/")[1],
            "email": account["email"],
            "unique_id": account["uniqueId"],
            "member": f"serviceAccount:{account['email']}",
            "display_name": account["displayName"],
            "description": account["description"],
        }


class Member(Handler):
    """One member in one role of one resource's policy, read and written with its etag."""

    def resource_url(self, state: Object) -> str:
        raise NotImplementedError

    def create(self, call: Call, planned: Object) -> Object:
        url = self.resource_url(planned)
        self._change(url, planned["role"], planned["member"], wanted=True)
        more = {"project": known(planned)["project"] or self.clients.project} if "project" in planned else {}
        return {**known(planned), **more, "id": f"{url} {planned['role']} {planned['member']}", "etag": "kept by the policy"}

    def read(self, call: Call, state: Object) -> Object | None:
        policy = self.clients.call("POST", f"{self.resource_url(state)}:getIamPolicy", {}) or {"bindings": []}
        there = any(each["role"] == state["role"] and state["member"] in each["members"] for each in policy["bindings"])
        return state if there else None

    def delete(self, call: Call, prior: Object) -> None:
        self._change(self.resource_url(prior), prior["role"], prior["member"], wanted=False)

    def _change(self, url: str, role: str, member: str, *, wanted: bool) -> None:
        # Terraform applies ten at once, and each of them changes the one policy.
        with self.provider.policies:
            policy = self.clients.call("POST", f"{url}:getIamPolicy", {}) or {"bindings": []}
            members = {each["role"]: set(each["members"]) for each in policy["bindings"]}
            members[role] = members.get(role, set()) | {member} if wanted else members.get(role, set()) - {member}
            bindings = [{"role": role, "members": sorted(names)} for role, names in members.items() if names]
            body = {"policy": {**policy, "bindings": bindings}}
            if self.clients.call("POST", f"{url}:setIamPolicy", body) is None and wanted:
                raise refused(f"Error 404: {url}", "There is no such resource.")


class ServiceAccountMember(Member):
    replaces_ = ("service_account_id", "role", "member")

    def resource_url(self, state: Object) -> str:
        return f"{self.clients.iam}{state['service_account_id']}"


class RepositoryMember(Member):
    replaces_ = ("project", "location", "repository", "role", "member")

    def resource_url(self, state: Object) -> str:
        project = known(state)["project"] or self.clients.project
        return f"{self.clients.registry}projects/{project}/locations/{state['location']}/repositories/{state['repository']}"


class Repository(Handler):
    replaces_ = ("project", "location", "repository_id", "format", "kms_key_name")
    follows = ("effective_labels", "terraform_labels")

    def create(self, call: Call, planned: Object) -> Object:
        parent = f"projects/{planned['project']}/locations/{planned['location']}/repositories"
        body = {"format": planned["format"], "description": planned["description"]}
        url = f"{self.clients.registry}{parent}"
        self.clients.call("POST", url, body, repositoryId=planned["repository_id"])
        return {**known(planned), "id": f"{parent}/{planned['repository_id']}", "name": planned["repository_id"]}

    def delete(self, call: Call, prior: Object) -> None:
        self.clients.call("DELETE", f"{self.clients.registry}{prior['id']}")


class Pool(Handler):
    replaces_ = ("workload_identity_pool_id", "project")

    def parent(self, state: Object) -> str:
        return f"projects/{known(state)['project'] or self.clients.project}/locations/global/workloadIdentityPools"

    def names(self, state: Object) -> tuple[str, str]:
        """The query parameter that names a new object, and its name."""
        return "workloadIdentityPoolId", state["workload_identity_pool_id"]

    def body(self, state: Object) -> Object:
        return {"displayName": state["display_name"], "description": state["description"], "disabled": bool(state["disabled"])}

    def create(self, call: Call, planned: Object) -> Object:
        parent, (parameter, name) = self.parent(planned), self.names(planned)
        made = self.clients.call("POST", f"{self.clients.pools}{parent}", self.body(planned), **{parameter: name})
        if made is None:
            raise refused("Error 404", f"There is no {parent}.")
        project = parent.split("/")[1]
        return {**known(planned), "project": project, "id": f"{parent}/{name}", "name": made["name"], "state": made["state"]}

    def read(self, call: Call, state: Object) -> Object | None:
        found = self.clients.call("GET", f"{self.clients.pools}{state['id']}")
        return None if found is None else {**state, "display_name": found.get("displayName")}

    def update(self, call: Call, prior: Object, planned: Object) -> Object:
        self.clients.call("PATCH", f"{self.clients.pools}{prior['id']}", self.body(planned))
        return {**known(planned), **{name: prior[name] for name in ("id", "name", "state", "project")}}

    def delete(self, call: Call, prior: Object) -> None:
        self.clients.call("DELETE", f"{self.clients.pools}{prior['id']}")


class PoolProvider(Pool):
    replaces_ = ("workload_identity_pool_id", "workload_identity_pool_provider_id", "project")

    def parent(self, state: Object) -> str:
        return f"{super().parent(state)}/{state['workload_identity_pool_id']}/providers"

    def names(self, state: Object) -> tuple[str, str]:
        return "workloadIdentityPoolProviderId", state["workload_identity_pool_provider_id"]

    def body(self, state: Object) -> Object:
        return {
            **super().body(state),
            "attributeMapping": state["attribute_mapping"],
            "attributeCondition": state["attribute_condition"],
            "aws": {"accountId": state["aws"][0]["account_id"]},
        }

    def read(self, call: Call, state: Object) -> Object | None:
        found = self.clients.call("GET", f"{self.clients.pools}{state['id']}")
        if found is None:
            return None
        read = {
            "attribute_mapping": "attributeMapping",
            "attribute_condition": "attributeCondition",
            "display_name": "displayName",
        }
        return {**state, **{name: found.get(key) for name, key in read.items()}}


class Google(StandIn):
    address = "registry.terraform.io/hashicorp/google"
    handlers: ClassVar = {
        "google_artifact_registry_repository": Repository,
        "google_artifact_registry_repository_iam_member": RepositoryMember,
        "google_iam_workload_identity_pool": Pool,
        "google_iam_workload_identity_pool_provider": PoolProvider,
        "google_service_account": ServiceAccount,
        "google_service_account_iam_member": ServiceAccountMember,
    }

    def __init__(self, version: str) -> None:
        super().__init__(version)
        self.policies = threading.Lock()

    def connect(self, config: Object) -> Clients:
        return Clients(
            config["project"] or "",
            config["access_token"] or "",
            config["iam_custom_endpoint"] or "",
            config["iam_beta_custom_endpoint"] or "",
            config["artifact_registry_custom_endpoint"] or "",
        )
