"""Advice on jobs.

Revision: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("job", sa.Column("advice", sa.Text(), comment="JSON list of what the rules say, most severe first"))
