"""Failed sign-ins, counted for all gateways together.

Revision: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "sign_in_attempt",
        sa.Column("key", sa.Text(), nullable=False, comment="an address, or the hash of an address and a user name"),
        sa.Column(
            "full_at", sa.Double(), nullable=False, comment="Unix seconds; when all attempts are available again and the row is deleted"
        ),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("sign_in_attempt_full_at", "sign_in_attempt", ["full_at"])
