"""What a vendor does around resources: functions, lists, queries, ephemeral tokens, moves, old states, and others' changes."""

import json

import pytest
from checks import output, planned, state_value
from engines import Engine, needs, on_every_engine
from harness import Said, Step, Workspace
from real_ims import RealIms

APP = """
resource "exclave_app" "a" {
  name = "NAME"
  inputs = {
    domain = { default = "example.com" }
  }
}
"""
IMAGE = """
resource "exclave_container_image_component" "web" {
  app_id = exclave_app.a.id
  name   = "web"
  public {
    image_url = "docker.io/library/nginx"
    tag       = "1"
  }
}
"""
BUILD = """
resource "exclave_docker_build_component" "web" {
  app_id = exclave_app.a.id
  name   = "web"
  git {
    url = "https://git.example.com/web"
  }
}
moved {
  from = exclave_container_image_component.web
  to   = exclave_docker_build_component.web
}
"""


@on_every_engine
def test_functions_build_references_and_refuse_names_that_cannot_be(workspace: Workspace) -> None:
    calls = {
        'output("database", "url")': "{{ components.database.outputs.url }}",
        'image("web", "digest")': "{{ components.web.image.digest }}",
        'input("domain")': "{{ inputs.domain }}",
        'secret("api_key")': "{{ secrets.api_key }}",
        'install("name")': "{{ install.name }}",
    }
    outputs = "".join(f'output "o{number}" {{\n  value = provider::exclave::{call}\n}}\n' for number, call in enumerate(calls))
    workspace.run(
        Step(outputs, state=[output(f"o{number}", text) for number, text in enumerate(calls.values())]),
        Step(outputs.replace('"database"', '"Data base"'), error=Said(detail="'Data base' can't be the name of a component")),
        Step(outputs.replace('"digest"', '"layers"'), error=Said(detail="it has: repository, tag, digest, uri")),
        Step("", plan_only=True),
    )


@on_every_engine
def test_an_image_component_becomes_the_other_kind_in_place(workspace: Workspace, ims: RealIms, name: str) -> None:
    app = APP.replace("NAME", name)
    workspace.run(Step(app + IMAGE))
    before = ims.get(f"apps/{name}/components/web")
    address = "exclave_docker_build_component.web"
    workspace.run(Step(app + BUILD, plan=[planned(address, "update")], state=[state_value(address, "id", value=before["id"])]))
    after = ims.get(f"apps/{name}/components/web")
    assert (after["id"], after["kind"], after["version"]) == (before["id"], "docker_build", 2)


@on_every_engine
def test_a_component_cannot_be_moved_to_a_kind_of_another_nature(workspace: Workspace, name: str) -> None:
    chart = """
        resource "exclave_helm_chart_component" "web" {
          app_id    = exclave_app.a.id
          name      = "web"
          helm_repo = { repo_url = "https://charts.example.com", chart = "web", version = "1.0.0" }
        }
        moved {
          from = exclave_container_image_component.web
          to   = exclave_helm_chart_component.web
        }
    """
    app = APP.replace("NAME", name)
    workspace.run(
        Step(app + IMAGE),
        Step(app + chart, error=Said(detail="can't become a exclave_helm_chart_component")),
        Step(app + IMAGE),
    )


@on_every_engine
def test_a_state_of_the_first_form_is_read(workspace: Workspace, name: str) -> None:
    """Version 0 of `exclave_terraform_module_component` had its sources in an attribute."""
    module = f"""{APP.replace("NAME", name)}
resource "exclave_terraform_module_component" "m" {{
  app_id = exclave_app.a.id
  name   = "m"
  path {{
    path = "./module"
  }}
}}
resource "exclave_terraform_module_component" "g" {{
  app_id = exclave_app.a.id
  name   = "g"
  git {{
    url = "https://git.example.com/g"
  }}
}}
"""
    workspace.run(Step(module, {"module/main.tf": ""}))

    def make_old() -> None:
        file = workspace.folder / "terraform.tfstate"
        state = json.loads(file.read_text())
        for resource in state["resources"]:
            if resource["type"] == "exclave_terraform_module_component":
                (instance,) = resource["instances"]
                attributes, instance["schema_version"] = instance["attributes"], 0
                path = attributes.pop("path")
                attributes["source"] = {"path": path and path["path"], "git": attributes.pop("git")}
        file.write_text(json.dumps(state))

    names = [f"exclave_terraform_module_component.{each}" for each in "mg"]
    workspace.run(Step(module, before=make_old, plan=[planned(each, "no-op") for each in names]))


