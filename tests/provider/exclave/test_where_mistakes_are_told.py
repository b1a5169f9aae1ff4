"""Where a plan tells of a mistake in an app: on the component's own attribute where that can be told, else at the release.

Terraform plans a component after those that its own references lead to, and side by side with all the others. So what two
components get wrong together is told on the one that is planned last, if it is that one's mistake; the release tells the rest.
"""

import pytest
from checks import planned
from engines import on_every_engine
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
ONE = """
resource "exclave_kubernetes_manifest_component" "one" {
  app_id   = exclave_app.a.id
  name     = "one"
  manifest = "kind: One # TEXT"
}
"""
AFTER_TWO = ONE.replace("kind: One", "kind: ${title(exclave_kubernetes_manifest_component.two.name)}")
TWO = """
resource "exclave_kubernetes_manifest_component" "two" {
  app_id   = exclave_app.a.id
  name     = "two"
  manifest = "kind: Two # TEXT"
}
"""
RELEASE = """
resource "exclave_release" "r" {
  app_id = exclave_app.a.id
  components = {
    one = exclave_kubernetes_manifest_component.one.version
    two = exclave_kubernetes_manifest_component.two.version
  }
}
"""
ON_ONE = "exclave_kubernetes_manifest_component.one"
STORED = pytest.mark.parametrize("stored", [False, True], ids=["new app", "stored app"])


def whole(one: str, two: str = "", *, ordered: bool = False) -> str:
    """The app's components with these references, and its release."""
    first = AFTER_TWO if ordered else ONE
    return first.replace("TEXT", one) + TWO.replace("TEXT", two) + RELEASE


@on_every_engine
@STORED
@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("{{ components.one.outputs.namespace }}", "refers to its own component"),
        ("{{ inputs.domian }}", "Did you mean 'domain'?"),
        ("{{ self.outputs.namespace }}", "only its probes can use it"),
        ("{{ components.two.outputs }}", ""),
    ],
    ids=["itself", "input", "self", "form"],
)
def test_what_is_wrong_with_one_component_is_told_on_its_attribute(
    workspace: Workspace, name: str, stored: bool, text: str, detail: str
) -> None:
    app = APP.replace("NAME", name)
    if stored:
        workspace.run(Step(app))
    said = Said(detail=detail, address=ON_ONE, line="manifest")
    workspace.run(Step(app + whole(text), error=said, plan_only=True))
    workspace.run(Step(app + whole(""), plan=[planned("exclave_release.r", "create")], plan_only=True))


@on_every_engine
@STORED
@pytest.mark.parametrize(
    ("one", "two", "detail"),
    [
        ("{{ components.two.image.tag }}", "", "refers to an image, but two is of kind kubernetes_manifest"),
        ("{{ components.two.outputs.a }}", "{{ components.one.outputs.a }}", "in a cycle: one → two → one"),
    ],
    ids=["kind", "cycle"],
)
def test_what_is_wrong_with_a_reference_to_a_component_that_is_planned_before_is_told_on_the_attribute(
    workspace: Workspace, name: str, stored: bool, one: str, two: str, detail: str
) -> None:
    app = APP.replace("NAME", name)
    if stored:
        workspace.run(Step(app + whole("", ordered=True).removesuffix(RELEASE)))
    said = Said(detail=detail, address=ON_ONE, line="manifest")
    workspace.run(Step(app + whole(one, two, ordered=True), error=said, plan_only=True))
    workspace.run(Step(app + whole("{{ components.two.outputs.namespace }}", ordered=True), plan_only=True))


@on_every_engine
def test_a_cycle_that_an_other_component_closes_is_told_on_the_one_that_stays_as_it_is(workspace: Workspace, name: str) -> None:
    app = APP.replace("NAME", name)
    refers = "{{ components.two.outputs.namespace }}"
    workspace.run(Step(app + whole(refers, ordered=True).removesuffix(RELEASE)))
    said = Said(detail="in a cycle: one → two → one", address=ON_ONE, line="manifest")
    closed = whole(refers, "{{ components.one.outputs.namespace }}", ordered=True)
    workspace.run(Step(app + closed, error=said, plan_only=True), Step(app + whole(refers, ordered=True), plan_only=True))


