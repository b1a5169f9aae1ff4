"""The data of an IMS that has stopped: made once, copied by each test that begins with it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from postgresql import PostgresServer


@dataclass(frozen=True)
class Opened:
    """The data of an IMS that has stopped, to be copied by each test that begins with it."""

    data: Path
    database_url: str | None
    server: PostgresServer | None

    @contextmanager
    def copied(self, data: Path) -> Iterator[str | None]:
        """A copy in this folder; the address of its database, unless that is in the folder."""
        shutil.copytree(self.data, data)
        if self.server is None or self.database_url is None:
            yield None
            return
        url = self.server.new_database(template=self.database_url.split("?")[0].rsplit("/", 1)[1])
        yield url
        self.server.drop(url)