@on_every_engine
def test_lists_are_read_with_filters(workspace: Workspace, ims: RealIms, name: str) -> None:
    app = ims.call("POST", "apps", {"name": name})
    for install, region in ((f"{name}-eu", "eu"), (f"{name}-us", "us")):
        ims.call("POST", "installs", {"app_id": name, "name": install, "labels": {"region": region}})
    image = {"kind": "container_image", "public": {"image_url": "docker.io/library/nginx", "tag": "1"}}
    ims.call("POST", f"apps/{name}/components", {"name": "web", "config": image})
    workspace.run(
        Step(
            f"""
            data "exclave_apps" "x" {{ name = "{name}" }}
            data "exclave_installs" "all" {{ app_id = "{name}" }}
            data "exclave_installs" "eu" {{
              app_id   = "{name}"
              selector = "region=eu"
            }}
            data "exclave_components" "images" {{
              app_id = "{name}"
              kind   = "container_image"
            }}
            data "exclave_components" "charts" {{
              app_id = "{name}"
              kind   = "helm_chart"
            }}
            data "exclave_releases" "none" {{ app_id = "{name}" }}
            data "exclave_builds" "none" {{ app_id = "{name}" }}
            data "exclave_deployments" "none" {{ install_id = "{name}-eu" }}
            data "exclave_agents" "none" {{ install_id = "{name}-eu" }}
            data "exclave_secrets" "none" {{ name = "{name}" }}
            data "exclave_webhooks" "any" {{}}
            data "exclave_service_tokens" "admins" {{ role = "admin" }}
            data "exclave_container_image_component" "web" {{
              app_id = "{name}"
              name   = "web"
            }}
            output "all" {{
              value = {{
                apps    = data.exclave_apps.x.apps[*].id
                all     = data.exclave_installs.all.installs[*].name
                eu      = data.exclave_installs.eu.installs[*].labels.region
                images  = data.exclave_components.images.components[*].name
                charts  = length(data.exclave_components.charts.components)
                nothing = length(concat(
                  data.exclave_releases.none.releases, data.exclave_builds.none.builds,
                  data.exclave_secrets.none.secrets,
                  data.exclave_deployments.none.deployments, data.exclave_agents.none.agents))
                admins  = contains(data.exclave_service_tokens.admins.service_tokens[*].name, "admin")
                tag     = data.exclave_container_image_component.web.public.tag
              }}
            }}
            """,
            state=[
                output(
                    "all",
                    {
                        "apps": [app["id"]],
                        "all": [f"{name}-eu", f"{name}-us"],
                        "eu": ["eu"],
                        "images": ["web"],
                        "charts": 0,
                        "nothing": 0,
                        "admins": True,
                        "tag": "1",
                    },
                )
            ],
        )
    )


@on_every_engine
def test_a_query_finds_what_is_there(engine: Engine, workspace: Workspace, ims: RealIms, name: str) -> None:
    needs(engine, terraform="1.14.0")
    app = ims.call("POST", "apps", {"name": name})
    ims.call("POST", "installs", {"app_id": name, "name": name})
    image = {"kind": "container_image", "public": {"image_url": "docker.io/library/nginx", "tag": "1"}}
    component = ims.call("POST", f"apps/{name}/components", {"name": "web", "config": image})
    lists = "".join(
        f'list "{each}" "x" {{\n  provider = exclave\n  config {{\n    {config}\n  }}\n  include_resource = true\n}}\n'
        for each, config in (
            ("exclave_app", f'name = "{name}"'),
            ("exclave_install", f'app_id = "{name}"'),
            ("exclave_container_image_component", f'app_id = "{name}"'),
            ("exclave_docker_build_component", f'app_id = "{name}"'),
            ("exclave_release", f'app_id = "{name}"'),
        )
    )
    workspace.write("main.tf", "")
    workspace.write("find.tfquery.hcl", lists)
    run = workspace.command("query", "-json")
    assert run.code == 0, run.text
    found = {
        line["list_resource_found"]["resource_type"]: line["list_resource_found"]
        for line in run.lines
        if "list_resource_found" in line
    }
    assert found.keys() == {"exclave_app", "exclave_install", "exclave_container_image_component"}, run.text
    assert found["exclave_app"]["identity"] == {"id": app["id"]}
    assert found["exclave_container_image_component"]["identity"] == {"id": component["id"]}
    assert found["exclave_container_image_component"]["display_name"] == "web"
    assert found["exclave_container_image_component"]["resource_object"]["public"]["tag"] == "1"
    (workspace.folder / "find.tfquery.hcl").unlink()


