"""A plugin that is a Python package installed beside the agent: an entry point of the group `exclave.components`."""

import asyncio
import importlib.metadata
from dataclasses import dataclass

from pydantic import ValidationError

from agent.plugin.protocol import GROUP, Answer, PluginError, PythonPlugin, Request


@dataclass(frozen=True)
class EntryPointPlugin:
    """Calls the plugin in a thread."""

    name: str
    plugin: PythonPlugin

    async def ask(self, request: Request) -> Answer:
        """See `Plugin`."""
        try:
            answer = await asyncio.to_thread(self.plugin.ask, request.model_dump(mode="json"))
        except Exception as error:  # whatever a plugin raises is that plugin's failure, not the agent's
            raise PluginError(f"the plugin {self.name}: {type(error).__name__}: {error}") from None
        try:
            return Answer.model_validate(answer)
        except ValidationError as error:
            raise PluginError(
                f"the plugin {self.name} gives an answer that can't be read: {error.errors()[0]['msg']}"
            ) from None


def find_entry_point(name: str) -> EntryPointPlugin:
    """The plugin that is installed under this name. Blocks. Raises PluginError."""
    found = {entry.name: entry for entry in importlib.metadata.entry_points(group=GROUP)}
    if name not in found:
        raise PluginError(
            f"there is no plugin {name!r} beside this agent; there are: {', '.join(sorted(found)) or 'none'}",
            remedy="Install the plugin's package into the agent's Python environment.",
            field="config.command",
        )
    try:
        return EntryPointPlugin(name, found[name].load()())
    except Exception as error:  # importing somebody's package can fail in any way
        raise PluginError(
            f"the plugin {name} can't be loaded: {type(error).__name__}: {error}", field="config.command"
        ) from None
