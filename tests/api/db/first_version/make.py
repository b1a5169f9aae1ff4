"""Made what lies beside it, once, with the code of commit 9d55ab1, the last one before the migrations 0002 and later:

    PYTHONPATH=<checkout of 9d55ab1>:<that checkout>/tests/api python make.py

An IMS with a deploy that ended, one in the middle (a step done, the next one leased), and one that waits; sensitive inputs.
"""

import asyncio
import base64
import gzip
import json
import shutil
import sqlite3
import sys
import tempfile
from pathlib import Path

from ims_driver import Agent, running_ims
from shop import NETWORK, SYNCED, Shop, module

HERE = Path(__file__).parent


def key(agent: Agent) -> str:
    return base64.b64encode(agent.key.private_bytes_raw()).decode()


async def main(data: Path) -> None:
    async with running_ims(data) as ims:
        shop = await Shop.open(ims)
        acme = await shop.install("acme", sensitive_inputs={"password": "of acme"})
        await shop.install("globex", sensitive_inputs={"password": "of globex"}, inputs={"domain": "globex.example"})
        await shop.deploy("globex")
        middle = await shop.begin("acme")
        await acme.succeed(await acme.take("sync", "network"), SYNCED)
        held = await acme.lease()
        assert held
        await acme.log(held, "half a line")
        await shop.change("network", module(NETWORK, digest="2"))
        waiting = await shop.begin("globex", await shop.new_release())
        known = {
            "token": ims.token,
            "agents": {name: {"id": agent.id, "key": key(agent)} for name, agent in shop.agents.items()},
            "builder": {"id": shop.builder.id, "key": key(shop.builder)},
            "held": {"job_id": held["job_id"], "attempt": held["attempt"]},
            "middle": middle["id"],
            "waiting": waiting["id"],
            "events": len((await ims.ok("GET", "/v1/events", params={"limit": 1000}))["items"]),
        }
        (HERE / "known.json").write_text(json.dumps(known, indent=1) + "\n")
    with sqlite3.connect(data / "exclave.db") as connection:
        dump = "\n".join(connection.iterdump())
    (HERE / "database.sql.gz").write_bytes(gzip.compress(dump.encode(), mtime=0))
    shutil.copy(data / "secrets.key", HERE / "secrets.key")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(Path(folder) / "ims"))
    sys.stdout.write("made\n")
