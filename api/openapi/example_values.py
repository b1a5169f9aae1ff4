"""What the examples share: the moments, ids and parts of one small shop."""

from datetime import UTC, datetime, timedelta

from api.contract.components import GitSource, Source, TerraformModuleConfig
from api.contract.resources import Artifact, PlannedChange, PlanSummary

AT = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
LATER = AT + timedelta(seconds=40)


def id_of(prefix: str, letter: str = "a") -> str:
    """An id of this kind; with another letter, another one."""
    return f"{prefix}_01kajxq5w{letter}0000000000000000"[: len(prefix) + 27]


APP = id_of("app")
INSTALL = id_of("ins")
BUILD = id_of("bld")
DEPLOY = id_of("dep")
PLAN_STEP = id_of("stp")
APPROVE_STEP = id_of("stp", "b")
JOB = id_of("job")
AGENT = id_of("agt")
DIGEST = "sha256:" + "5f" * 32
PEM = "-----BEGIN PUBLIC KEY-----\n…\n-----END PUBLIC KEY-----\n"
CONFIG = TerraformModuleConfig(
    source=Source(git=GitSource(url="https://git.example.com/shop.git", ref="v1.4.0", subdirectory="modules/network")),
    variables={"cidr": "{{ inputs.cidr }}"},
)
ARTIFACT = Artifact(
    repository="shop/network",
    digest=DIGEST,
    media_type="application/vnd.oci.image.manifest.v1+json",
    artifact_type="application/vnd.opentofu.modulepkg",
    size=184_320,
)
PLAN = PlanSummary(
    add=1, resources=[PlannedChange(address="aws_vpc.main", actions=["create"], attributes=["cidr_block"])], outputs_change=True
)
