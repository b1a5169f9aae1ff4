"""Writes the schemas of real Terraform providers, for the types that our modules use, from wheels of CDK Terrain and CDKTF.

    pip download --no-deps --dest WHEELS \
        cdktn-provider-aws==25.8.1 cdktf-cdktf-provider-aws==19.0.0 \
        cdktn-provider-google==21.1.0 cdktf-cdktf-provider-google==13.0.0
    pip download --no-deps --dest WHEELS cdktf-cdktf-provider-aws==20.0.0 cdktf-cdktf-provider-google==15.0.0
    python tests/modules/extract_schemas.py WHEELS

No binary of these providers is in any Python index, but bindings are, which are generated from `terraform providers schema`:
each class keeps its TypeScript source in a source map, with a comment on each attribute and a table of the HCL types. What is
written has the form of `terraform providers schema -json`, without descriptions. Not in the bindings, and so not here: which
change makes a new object, defaults, conflicts, and what the provider checks itself.
"""

import base64
import io
import json
import re
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("schemas")

TYPES = {
    "aws": (
        "provider",
        "cloudwatch-log-group",
        "data-aws-caller-identity",
        "ecr-repository",
        "ecs-cluster",
        "ecs-service",
        "ecs-task-definition",
        "efs-access-point",
        "efs-file-system",
        "efs-file-system-policy",
        "efs-mount-target",
        "iam-role",
        "iam-role-policy",
        "iam-role-policy-attachment",
        "s3-bucket",
        "s3-bucket-lifecycle-configuration",
        "s3-bucket-ownership-controls",
        "s3-bucket-policy",
        "s3-bucket-public-access-block",
        "s3-bucket-server-side-encryption-configuration",
        "s3-bucket-versioning",
        "secretsmanager-secret",
        "secretsmanager-secret-version",
        "security-group",
        "vpc-security-group-egress-rule",
        "vpc-security-group-ingress-rule",
    ),
    "google": (
        "provider",
        "artifact-registry-repository",
        "compute-disk",
        "compute-firewall",
        "compute-instance",
        "artifact-registry-repository-iam-member",
        "iam-workload-identity-pool",
        "iam-workload-identity-pool-provider",
        "project-iam-member",
        "project-service",
        "secret-manager-secret",
        "secret-manager-secret-iam-member",
        "secret-manager-secret-version",
        "service-account",
        "service-account-iam-member",
        "storage-bucket",
        "storage-bucket-iam-member",
    ),
}

PRIMITIVES = {"string": "string", "number": "number", "boolean": "bool"}
GETTERS: dict[str, Any] = {
    "getStringAttribute": "string",
    "getNumberAttribute": "number",
    "getBooleanAttribute": "bool",
    "getListAttribute": ["list", "string"],
    "getStringMapAttribute": ["map", "string"],
    "getNumberListAttribute": ["list", "number"],
    "getAnyMapAttribute": ["map", "dynamic"],
}


_COMMENTED = (
    r"// (\w+) - computed: (true|false), optional: (true|false), required: (true|false)\n(.*?)(?=\n  // \w+ - computed|\Z)"
)


