"""The first schema.

Revision: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "configuration",
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("confkey", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("username", "confkey"),
    )
    op.create_table(
        "hpc_user",
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("password", sa.Text(), nullable=True, comment="bcrypt"),
        sa.Column("ldap", sa.SmallInteger(), server_default="0", nullable=False, comment="authentication source"),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("roles", sa.Text(), server_default="[]", nullable=False, comment="JSON list"),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("projects", sa.Text(), server_default="[]", nullable=False, comment="JSON list"),
        sa.PrimaryKeyConstraint("username"),
    )
    op.create_table(
        "job",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
            comment="sequence of the start in the log",
        ),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("subcluster", sa.Text(), nullable=False),
        sa.Column("submit_time", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("start_time", sa.BigInteger(), nullable=False),
        sa.Column("hpc_user", sa.Text(), nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("cluster_partition", sa.Text(), nullable=True),
        sa.Column("array_job_id", sa.BigInteger(), nullable=True),
        sa.Column("duration", sa.BigInteger(), server_default="0", nullable=False, comment="seconds; 0 while running"),
        sa.Column("walltime", sa.BigInteger(), server_default="0", nullable=False, comment="seconds"),
        sa.Column("job_state", sa.Text(), nullable=False),
        sa.Column("meta_data", sa.Text(), nullable=True, comment="JSON object of texts"),
        sa.Column("resources", sa.Text(), nullable=False, comment="JSON list of hostname, hwthreads, accelerators, configuration"),
        sa.Column("num_nodes", sa.Integer(), nullable=False),
        sa.Column("num_hwthreads", sa.Integer(), nullable=True),
        sa.Column("num_acc", sa.Integer(), nullable=True),
        sa.Column("smt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("shared", sa.Text(), nullable=False),
        sa.Column("monitoring_status", sa.SmallInteger(), server_default="1", nullable=False),
        sa.Column("energy", sa.Double(), server_default="0", nullable=False, comment="kWh"),
        sa.Column("energy_footprint", sa.Text(), nullable=True, comment="JSON object, metric to kWh"),
        sa.Column("footprint", sa.Text(), nullable=True, comment="JSON object, metric_statistic to number"),
        sa.Column("requested_memory", sa.BigInteger(), server_default="0", nullable=False, comment="MB"),
        sa.Column("statistics", sa.Text(), nullable=True, comment="JSON object as sent at the start"),
        sa.Column("stop_seq", sa.BigInteger(), nullable=True, comment="sequence of the stop in the log"),
        sa.Column(
            "is_overdue",
            sa.SmallInteger(),
            server_default="0",
            nullable=False,
            comment="1: ended by the walltime rule, a real stop still counts",
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("job_id", "cluster", "start_time", name="job_identity"),
    )
    op.create_index("job_cluster_start_time", "job", ["cluster", "start_time"], unique=False)
    op.create_index("job_hpc_user_start_time", "job", ["hpc_user", "start_time"], unique=False)
    op.create_index("job_project_start_time", "job", ["project", "start_time"], unique=False)
    op.create_index(
        "job_running",
        "job",
        ["start_time", "cluster"],
        unique=False,
        sqlite_where=sa.text("job_state = 'running'"),
        postgresql_where=sa.text("job_state = 'running'"),
    )
    op.create_index("job_start_time", "job", ["start_time"], unique=False)
    op.create_table(
        "jobtag",
        sa.Column("job_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False, comment="job.id"),
        sa.Column("tag_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False, comment="tag.id"),
        sa.PrimaryKeyConstraint("job_id", "tag_id"),
    )
    op.create_index("jobtag_tag_id", "jobtag", ["tag_id"], unique=False)
    op.create_table(
        "node",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("hostname", sa.Text(), nullable=False),
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("subcluster", sa.Text(), nullable=False),
        sa.Column("meta_data", sa.Text(), nullable=True),
        sa.Column("time_stamp", sa.BigInteger(), nullable=False, comment="of the last report"),
        sa.Column("node_state", sa.Text(), nullable=False),
        sa.Column("states", sa.Text(), nullable=False, comment="JSON list of the scheduler's words"),
        sa.Column("cpus_allocated", sa.BigInteger(), nullable=False),
        sa.Column("memory_allocated", sa.BigInteger(), nullable=False, comment="MB"),
        sa.Column("gpus_allocated", sa.BigInteger(), nullable=False),
        sa.Column("jobs_running", sa.BigInteger(), nullable=False),
        sa.Column("report_seq", sa.BigInteger(), nullable=False, comment="sequence of the last report in NODES"),
        sa.Column("kept_at", sa.BigInteger(), nullable=False, comment="time_stamp of the newest row of node_state"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("cluster", "hostname", name="node_identity"),
    )
    op.create_index("node_subcluster", "node", ["cluster", "subcluster"], unique=False)
    op.create_table(
        "node_state",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("node_id", sa.BigInteger(), nullable=False),
        sa.Column("time_stamp", sa.BigInteger(), nullable=False),
        sa.Column("node_state", sa.Text(), nullable=False),
        sa.Column("states", sa.Text(), nullable=False),
        sa.Column("cpus_allocated", sa.BigInteger(), nullable=False),
        sa.Column("memory_allocated", sa.BigInteger(), nullable=False),
        sa.Column("gpus_allocated", sa.BigInteger(), nullable=False),
        sa.Column("jobs_running", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("node_state_node_id_time_stamp", "node_state", ["node_id", "time_stamp"], unique=False)
    op.create_index("node_state_time_stamp", "node_state", ["time_stamp"], unique=False)
    op.create_table(
        "parked_stop",
        sa.Column(
            "seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
            comment="sequence of the stop in the log",
        ),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("cluster", sa.Text(), nullable=True),
        sa.Column("start_time", sa.BigInteger(), nullable=True),
        sa.Column("stop_time", sa.BigInteger(), nullable=False),
        sa.Column("job_state", sa.Text(), nullable=False),
        sa.Column("received_state", sa.Text(), nullable=True),
        sa.Column("origin", sa.Text(), nullable=False, comment="message id of the event"),
        sa.Column("parked_at", sa.Double(), nullable=False, comment="event time, Unix seconds"),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_index("parked_stop_job_id", "parked_stop", ["job_id"], unique=False)
    op.create_index("parked_stop_parked_at", "parked_stop", ["parked_at"], unique=False)
    op.create_table(
        "position",
        sa.Column("stream", sa.Text(), nullable=False, comment="EVENTS or NODES"),
        sa.Column("sequence", sa.BigInteger(), nullable=False, comment="the last one applied"),
        sa.Column("stream_created", sa.Text(), nullable=False, comment="identity of the stream: its creation time"),
        sa.Column("event_time", sa.Double(), nullable=False, comment="time of the last event applied, Unix seconds"),
        sa.PrimaryKeyConstraint("stream"),
    )
    op.create_table(
        "rejection",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False, comment="sequence in the log"
        ),
        sa.Column("origin", sa.Text(), nullable=False, comment="message id of the event; the same input is rejected once"),
        sa.Column("time", sa.Double(), nullable=False, comment="event time, Unix seconds"),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("field", sa.Text(), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("intake_seq", sa.BigInteger(), nullable=True),
        sa.Column("line", sa.Integer(), nullable=True),
        sa.Column("job_id", sa.BigInteger(), nullable=True),
        sa.Column("cluster", sa.Text(), nullable=True),
        sa.Column("excerpt", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("origin", name="rejection_origin"),
    )
    op.create_index("rejection_time", "rejection", ["time"], unique=False)
    op.create_table(
        "tag",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("tag_type", sa.Text(), nullable=False),
        sa.Column("tag_name", sa.Text(), nullable=False),
        sa.Column("tag_scope", sa.Text(), server_default="global", nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("tag_type", "tag_name", "tag_scope", name="tag_identity"),
    )
    # ### end Alembic commands ###
