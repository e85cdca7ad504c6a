"""Ids in the index of start times, where the engine does not have them in every index.

Revision: 0003
"""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.drop_index("job_start_time", "job")
        op.create_index("job_start_time", "job", ["start_time"], postgresql_include=["id"])
