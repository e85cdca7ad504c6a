"""The files of a cc-backend: configuration, database of any schema from 8 to 11, archive. Built from the facts of its interface."""

import json
import sqlite3
from pathlib import Path
from typing import Any

from tests.support.builders import START_TIME
from tests.support.clusters import FIRST_NODE, cluster_text

PASSWORD_HASH = "$2b$04$abcdefghijklmnopqrstuuAb0tZPZNc1cYZ8XJ4pPjKpPHvrPdIdm"  # nobody's
_STATES = (
    "boot_fail, cancelled, completed, deadline, failed, node_fail, out_of_memory, pending, preempted, running, suspended, timeout".split(
        ", "
    )
)
_EXCLUSIVE = {"multi_user": 0, "none": 1, "single_user": 2}


def _job_columns(version: int) -> str:
    submit = "submit_time BIGINT NOT NULL DEFAULT 0," if version >= 9 else ""
    shared = "shared TEXT NOT NULL CHECK (shared IN ('none', 'single_user', 'multi_user'))" if version >= 9 else "exclusive TINYINT"
    states = ", ".join(f"'{state}'" for state in (_STATES if version >= 9 else [*_STATES, "stopped"]))
    user, partition = ("hpc_user", "cluster_partition") if version >= 8 else ('"user"', '"partition"')
    figures = (
        "energy REAL NOT NULL DEFAULT 0.0, energy_footprint TEXT DEFAULT NULL, footprint TEXT DEFAULT NULL"
        if version >= 8
        else "mem_used_max REAL, flops_any_avg REAL, mem_bw_avg REAL, load_avg REAL"
    )
    return f"""
        id INTEGER PRIMARY KEY, job_id BIGINT NOT NULL, cluster TEXT NOT NULL, subcluster TEXT NOT NULL, {submit}
        start_time BIGINT NOT NULL DEFAULT 0, {user} TEXT NOT NULL, project TEXT NOT NULL, {partition} TEXT, array_job_id BIGINT,
        duration INT NOT NULL, walltime INT NOT NULL, job_state TEXT NOT NULL CHECK (job_state IN ({states})), meta_data TEXT,
        resources TEXT NOT NULL, num_nodes INT NOT NULL, num_hwthreads INT, num_acc INT, smt INT NOT NULL DEFAULT 1, {shared},
        monitoring_status TINYINT NOT NULL DEFAULT 1 CHECK (monitoring_status IN (0, 1, 2, 3)), {figures},
        UNIQUE (job_id, cluster, start_time)"""


def _schema(version: int) -> str:
    users = "hpc_user" if version >= 8 else '"user"'
    scope = ", tag_scope TEXT NOT NULL DEFAULT 'global'" if version >= 8 else ""
    tables = f"""
        CREATE TABLE schema_migrations (version uint64, dirty bool);
        INSERT INTO schema_migrations VALUES ({version}, 0);
        CREATE TABLE job ({_job_columns(version)});
        CREATE TABLE tag (id INTEGER PRIMARY KEY, tag_type VARCHAR(255) NOT NULL, tag_name VARCHAR(255) NOT NULL,
            insert_ts TEXT DEFAULT CURRENT_TIMESTAMP{scope}, UNIQUE (tag_type, tag_name));
        CREATE TABLE jobtag (job_id INTEGER, tag_id INTEGER, insert_ts TEXT DEFAULT CURRENT_TIMESTAMP, PRIMARY KEY (job_id, tag_id));
        CREATE TABLE {users} (username varchar(255) PRIMARY KEY NOT NULL, password varchar(255) DEFAULT NULL,
            ldap tinyint NOT NULL DEFAULT 0, name varchar(255) DEFAULT NULL, roles varchar(255) NOT NULL DEFAULT '[]',
            email varchar(255) DEFAULT NULL, projects varchar(255) NOT NULL DEFAULT '[]');
        CREATE TABLE configuration (username varchar(255), confkey varchar(255), value text, PRIMARY KEY (username, confkey));"""
    if version >= 9:
        tables += f"CREATE TABLE job_cache ({_job_columns(version)});"
    if version >= 10:
        tables += """
        CREATE TABLE node (id INTEGER PRIMARY KEY, hostname VARCHAR(255) NOT NULL, cluster VARCHAR(255) NOT NULL,
            subcluster VARCHAR(255) NOT NULL, meta_data TEXT, UNIQUE (hostname, cluster));
        CREATE TABLE node_state (id INTEGER PRIMARY KEY, time_stamp INTEGER NOT NULL, jobs_running INTEGER DEFAULT 0 NOT NULL,
            cpus_allocated INTEGER DEFAULT 0 NOT NULL, memory_allocated INTEGER DEFAULT 0 NOT NULL,
            gpus_allocated INTEGER DEFAULT 0 NOT NULL, node_state VARCHAR(255) NOT NULL, health_state VARCHAR(255) NOT NULL,
            health_metrics TEXT, node_id INTEGER);"""
    return tables


