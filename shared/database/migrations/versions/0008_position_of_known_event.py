"""The position names its event, by which the log is recognised.

Revision: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("position", sa.Column("message_id", sa.Text(), comment="of the last event applied; empty if it had none"))
    op.add_column(
        "position",
        sa.Column(
            "log_time",
            sa.Double(),
            nullable=False,
            server_default="0",
            comment="when the stream stored the last event applied, Unix seconds",
        ),
    )
