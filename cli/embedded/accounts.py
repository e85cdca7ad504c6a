"""Accounts and users of a site's broker: one user for each service, the operator and the adapters, each with its own permissions.

``deploy/nats.conf`` contains the same text for the default settings, and a test compares the two. ``python -m cli.embedded.accounts``
prints it for the settings of the environment, for sites with a different prefix or different subjects.
"""

from collections.abc import Iterable, Mapping

from shared.broker.last_events import last_subjects
from shared.broker.reports import report_subject
from shared.broker.streams import (
    EVENTS,
    INTAKE,
    LOGS,
    METRICS,
    clusters_bucket,
    free_subject,
    intake_filters,
    progress_bucket,
    write_subject,
)
from shared.domain.events import RefusalsDismissed, RejectionsDismissed
from shared.settings import NatsSettings, load

ADAPTER, OPERATOR = "adapter", "operator"
USERS = (ADAPTER, "ingest", "jobstore", "archiver", "metricstore", "gateway", OPERATOR)


def accounts(nats: NatsSettings, passwords: Mapping[str, str]) -> str:
    """The ``accounts`` block. ``passwords`` has a value of the configuration language for each of ``USERS``."""
    subjects = intake_filters([*nats.job_subjects, *nats.node_subjects, *nats.metric_subjects])
    imports = "\n".join(f'      {{ service: {{ account: SITE, subject: "{subject}" }} }}' for subject in subjects)
    exports = "\n".join(f'      {{ service: "{subject}", accounts: [ADAPTERS] }}' for subject in subjects)
    users = "\n\n".join(_user(name, about, passwords[name], *_rights(name, nats), _readable(name, nats)) for name, about in _ABOUT.items())
    return _ACCOUNTS.format(
        imports=imports,
        exports=exports,
        adapter=_user(ADAPTER, _ABOUT_ADAPTER, passwords[ADAPTER], subjects, (), ("_INBOX.adapter.>", "_INBOX_adapter.>")),
        users=users,
    )


def _user(name: str, about: str, password: str, publish: Iterable[str], deny: Iterable[str], subscribe: Iterable[str]) -> str:
    lines = [f"# {line}" for line in about.splitlines()]
    lines += ["{", f"  user: {name}", f"  password: {password}", "  permissions: {", "    publish: {"]
    lines += ["      allow: [", *(f'        "{subject}"' for subject in publish), "      ]"]
    if denied := list(deny):
        lines += ["      deny: [", *(f'        "{subject}"' for subject in denied), "      ]"]
    inbox = ", ".join(f'"{subject}"' for subject in subscribe)
    lines += ["    }", f"    subscribe: {{ allow: [{inbox}] }}", "  }", "}"]
    return "\n".join(f"      {line}" for line in lines)


