"""A command that isn't a plugin: run as it is when its artifact or its environment has changed, and once more at the end.

Its variables are the component's, EXCLAVE_OPERATION (`apply` or `destroy`), and EXCLAVE_IMAGES, a JSON object. If the last line
that it prints is a JSON object, these are its outputs; whatever else it prints is the job's log.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.build.program import OutputTooLongError, run_program
from agent.oci.manifest import canonical_json
from agent.plugin.protocol import Answer, Change, PluginError, Request
from api.contract.base import Json

OPERATION = "EXCLAVE_OPERATION"
IMAGES = "EXCLAVE_IMAGES"

_MOST_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class CommandPlugin:
    """Answers as a plugin would. The state is what was run last: a digest of the artifact and of the environment."""

    argv: Sequence[str]
    folder: Path
    env: Callable[[Mapping[str, str]], Mapping[str, str]]
    log: Callable[[str], None]
    seconds: float
    digest: str

    async def ask(self, request: Request) -> Answer:
        """See `Plugin`."""
        own = hashlib.sha256(canonical_json([self.digest, request.environment])).hexdigest()
        match request.operation:
            case "plan" if request.state == own:
                return Answer(plan=own)
            case "plan":
                action = "update" if request.state else "create"
                return Answer(changes=[Change(address=request.component, actions=[action])], plan=own)
            case "apply":
                return Answer(state=own, outputs=await self._run(request))
            case "destroy":
                await self._run(request)
        return Answer()

    async def _run(self, request: Request) -> dict[str, Json]:
        images = json.dumps(request.images, sort_keys=True)
        env = self.env({**request.environment, OPERATION: request.operation, IMAGES: images})
        try:
            ended = await run_program(self.argv, folder=self.folder, env=env, timeout=self.seconds, most_output=_MOST_BYTES)
        except TimeoutError:
            raise PluginError(f"the command's {request.operation} takes longer than {self.seconds:g} s") from None
        except OutputTooLongError:
            raise PluginError(f"the command writes more than {_MOST_BYTES} bytes") from None
        except (OSError, ValueError) as error:
            raise PluginError(f"the command can't be started: {error}", remedy="Make it executable.") from None
        lines = ended.output.splitlines()
        outputs = _outputs(lines[-1]) if lines and ended.exit_code == 0 else None
        for line in lines if outputs is None else lines[:-1]:
            self.log(line)
        if ended.exit_code != 0:
            raise PluginError(
                f"the command's {request.operation} ended with status {ended.exit_code}; see the log",
                remedy="Correct the command, and deploy again.",
            )
        return outputs or {}


def _outputs(line: str) -> dict[str, Json] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