class Source:
    """The TypeScript of one type's bindings: its classes, and the functions that know the HCL types."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.classes = dict(re.findall(r"^export class (\w+) extends [^\n]+ \{\n(.*?)^\}", text, re.S | re.M))
        functions = re.findall(r"^export function (\w+)ToHclTerraform\([^\n]*\n(.*?)^\}", text, re.S | re.M)
        self.functions = {name.lower(): body for name, body in functions}

    def schema(self) -> tuple[str, str, dict[str, Any]]:
        """Its kind (`Resource`, `DataSource`, `Provider`), its name in Terraform, and its block."""
        found = re.search(r"^export class (\w+) extends cdkt[fn]\.Terraform(Resource|DataSource|Provider) ", self.text, re.M)
        assert found
        name = re.search(r'tfResourceType = "(\w+)"', self.classes[found[1]])
        return found[2], name[1] if name else "provider", self.block(found[1])

    def block(self, class_name: str) -> dict[str, Any]:
        body = self.classes[class_name]
        start = body.find("synthesizeHclAttributes")
        table = body[start:] if start >= 0 else self.functions.get(class_name.replace("OutputReference", "").lower(), "")
        rows = re.findall(
            r'^\s*(\w+): \{\s*value: .*?isBlock: (true|false),\s*type: "(\w+)",\s*storageClassType: "(\w+)",',
            table,
            re.S | re.M,
        )
        hcl = {name: (is_block == "true", kind, storage) for name, is_block, kind, storage in rows}
        attributes, blocks = {}, {}
        for name, computed, optional, required, code in re.findall(_COMMENTED, body, re.S):
            is_block, kind, storage = hcl.get(name, (False, "", ""))
            part = re.search(rf'new (\w+?)(List|OutputReference|Map)\(this, "{name}"', code)
            if part and f"{part[1]}OutputReference" in self.classes:
                inner = self.block(f"{part[1]}OutputReference")
                is_set = f'"{name}", true)' in code
                mode = (
                    kind if kind in ("list", "set", "map") else "set" if is_set else "list" if part[2] == "List" else "single"
                )
                if is_block:
                    limits = {"max_items": 1} if part[2] == "OutputReference" and mode in ("list", "set") else {}
                    limits |= {"min_items": 1} if required == "true" else {}
                    blocks[name] = {"nesting_mode": mode, "block": inner, **limits}
                    continue
                fields = ["object", {key: each["type"] for key, each in inner["attributes"].items()}]
                type_: Any = fields if mode == "single" else [mode, fields]
            else:
                type_ = _simple_type(kind, storage) or _getter_type(code)
            flags = {"required": required, "optional": optional, "computed": computed}
            attributes[name] = {"type": type_, **{flag: True for flag, value in flags.items() if value == "true"}}
        return {"attributes": attributes, "block_types": blocks}


def _simple_type(kind: str, storage: str) -> Any:
    if kind == "simple" and storage in PRIMITIVES:
        return PRIMITIVES[storage]
    found = re.fullmatch(r"(string|number|boolean)(List|Map|Set)?", storage)
    return [kind, PRIMITIVES[found[1]]] if found and kind else None


def _getter_type(code: str) -> Any:
    found = re.search(r"\.(get\w+Attribute)\(", code)
    if found is None:
        return ["map", "string"] if "StringMap(this" in code else "string"
    type_ = GETTERS[found[1]]
    return ["set", type_[1]] if "Fn.tolist" in code and type_[0] == "list" else type_


def extract(wheel: Path, folders: tuple[str, ...]) -> tuple[str, dict[str, Any]]:
    """The provider's version, and the schemas of the types that the bindings have in these folders."""
    with zipfile.ZipFile(wheel) as archive:
        package = archive.read(next(name for name in archive.namelist() if name.endswith(".jsii.tgz")))
    version, document = "", {"provider": {}, "resource_schemas": {}, "data_source_schemas": {}}
    with tarfile.open(fileobj=io.BytesIO(package)) as files:
        for file in files:
            found = re.fullmatch(r"package/lib/([^/]+)/index\.js", file.name)
            if not found or found[1] not in folders:
                continue
            content = files.extractfile(file)
            assert content
            mapped = re.search(rb"sourceMappingURL=data:application/json;base64,(\S+)", content.read())
            assert mapped
            source = Source(json.loads(base64.b64decode(mapped[1]))["sourcesContent"][0])
            kind, name, block = source.schema()
            version = (re.search(r"providerVersion: '([^']+)'", source.text) or ["", version])[1]
            if kind == "Provider":
                # Hundreds of endpoints; what a test's configuration sets is what an attribute of the block itself holds.
                del block["attributes"]["alias"]  # Terraform's own
                document["provider"] = {"version": 0, "block": {**block, "block_types": {}}}
            else:
                document["resource_schemas" if kind == "Resource" else "data_source_schemas"][name] = {
                    "version": 0,
                    "block": block,
                }
    return version, document


def main() -> None:
    """Write the schemas of every wheel in the folder that the command line names."""
    for wheel in sorted(Path(sys.argv[1]).glob("*.whl")):
        provider = re.search(r"provider_(aws|google)-", wheel.name)
        if provider:
            version, document = extract(wheel, TYPES[provider[1]])
            target = FOLDER / f"{provider[1]}-{version}.json"
            target.write_text(json.dumps(document, sort_keys=True, separators=(",", ":")) + "\n")
            print(f"{target.name}: {len(document['resource_schemas'])} resources, {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