@on_every_engine
def test_an_ephemeral_enrolment_token_rests_nowhere(engine: Engine, workspace: Workspace, ims: RealIms, name: str) -> None:
    ims.call("POST", "apps", {"name": name})
    ims.call("POST", "installs", {"app_id": name, "name": name})
    config = f"""
        ephemeral "exclave_agent_enrollment" "e" {{
          kind          = "install"
          install_id    = "{name}"
          revoke_unused = true
        }}
        resource "exclave_secret" "s" {{
          name     = "{name}"
          value_wo = ephemeral.exclave_agent_enrollment.e.token
          value_wo_version = 1
        }}
    """
    workspace.run(Step(config, plan=[planned("exclave_secret.s", "create")]))
    files = [path for path in workspace.folder.rglob("*") if path.is_file()]
    assert not [path for path in files if b"exce_" in path.read_bytes()]
    made = [each for each in ims.get("events?limit=1000")["items"] if each["action"].startswith("enrollment.")]
    ended = {each["object_id"] for each in made if each["action"] == "enrollment.deleted"}
    install = ims.get(f"installs/{name}")["id"]
    ours = {each["object_id"] for each in made if each["action"] == "enrollment.created" and each["install_id"] == install}
    assert ours
    assert ours <= ended


@on_every_engine
def test_a_change_that_somebody_made_since_the_plan_is_told_and_kept(workspace: Workspace, ims: RealIms, name: str) -> None:
    first = APP.replace("NAME", name)
    second = first.replace('"example.com"', '"example.org"')
    workspace.run(Step(first))
    workspace.write("main.tf", second)
    assert workspace.command("plan", "-json", "-input=false", "-out=late").code == 0
    labels = {"by": "ann", "for": "bob"}
    ims.call("PUT", f"apps/{name}", {"description": "somebody else's", "inputs": [], "labels": labels})
    run = workspace.command("apply", "-json", "-input=false", "late")
    assert run.code == 1
    said = run.diagnostics("error")
    assert {each["summary"] for each in said} == {"Changed meanwhile"}
    assert all("token:admin changed it at " in each["detail"] and "Plan again" in each["detail"] for each in said), run.text
    assert len(said) <= 3, "one for each attribute that was changed"
    assert ims.get(f"apps/{name}")["description"] == "somebody else's"
    workspace.run(Step(second, plan=[planned("exclave_app.a", "update")]))


@on_every_engine
def test_of_fifty_creates_of_one_name_one_wins_and_the_others_say_so(workspace: Workspace, ims: RealIms, name: str) -> None:
    workspace.write("main.tf", f'resource "exclave_app" "a" {{\n  count = 50\n  name  = "{name}"\n}}\n')
    run = workspace.command("apply", "-json", "-auto-approve", "-input=false", "-parallelism=50")
    assert run.code == 1
    errors = run.diagnostics("error")
    assert len(errors) == 49, run.text
    assert all(f"there is an app named '{name}' already" in each["detail"] for each in errors)
    assert all("name" in (each.get("snippet") or {}).get("code", "") for each in errors)
    assert len([each for each in workspace.state()["values"]["root_module"]["resources"]]) == 1


TWO_SOURCES = IMAGE.replace("  public {", '  registry {\n    image_url = "a"\n    tag = "1"\n  }\n  public {')
GIT = BUILD.split("moved", maxsplit=1)[0]


@on_every_engine
@pytest.mark.parametrize(
    ("config", "said"),
    [
        (IMAGE.replace("docker.io/library/nginx", ""), Said(detail="at least one character", line="image_url")),
        (TWO_SOURCES, Said(summary="Exactly one is needed")),
        (GIT.replace('"https', '"-https'), Said(detail="begins with a dash")),
        (GIT.replace("git {\n", 'git {\n    subdirectory = "../x"\n'), Said(detail="leaves the repository")),
    ],
    ids=["empty", "two sources", "option", "outside"],
)
def test_a_mistake_is_shown_where_it_is(workspace: Workspace, name: str, config: str, said: Said) -> None:
    app = APP.replace("NAME", name)
    workspace.run(Step(app), Step(app + config, error=said), Step(app))
