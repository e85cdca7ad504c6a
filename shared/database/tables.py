"""All tables, declared once for every engine.

``job`` follows the columns of cc-backend's schema 11, so that its readers keep working; JSON is stored as text.
The id of a job is the sequence of its start in the log, the id of a tag is derived from the sequence that created it, the id
of a node is a hash of its name, so ids are the same after every rebuild.
"""

from dataclasses import dataclass, fields

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from shared.database.sql import ARCHIVING_HAS_FAILED, RUNNING, WAITS_FOR_ARCHIVE
from shared.database.types import ALL_ROWS, MessageId, Name

Id = BigInteger().with_variant(Integer, "sqlite")  # only INTEGER PRIMARY KEY is a row id in SQLite


@dataclass(frozen=True, slots=True)
class ProjectionTables:
    """The tables that jobstore writes. They are a function of the log."""

    job: Table
    tag: Table
    jobtag: Table
    node: Table
    node_state: Table
    node_health: Table
    job_deletion: Table
    parked_stop: Table
    rejection: Table
    position: Table

    def all(self) -> list[Table]:
        return [getattr(self, field.name) for field in fields(self)]


def projection_tables(metadata: MetaData, prefix: str = "") -> ProjectionTables:
    """One set of tables. A rebuild uses ``prefix`` for a second set in addition to the one in use."""

    def index(name: str, *columns: str) -> Index:
        return Index(f"{prefix}{name}", *columns)

    def partial_index(name: str, *columns: str, where: str, otherwise: tuple[str, ...] | None = None) -> Index:
        """``otherwise`` are the columns for an engine without partial indexes, if they are others."""
        info = {ALL_ROWS: otherwise or columns}
        return Index(f"{prefix}{name}", *columns, sqlite_where=text(where), postgresql_where=text(where), info=info)

    job = Table(
        f"{prefix}job",
        metadata,
        Column("id", Id, primary_key=True, autoincrement=False, comment="sequence of the start in the log"),
        Column("job_id", BigInteger, nullable=False),
        Column("cluster", Name, nullable=False),
        Column("subcluster", Name, nullable=False),
        Column("submit_time", BigInteger, nullable=False, server_default="0"),
        Column("start_time", BigInteger, nullable=False),
        Column("hpc_user", Name, nullable=False),
        Column("project", Name, nullable=False),
        Column("cluster_partition", Name),
        Column("array_job_id", BigInteger),
        Column("duration", BigInteger, nullable=False, server_default="0", comment="seconds; 0 while running"),
        Column("walltime", BigInteger, nullable=False, server_default="0", comment="seconds"),
        Column("job_state", Name, nullable=False),
        Column("meta_data", Text, comment="JSON object of texts"),
        Column("resources", Text, nullable=False, comment="JSON list of hostname, hwthreads, accelerators, configuration"),
        Column("num_nodes", Integer, nullable=False),
        Column("num_hwthreads", Integer),
        Column("num_acc", Integer),
        Column("smt", Integer, nullable=False, server_default="0"),
        Column("shared", Name, nullable=False),
        Column("monitoring_status", SmallInteger, nullable=False, server_default="1"),
        Column("energy", Double, nullable=False, server_default="0", comment="kWh"),
        Column("energy_footprint", Text, comment="JSON object, metric to kWh"),
        Column("footprint", Text, comment="JSON object, metric_statistic to number"),
        Column("requested_memory", BigInteger, nullable=False, server_default="0", comment="MB"),
        Column("statistics", Text, comment="JSON object as sent at the start"),
        Column("stop_seq", BigInteger, comment="sequence of the stop in the log"),
        Column(
            "is_overdue",
            SmallInteger,
            nullable=False,
            server_default="0",
            comment="1: presumed to have ended, its own stop still counts",
        ),
        Column("job_name", Text, comment="jobName of the metadata"),
        Column(
            "hosts", Text, nullable=False, server_default=" ", comment="host names of the resources, a blank before, between and behind"
        ),
        Column(
            "changed_seq",
            BigInteger,
            nullable=False,
            server_default="0",
            comment="sequence of the last event that changed this row or its tags",
        ),
        Column(
            "unsettled_until",
            Double,
            comment="time until which the end may change: a later run of the id began, or the stop named no start",
        ),
        Column("archive_due", Double, comment="time from which archiving is requested: no stop of its own triggers it"),
        Column("advice", Text, comment="JSON list of what the rules say, most severe first"),
        Column("former_id", BigInteger, comment="id in the database that the job was taken over from"),
        Column("former_state", Text, comment="JSON object of the state there: digest, tags, and the stop_seq that it led to"),
        Column("archiving_failure", Text, comment="why the latest attempt to archive the job was given up"),
        UniqueConstraint("job_id", "cluster", "start_time", name=f"{prefix}job_identity"),
        # Includes the id, as SQLite indexes do implicitly, so that a late page is found in the index alone.
        Index(f"{prefix}job_start_time", "start_time", postgresql_include=["id"]),
        index("job_cluster_start_time", "cluster", "start_time"),
        index("job_hpc_user_start_time", "hpc_user", "start_time"),
        index("job_project_start_time", "project", "start_time"),
        index("job_changed_seq", "changed_seq"),
        partial_index("job_archive_due", "archive_due", where="archive_due IS NOT NULL"),
        partial_index("job_former_id", "former_id", where="former_id IS NOT NULL"),
        partial_index("job_running", "start_time", "cluster", where=RUNNING, otherwise=("job_state", "start_time", "cluster")),
        partial_index("job_archiving_failed", "id", where=ARCHIVING_HAS_FAILED, otherwise=("monitoring_status", "id")),
        partial_index(
            "job_waits_for_archive", "stop_seq", "id", where=WAITS_FOR_ARCHIVE, otherwise=("monitoring_status", "stop_seq", "id")
        ),
    )
    tag = Table(
        f"{prefix}tag",
        metadata,
        Column("id", Id, primary_key=True, autoincrement=False),
        Column("tag_type", Name, nullable=False),
        Column("tag_name", Name, nullable=False),
        Column("tag_scope", Name, nullable=False, server_default="global"),
        UniqueConstraint("tag_type", "tag_name", "tag_scope", name=f"{prefix}tag_identity"),
    )
    # No foreign keys: the projection deletes dependent rows, and a rebuild loads in any order.
    jobtag = Table(
        f"{prefix}jobtag",
        metadata,
        Column("job_id", Id, primary_key=True, autoincrement=False, comment="job.id"),
        Column("tag_id", Id, primary_key=True, autoincrement=False, comment="tag.id"),
        index("jobtag_tag_id", "tag_id"),
    )
    node = Table(
        f"{prefix}node",
        metadata,
        Column("id", Id, primary_key=True, autoincrement=False),
        Column("hostname", Name, nullable=False),
        Column("cluster", Name, nullable=False),
        Column("subcluster", Name, nullable=False),
        Column("meta_data", Text),
        Column("time_stamp", BigInteger, nullable=False, comment="of the last report"),
        Column("node_state", Name, nullable=False),
        Column("states", Text, nullable=False, comment="JSON list of the scheduler's words"),
        Column("cpus_allocated", BigInteger, nullable=False),
        Column("memory_allocated", BigInteger, nullable=False, comment="MB"),
        Column("gpus_allocated", BigInteger, nullable=False),
        Column("jobs_running", BigInteger, nullable=False),
        Column("report_seq", BigInteger, nullable=False, comment="sequence of the last report in NODES"),
        Column("kept_at", BigInteger, nullable=False, comment="time_stamp of the newest row of node_state"),
        Column("health_state", Name, nullable=False, server_default="failed", comment="full, partial or failed, as last checked"),
        Column("health_data", Text, nullable=False, server_default="{}", comment="JSON object, missing and degraded: lists of metrics"),
        Column("health_kept_at", BigInteger, nullable=False, server_default="0", comment="time_stamp of the newest row of node_health"),
        Column("changed_seq", BigInteger, nullable=False, server_default="0", comment="sequence in NODES of the last visible change"),
        UniqueConstraint("cluster", "hostname", name=f"{prefix}node_identity"),
        index("node_subcluster", "cluster", "subcluster"),
        index("node_changed_seq", "changed_seq"),
    )
    node_state = Table(
        f"{prefix}node_state",
        metadata,
        Column("id", Id, primary_key=True, autoincrement=False),
        Column("node_id", BigInteger, nullable=False),
        Column("time_stamp", BigInteger, nullable=False),
        Column("node_state", Name, nullable=False),
        Column("states", Text, nullable=False),
        Column("cpus_allocated", BigInteger, nullable=False),
        Column("memory_allocated", BigInteger, nullable=False),
        Column("gpus_allocated", BigInteger, nullable=False),
        Column("jobs_running", BigInteger, nullable=False),
        index("node_state_time_stamp", "time_stamp"),
        index("node_state_node_id_time_stamp", "node_id", "time_stamp"),
    )
    node_health = Table(
        f"{prefix}node_health",
        metadata,
        Column("id", Id, primary_key=True, autoincrement=False),
        Column("node_id", BigInteger, nullable=False),
        Column("time_stamp", BigInteger, nullable=False),
        Column("health_state", Name, nullable=False),
        index("node_health_time_stamp", "time_stamp"),
        index("node_health_node_id_time_stamp", "node_id", "time_stamp"),
    )
    # Readers that follow ``job.changed_seq`` would miss deletions. User and project decide who may see one. The run and its end
    # identify intake messages of a deleted job when they are read again.
    # Rows are never removed: about 100 bytes for each deleted job, whose own row had about a kilobyte.
    job_deletion = Table(
        f"{prefix}job_deletion",
        metadata,
        Column("seq", Id, primary_key=True, autoincrement=False, comment="sequence of the deletion in the log"),
        Column("job", BigInteger, nullable=False, comment="job.id of the row that is gone"),
        Column("cluster", Name, nullable=False),
        Column("hpc_user", Name, nullable=False),
        Column("project", Name, nullable=False),
        Column("job_id", BigInteger, comment="of the scheduler; null, as the columns below, for deletions recorded before there was one"),
        Column("start_time", BigInteger),
        Column("stop_time", BigInteger, comment="start_time for a job that was running"),
        Column("job_state", Name),
        Column("deleted_at", Double, comment="when the log stored the deletion, Unix seconds"),
        index("job_deletion_job_id", "job_id"),
    )
    parked_stop = Table(
        f"{prefix}parked_stop",
        metadata,
        Column("seq", Id, primary_key=True, autoincrement=False, comment="sequence of the stop in the log"),
        Column("job_id", BigInteger, nullable=False),
        Column("cluster", Name),
        Column("start_time", BigInteger),
        Column("stop_time", BigInteger, nullable=False),
        Column("job_state", Name, nullable=False),
        Column("received_state", Text),
        Column("origin", Text, nullable=False, comment="message id of the event"),
        Column("parked_at", Double, nullable=False, comment="when the log stored it, Unix seconds"),
        Column("oddities", Text, comment="JSON of the oddities that the stop tells"),
        Column("was_applied", SmallInteger, nullable=False, server_default="0", comment="1: it had ended a run"),
        index("parked_stop_job_id", "job_id"),
        index("parked_stop_parked_at", "parked_at"),
    )
    rejection = Table(
        f"{prefix}rejection",
        metadata,
        Column("seq", Id, primary_key=True, autoincrement=False, comment="sequence in the stream"),
        Column(
            "origin", MessageId, nullable=False, comment="message id of the event; the same input is rejected once, also after a replay"
        ),
        Column("time", Double, nullable=False, comment="event time, Unix seconds"),
        Column("code", Name, nullable=False),
        Column("field", Text),
        Column("text", Text, nullable=False),
        Column("subject", Text),
        Column("intake_seq", BigInteger),
        Column("line", Integer),
        Column("job_id", BigInteger),
        Column("cluster", Text),
        Column("excerpt", Text, nullable=False),
        Column(
            "stream",
            Name,
            primary_key=True,
            server_default="EVENTS",
            comment="REJECTIONS: refused by ingest or the gateway; EVENTS: refused by the rules, or recorded by an earlier version",
        ),
        UniqueConstraint("origin", "stream", name=f"{prefix}rejection_origin"),
        index("rejection_time", "time"),
    )
    position = Table(
        f"{prefix}position",
        metadata,
        Column("stream", Name, primary_key=True, comment="EVENTS, NODES or REJECTIONS"),
        Column("sequence", BigInteger, nullable=False, comment="the last one applied"),
        Column("stream_created", Name, nullable=False, comment="identity of the stream: its creation time"),
        Column("event_time", Double, nullable=False, comment="time of the last event applied, Unix seconds"),
        Column("build", Integer, nullable=False, server_default="0", comment="how often the tables were rebuilt"),
        Column("message_id", Text, comment="of the last event applied; empty if it had none"),
        Column(
            "log_time", Double, nullable=False, server_default="0", comment="when the stream stored the last event applied, Unix seconds"
        ),
        Column("rules", Integer, nullable=False, server_default="0", comment="version of the rules that the tables began with"),
    )
    return ProjectionTables(job, tag, jobtag, node, node_state, node_health, job_deletion, parked_stop, rejection, position)


