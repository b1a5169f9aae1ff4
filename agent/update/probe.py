"""Whether this version can do an agent's work: it finds the identity, signs in, and has one call answered."""

from pathlib import Path

from agent.identity import VERSION, Home
from agent.key_rotation import settle
from agent.outbound import calls_client
from agent.serve import StartError
from agent.session import Session
from api.client import ApiError

_CALL_SECONDS = 30.0
_GONE = {404, 409, 410}


async def probe(folder: Path, url: str, job: str | None, attempt: int) -> str:
    """The number of this version. Nothing but the lease of `job` changes, and a job that is over by now is no reason to fail.

    Raises StartError, HomeInUseError, IdentityError, ApiError or UnreachableError.
    """
    home = Home(folder, make=False)
    with home.occupied():
        identity = home.identity()
        if identity is None:
            raise StartError(f"--home {folder} has no agent that has enrolled")
        async with calls_client() as calls:
            session = Session(url, await settle(home, identity, url, calls), calls)
            await session.sign_in()
            if job is None:
                await session.pending_approvals()
                return VERSION
            try:
                await session.heartbeat(job, attempt, timeout=_CALL_SECONDS)
            except ApiError as error:
                if not (error.of_ims and error.status in _GONE):
                    raise
    return VERSION
