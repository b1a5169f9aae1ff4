"""`exclave openapi`."""

import asyncio
import json
import tempfile
from pathlib import Path

import click


@click.command("openapi")
def openapi_command() -> None:
    """Print the OpenAPI 3.1 document of the REST API, as a server of this version answers it. Needs no server."""
    from api.app import create_app  # here, for a server's modules take a while to load
    from api.settings import Settings

    async def work() -> str:
        with tempfile.TemporaryDirectory() as folder:
            app = create_app(Settings(Path(folder) / "data", "http://127.0.0.1:8080"))
            async with app.router.lifespan_context(app):
                return json.dumps(app.openapi(), indent=2)

    click.echo(asyncio.run(work()))
