"""Whether the IMS can do its work now, and if not, why."""

import asyncio
import shutil

from sqlalchemy.exc import SQLAlchemyError

from api.ims import Ims
from api.monitoring.counts import schema_version

_ANSWER_SECONDS = 5


async def reasons_against(ims: Ims, *, newest_schema: str) -> list[str]:
    """Why the IMS isn't ready; empty if it is. Never raises."""
    found = []
    if ims.db.doorbell.closed:
        found.append("the server stops")
    if not ims.db.writes:
        found.append("the database's writer has ended: restart the IMS")
    try:
        at = await asyncio.wait_for(ims.db.read(schema_version), _ANSWER_SECONDS)
        if at != newest_schema:
            found.append(f"the database's schema is at {at}, and must be at {newest_schema}: run `exclave db upgrade`")
    except TimeoutError:
        found.append(f"the database doesn't answer within {_ANSWER_SECONDS} s")
    except SQLAlchemyError:  # its text may show more than everybody should see
        found.append("the database can't be read: see the log")
    try:
        free = shutil.disk_usage(ims.settings.data).free
    except OSError as error:
        return [*found, f"the data folder can't be used: {error.strerror}"]
    if free < ims.settings.disk_reserve:
        left = f"{free // 2**20} MiB are free on the data folder's disk, less than disk_reserve"
        found.append(f"{left} ({ims.settings.disk_reserve.human_readable()})")
    return found
