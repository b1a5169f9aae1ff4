"""The build agent's own way to an image through both modules, from AWS and from Google Cloud: the four rows of the how-tos.

The agent's code is as it is. What stands for the places that it runs in: AWS's usual variables, and for Google Cloud, where a
metadata server would answer, the token that it would give.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ecr_matrix
import gar_matrix
import google.auth
import httpx
import pytest
from emulators import GoogleKeys
from google.oauth2 import credentials as oauth2
from google.oauth2 import id_token
from harness import Workspace
from module_copies import MODULES, copy, initialise, terraform
from standin import NEWEST, StandIn
from standin_aws import Aws
from standin_google import Google

from api.contract.image_sources import EcrImage, GarImage

ecr = pytest.importorskip("agent.build.container_image.ecr", reason="this build agent pulls no images from ECR yet")
gar = pytest.importorskip("agent.build.container_image.gar", reason="this build agent pulls no images from GAR yet")
cloud = pytest.importorskip("agent.build.container_image.cloud")

pytestmark = pytest.mark.e2e

VENDOR = ecr_matrix.VENDOR


def applied(provider: StandIn, module: str, config: str, folder: Path) -> Iterator[dict[str, Any]]:
    """The outputs of a configuration that is applied, and destroyed at the end."""
    copy(MODULES[module], folder)
    with terraform(provider, folder) as workspace:
        workspace.write("main.tf", config)
        initialise(workspace)
        apply(workspace, "apply")
        yield {name: each["value"] for name, each in workspace.state()["values"]["outputs"].items()}
        apply(workspace, "destroy")


def apply(workspace: Workspace, command: str) -> None:
    run = workspace.command(command, "-json", "-auto-approve", "-input=false")
    assert run.code == 0, run.text


@pytest.fixture(scope="module")
def ecr_role(aws_endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    ecr_matrix.Aws(aws_endpoint).fill()
    # The agent asks Google for tokens for the module's default audience.
    config = ecr_matrix.CONFIG.replace("ROLE", "joined").replace(f'gcp_token_audience = "{ecr_matrix.AUDIENCE}"', "")
    for outputs in applied(Aws(NEWEST["aws"], aws_endpoint), "aws", config, tmp_path_factory.mktemp("ecr")):
        yield outputs["role_arn"]


@pytest.fixture(scope="module")
def gar_image(google_endpoint: str, aws_endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    clouds = gar_matrix.Clouds(google_endpoint, aws_endpoint)
    clouds.fill()
    config = clouds.config("joined").replace(f'session_name   = "{gar_matrix.SESSION}"', "")
    for outputs in applied(Google(NEWEST["google"]), "google", config, tmp_path_factory.mktemp("gar")):
        yield {
            "image_url": "europe-west1-docker.pkg.dev/acme-images/shop/web",
            "tag": "1",
            "gcp_project_id": "acme-images",
            "region": "europe-west1",
            "service_account_email": outputs["service_account_email"],
            "workload_identity_provider": outputs["providers"][VENDOR],
        }


@pytest.fixture(autouse=True)
def nowhere(aws_endpoint: str, google_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine in no cloud, that reaches the emulated ones."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws_endpoint)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    endpoints = gar.GoogleEndpoints(sts=f"{google_endpoint}/v1/token", iam_credentials=google_endpoint)
    monkeypatch.setattr(gar, "GOOGLE", endpoints)


@pytest.fixture
def on_aws(aws_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    aws = ecr_matrix.Aws(aws_endpoint)
    roles = aws.root("iam", VENDOR).list_roles()["Roles"]
    arn = next(role["Arn"] for role in roles if role["RoleName"] == "build-agent")
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    for name, value in zip(names, aws.session(arn), strict=True):
        monkeypatch.setenv(name, value)


def ecr_config(role: str, **more: Any) -> EcrImage:
    url = f"{ecr_matrix.OWNER}.dkr.ecr.eu-west-1.amazonaws.com/shop/web"
    return EcrImage(image_url=url, tag="1", region="eu-west-1", iam_role_arn=role, **more)


def pulled(google_endpoint: str, credential: Any) -> int:
    """What the registry answers to whoever has this credential."""
    url = f"{google_endpoint}/v2/acme-images/shop/web/manifests/1"
    return httpx.get(url, auth=(credential.username, credential.password)).status_code


@pytest.mark.usefixtures("on_aws")
def test_an_agent_on_aws_gets_a_password_of_ecr(ecr_role: str) -> None:
    assert ecr.ecr_credential(ecr_config(ecr_role, external_id=ecr_matrix.EXTERNAL_ID)).username == "AWS"


@pytest.mark.usefixtures("on_aws")
def test_an_agent_on_aws_gets_none_with_another_external_id(ecr_role: str) -> None:
    with pytest.raises(cloud.CloudAccessError, match="AccessDenied"):
        ecr.ecr_credential(ecr_config(ecr_role, external_id="org-other"))


def test_an_agent_on_google_cloud_gets_a_password_of_ecr(
    ecr_role: str, google_keys: GoogleKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(id_token, "fetch_id_token", lambda _, audience: google_keys.token(sub=ecr_matrix.AGENT, aud=audience))
    assert ecr.ecr_credential(ecr_config(ecr_role)).username == "AWS"


@pytest.mark.usefixtures("on_aws")
def test_an_agent_on_aws_pulls_from_artifact_registry(gar_image: dict[str, Any], google_endpoint: str) -> None:
    assert pulled(google_endpoint, gar.gar_credential(GarImage(**gar_image))) == 200


def test_an_agent_on_google_cloud_pulls_from_artifact_registry(
    gar_image: dict[str, Any], google_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = oauth2.Credentials(f"token-of {gar_matrix.AGENT}")
    monkeypatch.setattr(google.auth, "default", lambda **_: (own, "acme-platform"))
    config = GarImage(**{**gar_image, "workload_identity_provider": None})
    assert pulled(google_endpoint, gar.gar_credential(config)) == 200