class FormerSite:
    """A cc-backend in ``folder``. While it is open, the write-ahead log is there, as beside a running cc-backend."""

    def __init__(self, folder: Path, version: int = 11, config: dict[str, Any] | None = None) -> None:
        self.folder = folder
        self.version = version
        self.archive = folder / "var" / "job-archive"
        self.archive.mkdir(parents=True)
        (self.archive / "version.txt").write_text("3\n")
        self.configure(**(config or {}))
        self.database = folder / "var" / "job.db"
        self._open: sqlite3.Connection | None = None
        self.db.executescript(_schema(version))

    @property
    def db(self) -> sqlite3.Connection:
        if self._open is None:
            self._open = sqlite3.connect(self.database, isolation_level=None, check_same_thread=False)
            self._open.execute("PRAGMA journal_mode = wal")
        return self._open

    def stop(self) -> "FormerSite":
        """Close the database, which removes its write-ahead log."""
        if self._open is not None:
            self._open.close()
            self._open = None
        return self

    def configure(self, **sections: Any) -> None:
        (self.folder / "config.json").write_text(json.dumps({"main": {"addr": "127.0.0.1:8080"}} | sections))

    def cluster(self, *names: str) -> None:
        for name in names:
            (self.archive / name).mkdir(exist_ok=True)
            (self.archive / name / "cluster.json").write_bytes(cluster_text(name))

    def job(self, job_id: int, table: str = "job", **columns: Any) -> int:
        """A finished job unless ``columns`` say otherwise; returns its row id. Lists and objects are stored as JSON bytes."""
        cluster = columns.get("cluster", "fritz")
        row: dict[str, Any] = {
            "job_id": job_id,
            "cluster": cluster,
            "subcluster": "main",
            "start_time": START_TIME,
            "hpc_user": "alice",
            "project": "physics",
            "cluster_partition": "main",
            "array_job_id": 0,
            "duration": 3600,
            "walltime": 86_400,
            "job_state": "completed",
            "meta_data": {"jobName": f"run {job_id}"},
            "resources": [{"hostname": FIRST_NODE.get(cluster, "node01")}],
            "num_nodes": 1,
            "num_hwthreads": 72,
            "num_acc": 0,
            "smt": 0,
            "shared": "none",
            "monitoring_status": 0,
            "energy": 0.0,
            "footprint": {},
        } | columns
        if self.version < 9:
            row["exclusive"] = _EXCLUSIVE[row.pop("shared")]
        if self.version < 8:
            for name in ("energy", "footprint", "energy_footprint"):
                row.pop(name, None)
            row["user"], row["partition"] = row.pop("hpc_user"), row.pop("cluster_partition")
        values = [json.dumps(value).encode() if isinstance(value, dict | list) else value for value in row.values()]
        names = ", ".join(f'"{name}"' for name in row)
        added = self.db.execute(f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(row))})", values)
        assert added.lastrowid is not None
        return added.lastrowid

    def change(self, id_: int, **columns: Any) -> None:
        for name, value in columns.items():
            stored = json.dumps(value).encode() if isinstance(value, dict | list) else value
            self.db.execute(f"UPDATE job SET {name} = ? WHERE id = ?", [stored, id_])

    def tag(self, type_: str, name: str, *jobs: int, scope: str = "global") -> None:
        if self.version >= 8:
            self.db.execute("INSERT OR IGNORE INTO tag (tag_type, tag_name, tag_scope) VALUES (?, ?, ?)", [type_, name, scope])
        else:
            self.db.execute("INSERT OR IGNORE INTO tag (tag_type, tag_name) VALUES (?, ?)", [type_, name])
        (tag,) = self.db.execute("SELECT id FROM tag WHERE tag_type = ? AND tag_name = ?", [type_, name]).fetchone()
        self.db.executemany("INSERT INTO jobtag (job_id, tag_id) VALUES (?, ?)", [(job, tag) for job in jobs])

    def untag(self, job: int, name: str) -> None:
        self.db.execute("DELETE FROM jobtag WHERE job_id = ? AND tag_id = (SELECT id FROM tag WHERE tag_name = ?)", [job, name])

    def user(self, name: str, *roles: str, projects: list[str] | None = None, source: int = 0, real_name: str | None = None) -> None:
        """Projects are stored as bytes, as after a change; a user without any has the list with an empty name."""
        table = "hpc_user" if self.version >= 8 else '"user"'
        stored = json.dumps(projects).encode() if projects else '[""]'
        row = [name, PASSWORD_HASH if source == 0 else None, source, real_name, json.dumps(roles), f"{name}@site.example", stored]
        self.db.execute(f"INSERT INTO {table} VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def setting(self, user: str, key: str, value: Any) -> None:
        self.db.execute("INSERT OR REPLACE INTO configuration VALUES (?, ?, ?)", [user, key, json.dumps(value)])

    def node(
        self, hostname: str, state: str, time: int = START_TIME, cluster: str = "fritz", health: str = "full", findings: str = ""
    ) -> None:
        node = [hostname, cluster, "main"]
        self.db.execute("INSERT OR IGNORE INTO node (hostname, cluster, subcluster) VALUES (?, ?, ?)", node)
        self.db.execute(
            "INSERT INTO node_state (time_stamp, jobs_running, cpus_allocated, node_state, health_state, health_metrics, node_id)"
            " SELECT ?, 1, 72, ?, ?, ?, id FROM node WHERE hostname = ? AND cluster = ?",
            [time, state, health, findings, hostname, cluster],
        )

    def entry(self, id_: int, data: dict[str, Any] | None = None, **changes: Any) -> Path:
        """The archive entry of a job, as cc-backend writes it when the job ends: without final footprint and status.

        Beside a database before schema 9, with the key of the archives before version 3.
        """
        cursor = self.db.execute("SELECT * FROM job WHERE id = ?", [id_])
        row = dict(zip([column[0] for column in cursor.description], cursor.fetchone(), strict=True))
        meta: dict[str, Any] = {
            "jobId": row["job_id"],
            "cluster": row["cluster"],
            "subCluster": row["subcluster"],
            "user": row["hpc_user"],
            "project": row["project"],
            "partition": row["cluster_partition"],
            "jobState": row["job_state"],
            "startTime": row["start_time"],
            "duration": row["duration"],
            "walltime": row["walltime"],
            "numNodes": row["num_nodes"],
            "numHwthreads": row["num_hwthreads"],
            "monitoringStatus": 1,
            "resources": json.loads(row["resources"]),
            "metaData": json.loads(row["meta_data"]),
            "statistics": {},
            "footprint": None,
            "energyFootprint": None,
            "energy": 0,
            "concurrentJobs": {"items": None, "count": 0},
            "id": id_,
        }
        key = "shared" if self.version >= 9 else "exclusive"
        meta |= {key: row[key]} | changes
        number, start = meta["jobId"], meta["startTime"]
        folder: Path = self.archive / meta["cluster"] / str(number // 1000) / f"{number % 1000:03d}" / str(start)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "meta.json").write_text(json.dumps(meta) + "\n")
        (folder / "data.json").write_text(json.dumps(data or {}) + "\n")
        return folder
