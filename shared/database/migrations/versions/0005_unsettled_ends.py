"""Ends of runs that may still change, and archive requests that are due.

Revision: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

COMMENTS = {
    "job.is_overdue": "1: presumed to have ended, its own stop still counts",
    "node.changed_seq": "sequence in NODES of the last visible change",
    "parked_stop.parked_at": "when the log stored it, Unix seconds",
}


def upgrade() -> None:
    op.add_column(
        "job",
        sa.Column(
            "unsettled_until",
            sa.Double(),
            comment="time until which the end may change: a later run of the id began, or the stop named no start",
        ),
    )
    op.add_column(
        "job",
        sa.Column("archive_due", sa.Double(), comment="time from which archiving is requested: no stop of its own triggers it"),
    )
    op.add_column(
        "parked_stop", sa.Column("was_applied", sa.SmallInteger(), nullable=False, server_default="0", comment="1: it had ended a run")
    )
    op.create_index(
        "job_archive_due",
        "job",
        ["archive_due"],
        sqlite_where=sa.text("archive_due IS NOT NULL"),
        postgresql_where=sa.text("archive_due IS NOT NULL"),
    )
    if op.get_bind().dialect.name == "postgresql":
        for column, comment in COMMENTS.items():
            op.execute(f"COMMENT ON COLUMN {column} IS '{comment}'")
