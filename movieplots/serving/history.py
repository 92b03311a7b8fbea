"""The ideas of all writers, in an SQLite file, so that they survive reloads and restarts."""

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
from movieplots.serving.client import Genre, NearestTrainingPlot


@dataclass
class Idea:
    """One idea: the settings of the request, the generated plot, and what the API found out about it.

    The history stores the fields under these names.
    """

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
    nearest: NearestTrainingPlot | None = None
    created: float = field(default_factory=time.time)
    id: str = field(default_factory=lambda: uuid.uuid4().hex)


class History:
    """A store of ideas by writer; all methods raise BadInput if the file cannot be used."""

    def __init__(self, file: str | Path) -> None:
        self.file = Path(file)
        ensure_folder(self.file.parent)
        with self._open() as connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS ideas (id TEXT PRIMARY KEY, writer TEXT, created REAL, idea TEXT)"
            )
            connection.execute("CREATE INDEX IF NOT EXISTS by_writer ON ideas (writer, created)")

    def save(self, writer: str, idea: Idea) -> None:
        """Add the idea, or replace its stored version."""
        with self._open() as connection:
            row = (idea.id, writer, idea.created, json.dumps(asdict(idea)))
            connection.execute("INSERT OR REPLACE INTO ideas VALUES (?, ?, ?, ?)", row)

    def delete(self, writer: str, idea: Idea) -> None:
        """Remove the idea."""
        with self._open() as connection:
            connection.execute("DELETE FROM ideas WHERE writer = ? AND id = ?", (writer, idea.id))

    def ideas_of(self, writer: str) -> list[Idea]:
        """Return all ideas of a writer, the newest first."""
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
                f"The file of ideas {self.file} cannot be used ({error}). Move or delete it, then start again."
            ) from None


def as_markdown(ideas: Sequence[Idea]) -> str:
    """Return the ideas as a Markdown document."""
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
    """Return the ideas with all their fields as JSON."""
    return json.dumps([asdict(idea) for idea in ideas], indent=2, ensure_ascii=False) + "\n"
