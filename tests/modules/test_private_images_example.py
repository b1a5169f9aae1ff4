"""terraform/examples/private-images on a real IMS, with stand-ins for the clouds: access and components in one apply."""

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from signal import SIGTERM

import pytest
from harness import Workspace, served
from module_copies import ENGINE, ROOT, initialise
from real_ims import RealIms
from server_process import ServerProcess
from standin import NEWEST
from standin_aws import Aws
from standin_google import Google

from provider_bridge.resources.provider import ExclaveProvider

pytestmark = pytest.mark.e2e

EXAMPLE = "terraform/examples/private-images"
OWNER, BUILD_AGENT = "111111111111", "222222222222"

EMULATED = """
provider "aws" {
  access_key = "111111111111"
  secret_key = "test"
}

provider "google" {
  access_token                      = "admin"
  iam_custom_endpoint               = "GOOGLE/v1/"
  iam_beta_custom_endpoint          = "GOOGLE/v1/"
  artifact_registry_custom_endpoint = "GOOGLE/v1/"
}
"""


@pytest.fixture
def ims(tmp_path: Path) -> Iterator[RealIms]:
    process = ServerProcess(tmp_path / "data")
    try:
        yield RealIms(process)
    finally:
        process.end(SIGTERM)


def test_access_and_components_are_made_in_one_apply(
    ims: RealIms, aws_endpoint: str, google_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("modules", EXAMPLE):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
    folder = tmp_path / EXAMPLE
    (folder / "clouds_override.tf").write_text(EMULATED.replace("GOOGLE", google_endpoint))
    monkeypatch.chdir(folder)
    exclave = ExclaveProvider({"EXCLAVE_URL": ims.url, "EXCLAVE_TOKEN": ims.token})
    providers = {
        "registry.terraform.io/exclave/exclave": exclave,
        Aws.address: Aws(NEWEST["aws"], aws_endpoint),
        Google.address: Google(NEWEST["google"]),
    }
    variables = {
        "TF_VAR_aws_account_id": OWNER,
        "TF_VAR_gcp_project_id": "acme-images",
        "TF_VAR_external_id": "org-7f3c1a",
        "TF_VAR_build_agent_role_arn": f"arn:aws:iam::{BUILD_AGENT}:role/agents/build-agent",
    }
    with ExitStack() as stack:
        stack.enter_context(closing(exclave))
        reattach: dict[str, object] = {}
        for address, provider in providers.items():
            reattach |= json.loads(stack.enter_context(served(provider, address)))
        workspace = Workspace(ENGINE, folder, "", {**variables, "TF_REATTACH_PROVIDERS": json.dumps(reattach)})
        initialise(workspace)
        run = workspace.command("apply", "-json", "-auto-approve", "-input=false")
        assert run.code == 0, run.text
        again = workspace.command("plan", "-json", "-input=false", "-detailed-exitcode")
        assert again.code == 0, again.text
        (app,) = ims.get("apps")["items"]
        configs = {each["name"]: each["config"] for each in ims.get(f"apps/{app['id']}/components")["items"]}
        done = workspace.command("destroy", "-json", "-auto-approve", "-input=false")
        assert done.code == 0, done.text
    assert configs["web"]["aws_ecr"] == {
        "image_url": f"{OWNER}.dkr.ecr.eu-west-1.amazonaws.com/shop/web",
        "tag": "2.0.0",
        "region": "eu-west-1",
        "iam_role_arn": f"arn:aws:iam::{OWNER}:role/exclave-ecr-access",
        "external_id": "org-7f3c1a",
    }
    gar = configs["search"]["gcp_gar"]
    assert gar["image_url"] == "europe-west1-docker.pkg.dev/acme-images/shop/search"
    assert gar["service_account_email"] == "exclave-gar-access@acme-images.iam.gserviceaccount.com"
    assert gar["workload_identity_provider"].endswith(f"/workloadIdentityPools/exclave-aws/providers/aws-{BUILD_AGENT}")
