"""Probes and functions in references, from HCL to the API and back: no plan shows a change that is none."""

from checks import state_value
from engines import on_every_engine
from harness import Said, Step, Workspace
from real_ims import RealIms

APP = """
resource "exclave_app" "a" {
  name   = "NAME"
  inputs = { domain = { default = "example.com" } }
}
resource "exclave_kubernetes_manifest_component" "web" {
  app_id   = exclave_app.a.id
  name     = "web"
  manifest = "kind: X {{ inputs.domain | upper }}"
  PROBES
}
"""
PROBES = """probes = {
    api = { http = "https://{{ inputs.domain | lower }}/", status = 204, attempts = 3 }
    db  = { tcp = "{{ self.outputs.host }}:5432" }
  }"""


@on_every_engine
def test_probes_are_stored_changed_and_taken_away(workspace: Workspace, ims: RealIms, name: str) -> None:
    address = "exclave_kubernetes_manifest_component.web"
    app = APP.replace("NAME", name)
    workspace.run(
        Step(app.replace("PROBES", ""), state=[state_value(address, "probes", value={})]),
        Step(app.replace("PROBES", PROBES), state=[state_value(address, "version", value=2)]),
    )
    config = ims.get(f"apps/{name}/components/web")["config"]
    assert {key: (probe["http"], probe["tcp"], probe["attempts"]) for key, probe in config["probes"].items()} == {
        "api": ("https://{{ inputs.domain | lower }}/", None, 3),
        "db": (None, "{{ self.outputs.host }}:5432", 6),
    }
    workspace.run(
        Step(app.replace("PROBES", PROBES.replace("lower }}", "lowr }}")), error=Said(detail="Did you mean `lower`?")),
        Step(app.replace("PROBES", ""), state=[state_value(address, "probes", value={})]),
    )
