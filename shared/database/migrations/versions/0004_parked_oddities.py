"""Oddities of stops that wait for their start.

Revision: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("parked_stop", sa.Column("oddities", sa.Text(), comment="JSON of the oddities that the stop tells"))
