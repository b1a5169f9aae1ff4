"""Images in a customer's account: what a plan says, the tag that an apply sets, and what others are told."""

import json
import shutil

import pytest
from customer import Customer
from images import push_image, push_index
from registry_server import RegistryServer, sha256

from agent.failure import JobFailedError
from agent.install.container_image.place import tag_of
from agent.oci.manifest import IMAGE_MANIFEST
from agent.oci.signature import sign
from agent.oci.vendor_key import VendorKey
from api.contract.agents import ApplyResult, PlanResult
from api.contract.components import ContainerImageConfig, DockerBuildConfig, PathSource, Source
from api.contract.image_sources import PublicImage

pytestmark = pytest.mark.anyio


def of(server: RegistryServer, tag: str = "1.2") -> ContainerImageConfig:
    return ContainerImageConfig(
        public=PublicImage(image_url=f"{server.url.removeprefix('http://')}/acme/web", tag=tag),
    )


@pytest.fixture
async def web(account: Customer, debian: RegistryServer) -> Customer:
    """An image of two platforms that the account has synced."""
    await push_index(debian, "acme/web", "1.2", "linux/amd64", "linux/arm64")
    await account.build_of("web", of(debian))
    await account.sync("web")
    return account


async def planned(account: Customer, kind: str = "plan", job_id: str = "job_plan") -> PlanResult:
    result = await account.run(account.job(kind, "web"), job_id)
    assert isinstance(result, PlanResult)
    return result


async def applied(account: Customer, kind: str = "apply", plan: str = "job_plan") -> ApplyResult:
    result = await account.run(account.job(kind, "web", plan=plan), f"job_{kind}")
    assert isinstance(result, ApplyResult)
    return result


async def test_the_plan_says_that_an_image_is_added(web: Customer) -> None:
    summary = (await planned(web)).summary
    assert (summary.add, summary.change, summary.destroy, summary.outputs_change) == (1, 0, 0, True)
    assert [(each.address, each.attributes) for each in summary.resources] == [
        ("image", ["digest", "repository", "tag", "uri"])
    ]


async def test_the_apply_sets_the_tag_and_says_where_the_image_is(web: Customer) -> None:
    await planned(web)
    registry = web.registry.client()
    assert await registry.manifest_digest("shop/web", "1.2") is None
    result = await applied(web)
    assert await registry.manifest_digest("shop/web", "1.2") == web.digests["web"]
    repository = f"{web.registry.url.removeprefix('http://')}/shop/web"
    assert result.outputs == {
        "repository": repository,
        "tag": "1.2",
        "digest": web.digests["web"],
        "uri": f"{repository}@{web.digests['web']}",
    }


async def test_an_apply_that_was_cut_off_can_be_done_again(web: Customer) -> None:
    await planned(web)
    assert (await applied(web)).outputs == (await applied(web)).outputs


async def test_a_second_plan_is_empty(web: Customer) -> None:
    await planned(web)
    await applied(web)
    assert (await planned(web, job_id="job_again")).summary.empty


async def test_a_new_image_changes_what_others_are_told(web: Customer, debian: RegistryServer) -> None:
    await planned(web)
    await applied(web)
    await push_image(debian, "acme/web", "1.3", content="new")
    await web.build_of("web", of(debian, "1.3"))
    await web.sync("web")
    summary = (await planned(web, job_id="job_plan2")).summary
    assert [(each.actions, each.attributes) for each in summary.resources] == [(["update"], ["digest", "tag", "uri"])]
    assert (await applied(web, plan="job_plan2")).outputs_changed


async def test_an_image_that_was_not_synced_cannot_be_planned(account: Customer, debian: RegistryServer) -> None:
    await push_image(debian, "acme/web", "1.2")
    await account.build_of("web", of(debian))
    with pytest.raises(JobFailedError) as failed:
        await planned(account)
    assert "shop/web" in failed.value.failure.message