metadata = MetaData()
tables = projection_tables(metadata)

# Owned by the gateway.
hpc_user = Table(
    "hpc_user",
    metadata,
    Column("username", Name, primary_key=True),
    Column("password", Text, comment="bcrypt"),
    Column("ldap", SmallInteger, nullable=False, server_default="0", comment="authentication source"),
    Column("name", Text),
    Column("roles", Text, nullable=False, server_default="[]", comment="JSON list"),
    Column("email", Text),
    Column("projects", Text, nullable=False, server_default="[]", comment="JSON list"),
)
configuration = Table(
    "configuration",
    metadata,
    Column("username", Name, primary_key=True),
    Column("confkey", Name, primary_key=True),
    Column("value", Text),
)
# Sessions that ended before their cookie expires.
ended_session = Table(
    "ended_session",
    metadata,
    Column("id", Name, primary_key=True, comment="of the cookie"),
    Column("expires", BigInteger, nullable=False, comment="Unix seconds; afterwards the cookie is refused by its age"),
    Index("ended_session_expires", "expires"),
)
# Failed sign-ins, counted for all gateways together.
sign_in_attempt = Table(
    "sign_in_attempt",
    metadata,
    Column("key", Name, primary_key=True, comment="an address, or the hash of an address and a user name"),
    Column("full_at", Double, nullable=False, comment="Unix seconds; when all attempts are available again and the row is deleted"),
    Index("sign_in_attempt_full_at", "full_at"),
)
# API tokens issued by the gateway. A token whose row is missing is refused: deleting the row revokes it.
api_token = Table(
    "api_token",
    metadata,
    Column("id", Name, primary_key=True, comment="claim jti"),
    Column("username", Name, nullable=False),
    Column("roles", Text, nullable=False, comment="JSON list, as signed"),
    Column("label", Text, nullable=False, comment="purpose, given by the issuer"),
    Column("for_program", SmallInteger, nullable=False, server_default="0", comment="1: outlives changes to the user"),
    Column("issued", BigInteger, nullable=False, comment="Unix seconds"),
    Column("issued_by", Text, nullable=False),
    Column("expires", BigInteger, comment="Unix seconds; null: never"),
    Column("wall", Text, comment="cluster of the link to a wall screen; null: a token of the API"),
    Index("api_token_username", "username"),
)
# Site-wide texts, such as the notice.
site_text = Table(
    "site_text",
    metadata,
    Column("name", Name, primary_key=True),
    Column("value", Text, nullable=False),
)
# What `jobtide takeover` has brought besides jobs, to bring later only what changed in the former system since. Tags have no digest.
taken_over = Table(
    "taken_over",
    metadata,
    Column("kind", Name, primary_key=True, comment="user or setting"),
    Column("name", Name, primary_key=True),
    Column("digest", Text, nullable=False, comment="of the state in the former system"),
)
