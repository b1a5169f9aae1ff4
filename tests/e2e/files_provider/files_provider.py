"""A provider on the framework alone, for bundles that carry one: `files_file` is a file with some text in it."""

import gc
import os
import sys
from pathlib import Path
from typing import Any

from provider_bridge.framework.diagnostics import RefusedError, error
from provider_bridge.framework.resource import Call, Provider, Resource
from provider_bridge.framework.schema import schema_from_json
from provider_bridge.framework.servicer import Servicer
from provider_bridge.protocol.serve import serve_terraform
from provider_bridge.protocol.values import Object

_TEXT = {"type": "string", "description": "A text."}


class File(Resource):
    """One file."""

    schema = schema_from_json(
        {
            "description": "A file with some text in it.",
            "version": 1,
            "attributes": {
                "path": {**_TEXT, "required": True, "replaces": True},
                "content": {**_TEXT, "required": True},
            },
        }
    )

    def create(self, call: Call, planned: Object) -> Object:
        return self._written(planned)

    def read(self, call: Call, state: Object) -> Object | None:
        try:
            return {**state, "content": Path(state["path"]).read_text()}
        except FileNotFoundError:
            return None

    def update(self, call: Call, prior: Object, planned: Object) -> Object:
        return self._written(planned)

    def delete(self, call: Call, prior: Object) -> None:
        Path(prior["path"]).unlink(missing_ok=True)

    def import_state(self, call: Call, import_id: str) -> Object:
        raise RefusedError(error("No import", "Files can't be imported."))

    def _written(self, planned: Object) -> Object:
        Path(planned["path"]).write_text(planned["content"])
        return planned


class Files(Provider):
    """The provider."""

    schema = schema_from_json({"description": "Files.", "version": 0, "attributes": {}})
    resources: Any = {"files_file": File()}  # noqa: RUF012 - never changed
    data_sources: Any = {}  # noqa: RUF012

    def configure(self, call: Call, config: Object) -> None:
        """Nothing to configure."""


def main() -> None:
    """Serve until the engine is done."""
    servicer = Servicer(Files())
    gc.freeze()
    serve_terraform(lambda: servicer, os.environ)
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