def _rights(name: str, nats: NatsSettings) -> tuple[list[str], list[str]]:
    """Subjects that the user may publish to, and exceptions. Requests to JetStream are publishes too."""
    prefix, bucket, progress = nats.prefix, clusters_bucket(nats), progress_bucket(nats)
    intake, events, samples = (nats.stream(kind) for kind in (INTAKE, EVENTS, METRICS))
    read_progress = [f"$JS.API.STREAM.INFO.KV_{progress}", f"$JS.API.STREAM.MSG.GET.KV_{progress}", f"$JS.API.DIRECT.GET.KV_{progress}.>"]
    read_clusters = [f"$JS.API.STREAM.INFO.KV_{bucket}", f"$JS.API.STREAM.MSG.GET.KV_{bucket}", f"$JS.API.DIRECT.GET.KV_{bucket}.>"]
    match name:
        case "ingest":
            return [
                *(f"{prefix}.{event}" for event in ("job.started.>", "job.stopped.>", "node.reported.>")),
                *(f"{prefix}.intake.{event}" for event in ("rejected", "replayed")),
                f"$JS.API.STREAM.MSG.GET.{intake}",
                f"{prefix}.probe.ingest",
                report_subject(nats, name),
                *_work_queue(intake, "ingest"),
                *read_clusters,
                f"$KV.{progress}.ingest",
                *read_progress,
            ], []
        case "jobstore":
            verbs = (*("CONSUMER.CREATE.{}", "CONSUMER.MSG.NEXT.{}.*", "CONSUMER.DELETE.{}.*"), "STREAM.INFO.{}")
            return [
                f"{prefix}.housekeeping.>",
                f"{prefix}.intake.rejections_due",
                f"{prefix}.probe.jobstore",
                report_subject(nats, name),
                f"{prefix}.job.archive_requested.>",
                *("_INBOX.gateway.>", "_INBOX.operator.>"),
                *(f"$JS.API.{verb.format(stream)}" for stream in map(nats.stream, LOGS) for verb in verbs),
            ], [f"$JS.API.CONSUMER.*.{events}.archiver", f"$JS.API.CONSUMER.MSG.NEXT.{events}.archiver"]
        case "archiver":
            return [
                *(
                    f"{prefix}.{event}.>"
                    for event in (
                        "job.archived",
                        "job.archiving_failed",
                        "job.archive_requested",
                        "job.measured",
                        "job.advised",
                        "job.applications_detected",
                        "job.deleted",
                        "node.checked",
                    )
                ),
                f"{prefix}.probe.archiver",
                report_subject(nats, name),
                *_work_queue(events, "archiver"),
                *read_clusters,
                *(f"$KV.{progress}.{key}" for key in ("archiver", "archiver.archives", "archiver.rules")),
                *read_progress,
            ], []
        case "metricstore":
            verbs = (*("CONSUMER.CREATE.{}", "CONSUMER.MSG.NEXT.{}.*", "CONSUMER.DELETE.{}.*"), "STREAM.INFO.{}")
            return [
                write_subject(nats),
                free_subject(nats),
                report_subject(nats, name),
                *(f"$JS.API.{verb.format(samples)}" for verb in verbs),
                *read_clusters,
                *read_progress,
            ], []
        case "gateway":
            jobs = ("started", "stopped", "tagged", "untagged", "metadata_edited", "advice_muted", "deleted", "archive_requested")
            return [
                *(f"{prefix}.job.{what}.>" for what in jobs),
                *(f"{prefix}.{event}" for event in ("tag.created", "tag.removed", "node.reported.>", "intake.rejected")),
                *(f"{prefix}.{event.name}" for event in (RejectionsDismissed, RefusalsDismissed)),
                f"{prefix}.probe.gateway",
                report_subject(nats, name),
                *intake_filters([*nats.job_subjects, *nats.node_subjects]),
                f"$JS.API.STREAM.MSG.GET.{intake}",
                *(f"$JS.API.DIRECT.GET.{stream}.{subject}" for stream, subject in last_subjects(nats)),
                *("$JS.API.STREAM.INFO.*", "$JS.API.CONSUMER.INFO.*.*", "$JS.API.CONSUMER.LIST.*"),
                *read_clusters[1:],
                *read_progress[1:],
            ], []
        case _:
            return [
                *intake_filters([*nats.job_subjects, *nats.node_subjects, *nats.metric_subjects]),
                f"{prefix}.>",
                f"$KV.{bucket}.>",
                "$JS.API.>",
                "$JS.ACK.>",
            ], []


def _readable(name: str, nats: NatsSettings) -> list[str]:
    """Subjects that the user may subscribe to."""
    return [f"_INBOX.{name}.>", *([report_subject(nats, "*")] if name == "gateway" else [])]


def _work_queue(stream: str, durable: str) -> list[str]:
    requests = (f"CONSUMER.INFO.{stream}.{durable}", f"CONSUMER.CREATE.{stream}.{durable}", f"CONSUMER.CREATE.{stream}.{durable}.>")
    return [
        f"$JS.API.STREAM.INFO.{stream}",
        *(f"$JS.API.{request}" for request in requests),
        f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}",
        f"$JS.ACK.{stream}.{durable}.>",
    ]


_ABOUT_ADAPTER = """\
Schedulers, node monitors and metric collectors publish, and read nothing. An adapter that wants the stream's acknowledgement sets its
inbox prefix to _INBOX.adapter (or _INBOX_adapter)."""

_ABOUT = {
    "ingest": "Takes raw messages from INTAKE and publishes the events in them.",
    "jobstore": "Reads EVENTS, NODES and REJECTIONS with cursors of its own, and answers publishers that wait for an outcome.",
    "archiver": """\
Takes stopped jobs from EVENTS; publishes the outcome of their archiving, footprints of running jobs, which nodes
deliver metrics, and the deletion of jobs by the retention of the archive.""",
    "metricstore": "Reads the samples of METRICS with a cursor of its own, and publishes the lines that it gets over HTTP.",
    "gateway": "Publishes the requests of users and tools, waits for jobstore's answers, shows the state of the streams.",
    OPERATOR: "People and one-shot commands: provision, cluster add, import, replay, archive retry, status.",
}

_ACCOUNTS = """\
# Adapters live in an account of their own, which sees nothing of the site but the intake subjects, as services. The
# account border protects the streams: within one account a publisher chooses the subject to which the broker sends a
# stream's acknowledgement, and could have it written into EVENTS or over a cluster. Across a service import the broker
# answers into the adapters' account only, whatever reply subject was requested.
accounts {{
  ADAPTERS {{
    imports: [
{imports}
    ]
    users: [
{adapter}
    ]
  }}

  SITE {{
    jetstream: enabled
    exports: [
{exports}
    ]
    users: [
{users}
    ]
  }}
}}
"""


def variables() -> dict[str, str]:
    """Passwords as variables that nats-server reads from its environment."""
    return {user: f"$NATS_{user.upper()}_PASSWORD" for user in USERS}


if __name__ == "__main__":
    print(accounts(load(NatsSettings), variables()), end="")
