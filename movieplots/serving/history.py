"""The ideas a writer has had, in one SQLite file, so that a reload or a restart loses nothing."""

import json
import sqlite3
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from movieplots.errors import BadInput
from movieplots.files import ensure_folder
from movieplots.serving.client import Genre, Nearest


@dataclass
class Idea:
    """One idea: what was asked for, what came of it, and what was found out about it."""

    genres: list[str]
    title: str
    plot: str
    temperature: float
    top_p: float
    seed: int
    opening: str = ""
    asked_title: str = ""
    finished: bool = True
    edited: bool = False
    found_genres: list[Genre] = field(default_factory=list)
    keywords: list[str] = field(default_factory=list)
    nearest: Nearest | None = None
    created: float = field(default_factory=time.time)
    id: str = field(default_factory=lambda: uuid.uuid4().hex)


class History:
    """Ideas by writer, the newest first. Raises BadInput where the file cannot be used."""

    def __init__(self, file: str | Path) -> None:
        self.file = Path(file)
        ensure_folder(self.file.parent)
        with self._open() as connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS ideas (id TEXT PRIMARY KEY, writer TEXT, created REAL, idea TEXT)"
            )
            connection.execute("CREATE INDEX IF NOT EXISTS by_writer ON ideas (writer, created)")

    def keep(self, writer: str, idea: Idea) -> None:
        """Add the idea, or replace what it was before."""
        with self._open() as connection:
            row = (idea.id, writer, idea.created, json.dumps(asdict(idea)))
            connection.execute("INSERT OR REPLACE INTO ideas VALUES (?, ?, ?, ?)", row)

    def forget(self, writer: str, idea: Idea) -> None:
        """Remove it."""
        with self._open() as connection:
            connection.execute("DELETE FROM ideas WHERE writer = ? AND id = ?", (writer, idea.id))

    def of(self, writer: str) -> list[Idea]:
        """All ideas of a writer, the newest first."""
        with self._open() as connection:
            rows = connection.execute(
                "SELECT idea FROM ideas WHERE writer = ? ORDER BY created DESC, rowid DESC", (writer,)
            ).fetchall()
        return [Idea(**json.loads(row[0])) for row in rows]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self.file, timeout=30)) as connection, connection:
                yield connection
        except sqlite3.DatabaseError as error:
            raise BadInput(
                f"The history {self.file} cannot be used ({error}): move it away, then start again."
            ) from None


def as_markdown(ideas: Sequence[Idea]) -> str:
    """The ideas as a document."""
    parts = ["# Ideas"]
    for idea in ideas:
        genres = ", ".join(idea.genres) or "any genre"
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(idea.created))
        notes = [f"*{genres}* · {when} · temperature {idea.temperature:g}, top-p {idea.top_p:g}, seed {idea.seed}"]
        if idea.keywords:
            notes.append("Keywords: " + ", ".join(idea.keywords))
        parts.append("\n\n".join([f"## {idea.title or 'Untitled'}", idea.plot, *notes]))
    return "\n\n".join(parts) + "\n"


def as_json(ideas: Sequence[Idea]) -> str:
    """The ideas with everything that is known of them."""
    return json.dumps([asdict(idea) for idea in ideas], indent=2, ensure_ascii=False) + "\n"
