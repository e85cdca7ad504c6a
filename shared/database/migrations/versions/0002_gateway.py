"""Columns that readers follow and filter by: changes, names, hosts, node health; sessions and texts of the site.

Revision: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# Existing jobs are filled in chunks, so that each statement ends within the time limit. The rows do not show later edits, which
# does no harm: readers that follow ``changed_seq`` start with this schema.
_JOBS_AT_ONCE = 20_000
_FILL_SQLITE = """
UPDATE job SET
  changed_seq = max(id, coalesce(stop_seq, 0)),
  job_name = CASE WHEN meta_data IS NOT NULL THEN json_extract(replace(meta_data, '\\u0000', '\\ufffd'), '$.jobName') END,
  hosts = ' ' || coalesce((SELECT group_concat(json_extract(value, '$.hostname'), ' ') FROM json_each(resources)), '') || ' '
WHERE id >= :first AND id < :end
"""
_FILL_POSTGRESQL = """
UPDATE job SET
  changed_seq = greatest(id, coalesce(stop_seq, 0)),
  job_name = replace(meta_data, '\\u0000', '\\ufffd')::json ->> 'jobName',
  hosts = ' ' || coalesce((
    SELECT string_agg(r ->> 'hostname', ' ' ORDER BY n) FROM json_array_elements(resources::json) WITH ORDINALITY AS e (r, n)
  ), '') || ' '
WHERE id >= :first AND id < :end
"""


def _fill_jobs() -> None:
    connection = op.get_bind()
    fill = sa.text(_FILL_SQLITE if connection.dialect.name == "sqlite" else _FILL_POSTGRESQL)
    following = sa.text("SELECT id FROM job WHERE id >= :first ORDER BY id LIMIT 1 OFFSET :count")
    first = 0
    while True:
        found = connection.scalar(following, {"first": first, "count": _JOBS_AT_ONCE})
        end = 2**62 if found is None else found
        connection.execute(fill, {"first": first, "end": end})
        if found is None:
            return
        first = end


def upgrade() -> None:
    op.add_column("job", sa.Column("job_name", sa.Text(), nullable=True, comment="jobName of the metadata"))
    op.add_column(
        "job",
        sa.Column(
            "hosts",
            sa.Text(),
            nullable=False,
            server_default=" ",
            comment="host names of the resources, a blank before, between and behind",
        ),
    )
    op.add_column(
        "job",
        sa.Column(
            "changed_seq",
            sa.BigInteger(),
            nullable=False,
            server_default="0",
            comment="sequence of the last event that changed this row or its tags",
        ),
    )
    _fill_jobs()
    op.create_index("job_changed_seq", "job", ["changed_seq"])
    for column in (
        sa.Column("health_state", sa.Text(), nullable=False, server_default="failed", comment="full, partial or failed, as last checked"),
        sa.Column(
            "health_data", sa.Text(), nullable=False, server_default="{}", comment="JSON object, missing and degraded: lists of metrics"
        ),
        sa.Column(
            "health_kept_at", sa.BigInteger(), nullable=False, server_default="0", comment="time_stamp of the newest row of node_health"
        ),
        sa.Column(
            "changed_seq", sa.BigInteger(), nullable=False, server_default="0", comment="sequence in NODES of the last report or check"
        ),
    ):
        op.add_column("node", column)
    op.execute("UPDATE node SET changed_seq = report_seq")
    op.create_index("node_changed_seq", "node", ["changed_seq"])
    op.create_table(
        "node_health",
        sa.Column("id", _Id, autoincrement=False, nullable=False),
        sa.Column("node_id", sa.BigInteger(), nullable=False),
        sa.Column("time_stamp", sa.BigInteger(), nullable=False),
        sa.Column("health_state", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("node_health_time_stamp", "node_health", ["time_stamp"])
    op.create_index("node_health_node_id_time_stamp", "node_health", ["node_id", "time_stamp"])
    op.create_table(
        "job_deletion",
        sa.Column("seq", _Id, autoincrement=False, nullable=False, comment="sequence of the deletion in the log"),
        sa.Column("job", sa.BigInteger(), nullable=False, comment="job.id of the row that is gone"),
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("hpc_user", sa.Text(), nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.add_column(
        "position", sa.Column("build", sa.Integer(), nullable=False, server_default="0", comment="how often the tables were rebuilt")
    )
    op.create_table(
        "ended_session",
        sa.Column("id", sa.Text(), nullable=False, comment="of the cookie"),
        sa.Column("expires", sa.BigInteger(), nullable=False, comment="Unix seconds; afterwards the cookie is refused by its age"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ended_session_expires", "ended_session", ["expires"])
    op.create_table(
        "site_text",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
