"""Filling a database with a history."""

from collections.abc import Iterator

from bench.history.jobs import COLUMNS, History
from bench.history.people import PEOPLE
from bench.support.fill import Rows, fill_database
from bench.support.seed import position_rows
from services.jobstore.rules.unit_of_work import TAGS_PER_EVENT
from shared.database.tables import hpc_user, tables
from shared.settings import DatabaseSettings


async def seed_history(settings: DatabaseSettings, history: History, stream_created: str) -> None:
    """Make the schema and fill it; ``stream_created`` is the identity of the log that the position counts in."""
    await fill_database(settings, _parts(history, stream_created))


def _parts(history: History, stream_created: str) -> Iterator[Rows]:
    tags = [(number * TAGS_PER_EVENT, tag.type, tag.name, tag.scope) for number, tag in enumerate(PEOPLE.tags, 1)]
    yield Rows(tables.tag, ("id", "tag_type", "tag_name", "tag_scope"), tags)
    for chunk in history.chunks():
        yield Rows(tables.job, COLUMNS, list(chunk.rows()))
        yield Rows(tables.jobtag, ("job_id", "tag_id"), chunk.jobtags)
    users = [
        (user, 0, name, '["user"]', f"{user}@example.org", f'["{PEOPLE.projects[project]}"]')
        for user, name, project in zip(PEOPLE.names, PEOPLE.full_names, PEOPLE.project.tolist(), strict=True)
    ]
    yield Rows(hpc_user, ("username", "ldap", "name", "roles", "email", "projects"), users)
    yield position_rows(history.last_sequence, stream_created)
