"""Links to wall screens, whose tokens show one cluster and nothing else.

Revision: 0014
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.add_column("api_token", sa.Column("wall", sa.Text(), comment="cluster of the link to a wall screen; null: a token of the API"))
