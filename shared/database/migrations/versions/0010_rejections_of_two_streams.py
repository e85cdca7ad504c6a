"""Rejections have a stream of their own, so that a sequence alone no longer identifies one.

Revision: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_COMMENT = "REJECTIONS: refused by ingest or the gateway; EVENTS: refused by the rules, or recorded by an earlier version"
_COPY = """
INSERT INTO rejection (seq, origin, time, code, field, text, subject, intake_seq, line, job_id, cluster, excerpt)
SELECT seq, origin, time, code, field, text, subject, intake_seq, line, job_id, cluster, excerpt FROM rejection_before
"""


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.add_column("rejection", sa.Column("stream", sa.Text(), nullable=False, server_default="EVENTS", comment=_COMMENT))
        op.drop_constraint("rejection_pkey", "rejection", type_="primary")
        op.create_primary_key("rejection_pkey", "rejection", ["seq", "stream"])
        op.drop_constraint("rejection_origin", "rejection", type_="unique")
        op.create_unique_constraint("rejection_origin", "rejection", ["origin", "stream"])
        op.alter_column("rejection", "origin", comment="message id of the event; the same input is rejected once, also after a replay")
        op.alter_column("rejection", "seq", comment="sequence in the stream")
        op.alter_column("position", "stream", comment="EVENTS, NODES or REJECTIONS")
        return
    # SQLite cannot change a primary key, so the table is copied.
    op.drop_index("rejection_time", "rejection")
    op.rename_table("rejection", "rejection_before")
    op.create_table(
        "rejection",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("time", sa.Double(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("field", sa.Text()),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text()),
        sa.Column("intake_seq", sa.BigInteger()),
        sa.Column("line", sa.Integer()),
        sa.Column("job_id", sa.BigInteger()),
        sa.Column("cluster", sa.Text()),
        sa.Column("excerpt", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False, server_default="EVENTS"),
        sa.PrimaryKeyConstraint("seq", "stream"),
        sa.UniqueConstraint("origin", "stream", name="rejection_origin"),
    )
    op.execute(_COPY)
    op.drop_table("rejection_before")
    op.create_index("rejection_time", "rejection", ["time"])
