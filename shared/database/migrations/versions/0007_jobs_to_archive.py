"""An index of the stopped jobs that wait to be archived.

Revision: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_WAITS_FOR_ARCHIVE = sa.text("monitoring_status = 1 AND job_state <> 'running'")


def upgrade() -> None:
    op.create_index(
        "job_waits_for_archive", "job", ["stop_seq", "id"], sqlite_where=_WAITS_FOR_ARCHIVE, postgresql_where=_WAITS_FOR_ARCHIVE
    )
