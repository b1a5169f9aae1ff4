"""What the doctor finds, by the names of its checks."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
from agent_protocol_server import TOKEN, AgentProtocolServer

from agent.doctor.check import Finding
from agent.doctor.doctor import Patient, examine
from agent.identity import Home
from api.client import ImsClient


async def findings(patient: Patient, limit: float = 30) -> dict[str, Finding]:
    report = await asyncio.to_thread(examine, patient, limit)
    assert report.passed == all(one.status != "FAILED" for one in report.findings)
    assert [one for one in report.findings if one.status == "FAILED" and not one.remedy] == []
    return {one.check: one for one in report.findings}


async def enrolled(ims: AgentProtocolServer, folder: Path, http: httpx.AsyncClient) -> Path:
    await Home(folder).enroll(ImsClient(ims.url, None, http), TOKEN, "agent", None)
    return folder


async def collected(look: AsyncIterator[Finding]) -> dict[str, Finding]:
    return {one.check: one async for one in look}


async def only(look: AsyncIterator[Finding]) -> Finding:
    [found] = (await collected(look)).values()
    return found
