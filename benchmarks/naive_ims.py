"""The job endpoints as one would write them first: plain `def` routes, a SQLModel session for each request.

The peer that `ims.py` measures against. It does less than the IMS does: no fence, no history, no steps, no tickets.
"""

import os
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException, Response
from sqlalchemy import event
from sqlmodel import Field, Session, SQLModel, create_engine, select


class Agent(SQLModel, table=True):
    """An agent and its token."""

    id: str = Field(primary_key=True)
    token: str = Field(index=True)


class Job(SQLModel, table=True):
    """One job of one agent."""

    id: str = Field(primary_key=True)
    agent_id: str = Field(index=True)
    state: str = Field(index=True)
    attempt: int = 0
    created_at: datetime
    ended_at: datetime | None = None


URL = os.environ["NAIVE_DATABASE"]
engine = create_engine(
    URL, **({"connect_args": {"check_same_thread": False, "timeout": 30}} if URL.startswith("sqlite") else {})
)
if URL.startswith("sqlite"):

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _: object) -> None:
        """As safe as the IMS's own."""
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")


def session() -> Iterator[Session]:
    """A session for each request."""
    with Session(engine) as opened:
        yield opened


Opened = Annotated[Session, Depends(session)]


def caller(opened: Opened, authorization: Annotated[str, Header()]) -> Agent:
    """The agent that calls."""
    found = opened.exec(select(Agent).where(Agent.token == authorization.removeprefix("Bearer "))).first()
    if found is None:
        raise HTTPException(401)
    return found


Caller = Annotated[Agent, Depends(caller)]
app = FastAPI()


@app.post("/enqueue", status_code=201)
def enqueue(opened: Opened, agent: Caller) -> Job:
    """Make a job."""
    job = Job(id=uuid.uuid4().hex, agent_id=agent.id, state="queued", created_at=datetime.now(UTC))
    opened.add(job)
    opened.commit()
    opened.refresh(job)
    return job


@app.post("/lease", response_model=None)
def lease(opened: Opened, agent: Caller, response: Response) -> Job | None:
    """Take the oldest job."""
    job = opened.exec(select(Job).where(Job.agent_id == agent.id, Job.state == "queued").limit(1)).first()
    if job is None:
        response.status_code = 204
        return None
    job.state, job.attempt = "leased", job.attempt + 1
    opened.add(job)
    opened.commit()
    opened.refresh(job)
    return job


@app.post("/finish/{job_id}", status_code=204)
def finish(job_id: str, opened: Opened, agent: Caller) -> None:
    """End a job."""
    job = opened.get(Job, job_id)
    if job is None or job.agent_id != agent.id or job.state != "leased":
        raise HTTPException(409)
    job.state, job.ended_at = "succeeded", datetime.now(UTC)
    opened.add(job)
    opened.commit()


if __name__ == "__main__":
    SQLModel.metadata.create_all(engine)
    with Session(engine) as first:
        first.add_all(Agent(id=f"a{number}", token=f"t{number}") for number in range(200))
        first.commit()
    uvicorn.run(app, port=int(os.environ["NAIVE_PORT"]), log_level="warning", access_log=False)
