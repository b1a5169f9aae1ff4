#!/usr/bin/env python3
"""A plugin that keeps one page in a folder: the smallest thing that has a plan, a state and an end.

It speaks version 1 of the plugin protocol: one JSON object in, one out, for each operation.
"""

import json
import sys
from pathlib import Path


def validate(request):
    """The environment needs a FOLDER; references in it aren't filled in yet."""
    missing = [name for name in ("FOLDER", "TITLE") if not request["environment"].get(name)]
    return {"problems": [{"message": f"{name} is missing", "field": f"environment.{name}"} for name in missing]}


def build(request):
    """What travels: this program, and a template that is made here and not at every customer."""
    source, output = Path(request["source"]), Path(request["output"])
    program = output / "page.py"
    program.write_bytes((source / "page.py").read_bytes())
    program.chmod(0o755)
    (output / "template.html").write_text("<!doctype html>\n<title>{title}</title>\n<h1>{title}</h1>\n")
    return {"name": "page", "version": "1.0.0", "images": []}


def wanted(request):
    """The page as it should be: where, and what is on it."""
    template = Path(__file__).parent / "template.html"
    text = template.read_text() if template.exists() else "<!doctype html>\n<title>{title}</title>\n"
    environment = request["environment"]
    return {"path": str(Path(environment["FOLDER"]) / "index.html"), "text": text.format(title=environment["TITLE"])}


def plan(request):
    """What apply would do. The plan says it whole, so that apply does that and nothing else."""
    page, state = wanted(request), request["state"]
    if state == page:
        return {"changes": [], "plan": page}
    return {"changes": [{"address": page["path"], "actions": ["update" if state else "create"]}], "plan": page}


def apply(request):
    """Do what the plan says."""
    page = request["plan"]
    Path(page["path"]).parent.mkdir(parents=True, exist_ok=True)
    Path(page["path"]).write_text(page["text"])
    print(f"wrote {page['path']}", file=sys.stderr)  # stderr is the job's log
    return {"outputs": {"path": page["path"]}, "state": page}


def destroy(request):
    """Remove what the state says is there; nothing if nothing is."""
    if request["state"]:
        Path(request["state"]["path"]).unlink(missing_ok=True)
    return {"state": None}


OPERATIONS = {"validate": validate, "build": build, "plan": plan, "apply": apply, "destroy": destroy}


def main():
    """Answer one request."""
    request = json.load(sys.stdin)
    operation = OPERATIONS.get(request["operation"])
    if operation is None:
        answer = {"error": {"message": f"this plugin doesn't know {request['operation']!r}"}}
    else:
        answer = operation(request)
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