async def test_an_image_that_the_vendor_has_not_signed_is_refused(account: Customer) -> None:
    """Put into the customer's registry past the agent."""
    await push_image(account.registry, "shop/web", "evil")
    manifest = await account.registry.client().get_manifest("shop/web", "evil")
    account.digests["web"] = manifest.digest
    account.configs["web"] = of(account.registry)
    with pytest.raises(JobFailedError) as failed:
        await planned(account)
    assert failed.value.failure.code == "signature_refused"


async def test_an_image_signed_with_another_key_is_refused(account: Customer, debian: RegistryServer) -> None:
    await push_image(debian, "acme/web", "1.2")
    await account.build_of("web", of(debian), VendorKey.load_or_create(account.folder / "other.key"))
    with pytest.raises(JobFailedError) as failed:
        await account.sync("web")
    assert failed.value.failure.code == "signature_refused"


async def test_an_apply_of_a_changed_plan_is_refused(web: Customer) -> None:
    """`saved-plan`."""
    await planned(web)
    file = web.home("web") / "plans" / "job_plan" / "plan"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"tag": "other"}))
    with pytest.raises(JobFailedError) as failed:
        await applied(web)
    assert failed.value.failure.code == "plan_changed"
    assert await web.registry.client().manifest_digest("shop/web", "other") is None


async def test_an_apply_without_its_plan_is_refused(web: Customer) -> None:
    await planned(web)
    shutil.rmtree(web.home("web") / "plans")
    with pytest.raises(JobFailedError) as failed:
        await applied(web)
    assert failed.value.failure.code == "plan_missing"


async def test_a_destroyed_image_is_forgotten_and_stays_in_the_registry(web: Customer) -> None:
    await planned(web)
    await applied(web)
    destruction = await planned(web, "plan_destroy", "job_end")
    assert (destruction.summary.destroy, destruction.summary.add) == (1, 0)
    assert (await applied(web, "destroy", "job_end")).outputs_changed
    assert web.site.components.outputs("web") is None
    assert await web.registry.client().manifest_digest("shop/web", "1.2") == web.digests["web"]


async def test_an_image_that_was_never_deployed_has_nothing_to_destroy(web: Customer) -> None:
    assert (await planned(web, "plan_destroy")).summary.empty


async def test_another_component_gets_the_outputs_of_an_image(web: Customer) -> None:
    await planned(web)
    await applied(web)
    await web.build(
        "service",
        'variable "image" { type = string }\nresource "terraform_data" "x" { input = var.image }\n'
        'output "runs" { value = terraform_data.x.output }\n',
    )
    result = await web.deploy("service", {"image": "{{ components.web.outputs.uri }}"})
    assert isinstance(result, ApplyResult)
    assert result.outputs["runs"] == f"{web.registry.url.removeprefix('http://')}/shop/web@{web.digests['web']}"


@pytest.mark.parametrize(
    ("tag", "expected"),
    [("1.2", "1.2"), ("sha256-0a1b", "111111111111"), ("sha256:" + "2" * 64, "111111111111"), ("a b", "111111111111")],
)
def test_the_tag_of_an_image_is_never_that_of_a_signature(tag: str, expected: str) -> None:
    config = ContainerImageConfig(public=PublicImage(image_url="registry.example.com/web", tag=tag))
    assert tag_of(config, "sha256:" + "1" * 64) == expected


async def test_a_built_image_is_tagged_with_the_beginning_of_its_digest(account: Customer) -> None:
    """What a docker_build makes is an image like any other; here one is signed in place of a build, which needs buildah."""
    source = account.vendor.client()
    source.will_push("shop/web")
    await push_image(account.vendor, "shop/web", "bld_1")
    manifest = await source.get_manifest("shop/web", "bld_1")
    assert (manifest.media_type, sha256(manifest.data)) == (IMAGE_MANIFEST, manifest.digest)
    await sign(source, "shop/web", manifest.digest, account.key, "vendor.example/shop/web")
    account.digests["web"] = manifest.digest
    account.configs["web"] = DockerBuildConfig(source=Source(path=PathSource(path="unused")))
    await account.sync("web")
    await planned(account)
    result = await applied(account)
    tag = manifest.digest.removeprefix("sha256:")[:12]
    assert result.outputs["tag"] == tag
    assert await account.registry.client().manifest_digest("shop/web", tag) == manifest.digest