@on_every_engine
def test_two_components_swap_the_direction_of_their_reference_in_one_plan(workspace: Workspace, name: str) -> None:
    app, refers = APP.replace("NAME", name), "{{ components.%s.outputs.namespace }}"
    workspace.run(
        Step(app + whole(refers % "two").removesuffix(RELEASE)),
        Step(app + whole("", refers % "one").removesuffix(RELEASE)),
        Step(app + whole("", refers % "one"), plan=[planned("exclave_release.r", "create")], plan_only=True),
    )


@on_every_engine
@STORED
@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("{{ components.three.outputs.namespace }}", "refers to a component that isn't in the release, which has: one, two"),
        ("{{ secrets.nowhere }}", "there is no secret 'nowhere'"),
    ],
    ids=["missing", "secret"],
)
def test_what_an_other_resource_could_still_bring_is_told_at_the_release_with_component_attribute_and_reference(
    workspace: Workspace, name: str, stored: bool, text: str, detail: str
) -> None:
    app = APP.replace("NAME", name)
    if stored:
        workspace.run(Step(app))
    where = 'In exclave_kubernetes_manifest_component "one", `manifest`: '
    reference = text if "components" in text else ""
    said = Said(
        detail=f"{where}{reference}{' ' * bool(reference)}{detail}", address="exclave_release.r", line="_component.one.v"
    )
    workspace.run(Step(app + whole(text), error=said, plan_only=True))


UNKNOWN_DEFAULT = """
resource "terraform_data" "later" {
}
"""


@on_every_engine
@STORED
def test_inputs_count_while_their_defaults_are_not_known_yet(workspace: Workspace, name: str, stored: bool) -> None:
    app = APP.replace("NAME", name)
    if stored:
        workspace.run(Step(app))
    app = app.replace('"example.com"', "terraform_data.later.id").replace("domain", "zone") + UNKNOWN_DEFAULT
    said = Said(detail="Did you mean 'zone'?", address=ON_ONE, line="manifest")
    workspace.run(
        Step(app + whole("{{ inputs.zome }}"), error=said, plan_only=True),
        Step(app + whole("{{ inputs.zone }}"), plan=[planned("exclave_release.r", "create")], plan_only=True),
    )


@on_every_engine
def test_what_is_not_known_yet_is_not_taken_for_a_mistake(workspace: Workspace, name: str) -> None:
    image = """
        resource "exclave_container_image_component" "web" {
          app_id = exclave_app.a.id
          name   = "web"
          registry {
            image_url       = terraform_data.later.id
            tag             = "1"
            password_secret = terraform_data.later.id
          }
        }
        resource "exclave_release" "r" {
          app_id     = exclave_app.a.id
          components = { web = exclave_container_image_component.web.version }
        }
    """
    app = APP.replace("NAME", name) + UNKNOWN_DEFAULT
    wrong = image.replace('"1"', '""')
    said = Said(address="exclave_container_image_component.web", line="tag")
    workspace.run(
        Step(app + image, plan=[planned("exclave_release.r", "create")], plan_only=True),
        Step(app + wrong, error=said, plan_only=True),
    )


@on_every_engine
def test_components_of_two_new_apps_are_looked_at_alone(workspace: Workspace, ims: RealIms, name: str) -> None:
    other = (APP + ONE).replace('"a"', '"b"').replace("app.a", "app.b").replace('component" "one"', 'component" "other"')
    two = APP.replace("NAME", name) + other.replace("NAME", f"{name}-b").replace("TEXT", "")
    said = Said(detail="only its probes can use it", address=ON_ONE, line="manifest")
    workspace.run(
        Step(two + whole("{{ self.outputs.a }}"), error=said, plan_only=True),
        Step(two + whole("{{ inputs.of_which }}").removesuffix(RELEASE), plan_only=True),
    )
    assert ims.get(f"apps?name={name}")["items"] == []
