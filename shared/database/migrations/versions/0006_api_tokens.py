"""API tokens that the gateway issued, so that they can be listed and revoked.

Revision: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "api_token",
        sa.Column("id", sa.Text(), nullable=False, comment="claim jti"),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("roles", sa.Text(), nullable=False, comment="JSON list, as signed"),
        sa.Column("label", sa.Text(), nullable=False, comment="purpose, given by the issuer"),
        sa.Column("for_program", sa.SmallInteger(), server_default="0", nullable=False, comment="1: outlives changes to the user"),
        sa.Column("issued", sa.BigInteger(), nullable=False, comment="Unix seconds"),
        sa.Column("issued_by", sa.Text(), nullable=False),
        sa.Column("expires", sa.BigInteger(), comment="Unix seconds; null: never"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("api_token_username", "api_token", ["username"])
