"""The stand-in for the AWS provider: IAM roles and their inline policies through boto3, against any endpoint."""

import json
from dataclasses import dataclass
from typing import Any, ClassVar

import boto3
from botocore.exceptions import ClientError
from standin import Handler, Reader, StandIn, known, refused

from provider_bridge.framework.resource import Call
from provider_bridge.protocol.values import Object


@dataclass(frozen=True)
class Clients:
    iam: Any
    sts: Any


class Role(Handler):
    replaces_ = ("name", "name_prefix", "path")
    defaults: ClassVar[Object] = {"path": "/", "max_session_duration": 3600, "force_detach_policies": False}
    follows = ("tags_all",)
    json_ = ("assume_role_policy",)

    def create(self, call: Call, planned: Object) -> Object:
        optional = {"Description": planned["description"], "PermissionsBoundary": planned["permissions_boundary"]}
        try:
            made = self.clients.iam.create_role(
                RoleName=planned["name"],
                Path=planned["path"],
                AssumeRolePolicyDocument=planned["assume_role_policy"],
                MaxSessionDuration=int(planned["max_session_duration"]),
                Tags=[{"Key": key, "Value": value} for key, value in (planned["tags"] or {}).items()],
                **{name: value for name, value in optional.items() if value},
            )
        except ClientError as reason:
            raise refused("Can't make the role", str(reason)) from reason
        return self._state(planned, made["Role"])

    def read(self, call: Call, state: Object) -> Object | None:
        try:
            found = self.clients.iam.get_role(RoleName=state["id"])["Role"]
        except self.clients.iam.exceptions.NoSuchEntityException:
            return None
        return self._state(state, found)

    def update(self, call: Call, prior: Object, planned: Object) -> Object:
        iam, name = self.clients.iam, prior["id"]
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=planned["assume_role_policy"])
        seconds = int(planned["max_session_duration"])
        iam.update_role(RoleName=name, Description=planned["description"] or "", MaxSessionDuration=seconds)
        tags, gone = planned["tags"] or {}, set(prior["tags"] or {}) - set(planned["tags"] or {})
        if gone:
            iam.untag_role(RoleName=name, TagKeys=sorted(gone))
        if tags:
            iam.tag_role(RoleName=name, Tags=[{"Key": key, "Value": value} for key, value in tags.items()])
        if planned["permissions_boundary"]:
            iam.put_role_permissions_boundary(RoleName=name, PermissionsBoundary=planned["permissions_boundary"])
        elif prior["permissions_boundary"]:
            iam.delete_role_permissions_boundary(RoleName=name)
        return self._state(planned, iam.get_role(RoleName=name)["Role"])

    def delete(self, call: Call, prior: Object) -> None:
        self.clients.iam.delete_role(RoleName=prior["id"])

    def import_state(self, call: Call, import_id: str) -> Object:
        return {"id": import_id, "force_detach_policies": False}

    def _state(self, state: Object, role: Any) -> Object:
        tags = {tag["Key"]: tag["Value"] for tag in role.get("Tags", [])}
        policy = role["AssumeRolePolicyDocument"]
        return {
            **known(state),
            "id": role["RoleName"],
            "name": role["RoleName"],
            "name_prefix": "",
            "arn": role["Arn"],
            "unique_id": role["RoleId"],
            "create_date": role["CreateDate"].isoformat(),
            "path": role["Path"],
            "description": role.get("Description") or None,
            "assume_role_policy": policy if isinstance(policy, str) else json.dumps(policy),
            "max_session_duration": role.get("MaxSessionDuration", 3600),
            "permissions_boundary": role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn"),
            "managed_policy_arns": [],
            "tags": tags or (None if state.get("tags") is None else {}),
            "tags_all": tags,
        }


class RolePolicy(Handler):
    replaces_ = ("name", "name_prefix", "role")
    json_ = ("policy",)

    def create(self, call: Call, planned: Object) -> Object:
        role, name = planned["role"], planned["name"]
        try:
            self.clients.iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=planned["policy"])
        except ClientError as reason:
            raise refused("Can't put the policy", str(reason)) from reason
        return {**known(planned), "id": f"{role}:{name}", "name_prefix": ""}

    def read(self, call: Call, state: Object) -> Object | None:
        role, name = state["id"].split(":")
        try:
            policy = self.clients.iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        except self.clients.iam.exceptions.NoSuchEntityException:
            return None
        text = policy if isinstance(policy, str) else json.dumps(policy)
        return {**state, "role": role, "name": name, "name_prefix": "", "policy": text}

    def update(self, call: Call, prior: Object, planned: Object) -> Object:
        return self.create(call, planned)

    def delete(self, call: Call, prior: Object) -> None:
        role, name = prior["id"].split(":")
        self.clients.iam.delete_role_policy(RoleName=role, PolicyName=name)

    def import_state(self, call: Call, import_id: str) -> Object:
        return {"id": import_id}


class CallerIdentity(Reader):
    def read(self, call: Call, config: Object) -> Object:
        found = self.provider.clients.sts.get_caller_identity()
        return {"id": found["Account"], "account_id": found["Account"], "arn": found["Arn"], "user_id": found["UserId"]}


class Aws(StandIn):
    """`endpoint`: where the API is; None where nothing may be called."""

    address = "registry.terraform.io/hashicorp/aws"
    handlers: ClassVar = {"aws_iam_role": Role, "aws_iam_role_policy": RolePolicy}
    readers: ClassVar = {"aws_caller_identity": CallerIdentity}

    def __init__(self, version: str, endpoint: str | None = None) -> None:
        super().__init__(version)
        self._endpoint = endpoint

    def connect(self, config: Object) -> Clients | None:
        if self._endpoint is None:
            return None
        session = boto3.Session(config["access_key"], config["secret_key"], region_name=config["region"])
        return Clients(*(session.client(name, endpoint_url=self._endpoint) for name in ("iam", "sts")))
