"""Jobs that were taken over from another database: their ids and states there.

Revision: 0013
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

_HAS_FORMER_ID = sa.text("former_id IS NOT NULL")


def upgrade() -> None:
    op.add_column("job", sa.Column("former_id", sa.BigInteger(), comment="id in the database that the job was taken over from"))
    op.add_column(
        "job",
        sa.Column("former_state", sa.Text(), comment="JSON object of the state there: digest, tags, and the stop_seq that it led to"),
    )
    op.create_index("job_former_id", "job", ["former_id"], sqlite_where=_HAS_FORMER_ID, postgresql_where=_HAS_FORMER_ID)
    op.create_table(
        "taken_over",
        sa.Column("kind", sa.Text(), primary_key=True, comment="user or setting"),
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("digest", sa.Text(), nullable=False, comment="of the state in the former system"),
    )
