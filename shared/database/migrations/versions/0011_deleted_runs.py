"""Deletions name the run that was deleted, and the position the rules that the tables began with.

Revision: 0011
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

COLUMNS: list[sa.Column[Any]] = [
    sa.Column(
        "job_id", sa.BigInteger(), comment="of the scheduler; null, as the columns below, for deletions recorded before there was one"
    ),
    sa.Column("start_time", sa.BigInteger()),
    sa.Column("stop_time", sa.BigInteger(), comment="start_time for a job that was running"),
    sa.Column("job_state", sa.Text()),
    sa.Column("deleted_at", sa.Double(), comment="when the log stored the deletion, Unix seconds"),
]


def upgrade() -> None:
    for column in COLUMNS:
        op.add_column("job_deletion", column)
    op.create_index("job_deletion_job_id", "job_deletion", ["job_id"])
    op.add_column(
        "position",
        sa.Column("rules", sa.Integer(), nullable=False, server_default="0", comment="version of the rules that the tables began with"),
    )
