"""Why the archiving of a job failed.

Failures from before have no reason here until they are tried again, or until a rebuild reads it from the log.

Revision: 0015
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

_HAS_FAILED = sa.text("monitoring_status = 2")


def upgrade() -> None:
    found, engine = sa.inspect(op.get_bind()), op.get_bind().dialect.name
    if "archiving_failure" not in {column["name"] for column in found.get_columns("job")}:
        op.add_column("job", sa.Column("archiving_failure", sa.Text(), comment="why the latest attempt to archive the job was given up"))
    if "job_archiving_failed" not in {index["name"] for index in found.get_indexes("job")}:
        columns = ["monitoring_status", "id"] if engine in ("mysql", "mariadb") else ["id"]
        op.create_index("job_archiving_failed", "job", columns, sqlite_where=_HAS_FAILED, postgresql_where=_HAS_FAILED)
