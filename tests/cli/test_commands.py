"""Commands on a running site, as typed by a user."""

import base64
import json
import re
import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cli.commands.publish import split, together
from cli.commands.rejections import EXCERPT_LENGTH, shortened
from cli.commands.tokens import parse_ttl
from shared.settings import DatabaseSettings, NatsSettings
from tests.cli.conftest import Up
from tests.cli.sites import UpProcess, assert_user_mistake, jobtide
from tests.support.builders import line, start_line, start_payload, stop_line
from tests.support.clusters import cluster_text
from tests.support.nats import publish
from tests.support.processes import REPOSITORY, environment
from tests.support.programs import run_blocking
from tests.support.waiting import until_blocking

ARCHIVE = REPOSITORY / "tests" / "data" / "archive-v1.5"


def job_ids(site: UpProcess) -> list[int]:
    return [job["jobId"] for job in site.jobs()]


# clusters, rejections, replay


@pytest.mark.timeout(120)
def test_a_start_of_an_unknown_cluster_is_shown_and_works_after_cluster_add_and_replay(shared_up: UpProcess, tmp_path: Path) -> None:
    shared_up.run("publish", "-", text=start_line(601, "slurmlab", ["node01"]))

    def shown() -> list[str]:
        return re.findall(r"intake (\d+) line 1 +unknown_cluster", shared_up.run("rejections").stdout)

    (sequence,) = until_blocking(shown)
    definition = tmp_path / "cluster.json"
    definition.write_bytes(cluster_text("slurmlab"))
    assert "added slurmlab" in shared_up.run("cluster", "add", definition).stdout
    assert "slurmlab" in shared_up.run("cluster", "list").stdout
    assert f"message {sequence} was published again" in shared_up.run("replay", "--seq", sequence).stdout
    until_blocking(lambda: 601 in job_ids(shared_up))
    until_blocking(lambda: not shown())


@pytest.mark.timeout(120)
def test_all_rejections_of_a_code_are_replayed_at_once(shared_up: UpProcess) -> None:
    since = datetime.now(UTC) - timedelta(minutes=1)
    shared_up.run("publish", "-", text=start_line(611, "beyond", ["node01"]))
    shared_up.run("publish", "-", text=start_line(612, "beyond", ["node01"]))

    def shown() -> list[str]:
        return re.findall(r"intake (\d+) line 1 +unknown_cluster", shared_up.run("rejections").stdout)

    until_blocking(lambda: len(shown()) >= 2)
    arguments = ("replay", "--code", "unknown_cluster", "--cluster", "beyond")
    later = f"{since + timedelta(days=1):%Y-%m-%dT%H:%M:%S}"
    assert shared_up.run(*arguments, "--since", later).stdout.startswith("0 messages were published again")
    done = shared_up.run(*arguments, "--since", f"{since:%Y-%m-%dT%H:%M:%S}").stdout
    assert done.startswith("2 messages were published again; `jobtide rejections` shows")


def test_rejections_show_the_input_and_count_equal_ones_of_a_message(shared_up: UpProcess) -> None:
    text = b"no line \x1b[31mprotocol\n" * 3 + b"x" * 400 + b"\n"
    shared_up.run("publish", "-", "--chunks", text=text)

    def shown() -> str:
        found = shared_up.run("rejections", "--code", "line_protocol").stdout
        return found if r"\x1b[31mprotocol" in found else ""

    lines = until_blocking(shown).splitlines()
    (index,) = (number for number, each in enumerate(lines) if r"\x1b[31m" in each)
    assert re.search(r"intake \d+ lines 1-4 +line_protocol x4", lines[index - 1])
    assert lines[index] == r"    cc.job.event: 'no line \x1b[31mprotocol'"
    assert len(shared_up.run("rejections", "--limit", "1").stdout.splitlines()) == 2
    assert shared_up.run("rejections", "--code", "tag_conflict").stdout == "no rejections with the code tag_conflict\n"
    assert_user_mistake(jobtide("rejections", "--code", "typo", "--data", shared_up.data), "--code", "typo")


def test_a_long_excerpt_is_shortened_to_one_line() -> None:
    assert shortened("a\nb") == r"'a\nb'"
    assert len(shortened("x" * 500)) == EXCERPT_LENGTH + 3


def test_cluster_add_takes_every_cluster_of_an_archive(new_up: Up, tmp_path: Path) -> None:
    site = new_up().start()
    for name in ("fritz", "alex"):
        (tmp_path / "archive" / name).mkdir(parents=True)
        (tmp_path / "archive" / name / "cluster.json").write_bytes(cluster_text(name))
    site.run("cluster", "add", tmp_path / "archive")
    listed = site.run("cluster", "list").stdout
    assert "a100m80" in listed
    assert "spr1tb" in listed


def test_replay_of_a_missing_message_is_a_user_error(shared_up: UpProcess) -> None:
    assert_user_mistake(jobtide("replay", "--seq", "999999", "--data", shared_up.data), "999999")


# publish


@pytest.mark.parametrize("options", [(), ("--chunks",)])
def test_publish_keeps_quoted_line_ends_together_and_bad_lines_apart(shared_up: UpProcess, options: tuple[str, ...]) -> None:
    first = 620 if options else 630
    raw = json.dumps(start_payload(first, "fritz"), indent=1).replace('"', '\\"')  # line ends inside the quoted field
    text = f'job,function=start_job event="{raw}" 1\n'.encode() + b"no line protocol\n\n# comment\n" + start_line(first + 1, "fritz")
    done = shared_up.run("publish", "-", *options, text=text)
    assert done.stdout == f"published 3 lines in {'1 message' if options else '3 messages'}\n"
    assert "jobtide rejections" in done.stderr
    until_blocking(lambda: {first, first + 1} <= set(job_ids(shared_up)))


def test_publish_sends_node_states_to_their_subject(shared_up: UpProcess) -> None:
    payload = {"cluster": "fritz", "nodes": [{"hostname": "f0101", "states": ["IDLE"]}]}
    before = shared_up.run("status").stdout
    shared_up.run("publish", "-", text=line(payload, measurement="nodestate"))
    until_blocking(lambda: re.search(r"^NODES +[1-9]", shared_up.run("status").stdout, re.MULTILINE), what=before)


def test_publish_to_a_subject_without_a_stream_is_a_user_error(shared_up: UpProcess) -> None:
    done = jobtide("publish", "-", "--subject", "cc.nowhere", "--data", shared_up.data, text=b"job a=1\n")
    assert_user_mistake(done, "cc.nowhere")


def test_a_line_up_to_the_message_limit_is_published_and_a_larger_one_is_a_user_error(shared_up: UpProcess) -> None:
    limit = 8 * 1024 * 1024
    shared_up.run("publish", "-", text=b"x" * (limit - 1))  # no line protocol: kept, and refused by ingest
    assert_user_mistake(jobtide("publish", "-", "--data", shared_up.data, text=b"x" * limit), str(limit))


def test_chunks_contain_every_line_in_order() -> None:
    lines = [start_line(number, "fritz") for number in range(5000)]
    nodes = line({"cluster": "fritz", "nodes": []}, measurement="nodestate")
    text = b"".join(lines[:2500]) + nodes + b"".join(lines[2500:])
    messages = list(together(split(text, NatsSettings()), 100_000))
    assert b"".join(message.data for message in messages) == text
    assert all(len(message.data) <= 100_000 for message in messages)
    assert [message.subject for message in messages].count("cc.node.state") == 1


# status, provision, migrate


def test_status_shows_streams_positions_archive_queue_and_rejections(shared_up: UpProcess) -> None:
    shown = shared_up.run("status").stdout
    assert shown.startswith(f"the site in {shared_up.data}\n")
    for word in ("INTAKE", "EVENTS", "NODES", "REJECTIONS", "ingest", "jobstore", "archiver", "lag", "rejections", "archived"):
        assert word in shown
    assert re.search(r"^ +archiver +\d+ waiting, \d+ in work$", shown, re.MULTILINE)


def test_status_shows_the_metric_store_and_its_newest_samples(shared_up: UpProcess) -> None:
    sample = f"cpu_load,cluster=fritz,hostname=f0101,type=node value=1 {int(time.time())}"
    run_blocking(publish(shared_up.nats, sample.encode(), subject=shared_up.nats.metric_subjects[0]))

    def state() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(shared_up.run("status", "--json").stdout)
        return found if found["metricStores"][0]["state"]["samples"] else {}

    found = until_blocking(state, 40, "a sample in the metric store")
    (store,) = found["metricStores"]
    (stream,) = [one for one in found["streams"] if one["name"] == "METRICS"]
    assert stream["messages"] >= 1
    assert (store["state"]["stream"], store["state"]["expired"], store["error"]) == ("METRICS", 0, None)
    assert store["state"]["clusters"]["fritz"]["newest"] <= time.time() + 60
    shown = shared_up.run("status").stdout
    assert re.search(r"^METRICS +\d.* metricstore +\d", shown, re.MULTILINE)
    assert re.search(r"^metric store +http://127.0.0.1:\d+$", shown, re.MULTILINE)
    assert re.search(r"^fritz +newest sample \d+ s ago, oldest from 20", shown, re.MULTILINE)
    assert re.search(r"^expired unread +0 messages$", shown, re.MULTILINE)


def test_provision_and_migrate_change_nothing_the_second_time(shared_up: UpProcess) -> None:
    assert shared_up.run("provision").stdout == "nothing to change\n"
    assert "already" in shared_up.run("migrate").stdout


# archive


def test_a_stopped_job_is_archived_and_the_archive_verifies(shared_up: UpProcess) -> None:
    shared_up.publish(start_line(640, "fritz") + stop_line(640, "fritz"))

    def is_archived() -> bool:
        return any((shared_up.data / "archive" / "fritz" / "0" / "640").glob("*/meta.json"))

    until_blocking(is_archived, 20)
    assert "complete and valid" in shared_up.run("archive", "verify").stdout


def test_an_archive_is_imported_once(new_up: Up) -> None:
    site = new_up().start()
    first = site.run("import", ARCHIVE)
    assert first.stdout == "imported 2 jobs, 0 were already known\n"
    jobs = site.jobs()
    assert sorted(job["jobId"] for job in jobs) == [1403244, 1404397]
    assert (site.data / "archive" / "emmy" / "1403" / "244" / "1608923076" / "data.json.gz").exists()
    second = site.run("import", ARCHIVE)
    assert second.stdout == "imported 0 jobs, 2 were already known\n"
    assert site.jobs() == jobs


def test_an_import_restores_a_deleted_job(new_up: Up) -> None:
    site = new_up().start()
    site.run("import", ARCHIVE)
    first, second = site.jobs()
    site.delete(f"/api/jobs/delete_job/{first['id']}")
    until_blocking(lambda: site.jobs() == [second], 20)
    assert site.run("import", ARCHIVE).stdout == "imported 1 jobs, 1 were already known\n"
    assert sorted(job["jobId"] for job in site.jobs()) == [1403244, 1404397]


def test_removed_entries_leave_the_database_if_asked(new_up: Up) -> None:
    site = new_up().start()
    site.run("import", ARCHIVE)
    arguments = ("archive", "remove", "--before", "2020-12-28", "--database", "--json")
    assert json.loads(site.run(*arguments, "--dry-run").stdout)["inDatabase"] == 1
    assert len(site.jobs()) == 2
    done = json.loads(site.run(*arguments).stdout)
    assert (done["removed"], done["inDatabase"]) == (1, 1)
    until_blocking(lambda: [job["jobId"] for job in site.jobs()] == [1404397], 20)
    assert not (site.data / "archive" / "emmy" / "1403").exists()
    assert site.run("archive", "remove", "--before", "2020-12-28", "--database").stdout.startswith("0 jobs removed")


def test_an_unreadable_entry_is_named_and_the_others_are_imported(new_up: Up, tmp_path: Path) -> None:
    site = new_up().start()
    shutil.copytree(ARCHIVE, tmp_path / "archive")
    (meta,) = (tmp_path / "archive" / "emmy" / "1404").rglob("meta.json")
    meta.write_text("{")
    done = jobtide("import", tmp_path / "archive", "--data", site.data)
    assert done.returncode == 1
    assert "1404/397" in done.stderr
    assert done.stdout.startswith("imported 1 jobs")


def test_verify_names_what_is_broken(tmp_path: Path) -> None:
    shutil.copytree(ARCHIVE, tmp_path / "archive")
    for data in (tmp_path / "archive" / "emmy" / "1403").rglob("data.json.gz"):
        data.unlink()
    done = jobtide("archive", "verify", tmp_path / "archive")
    assert done.returncode == 1
    assert "1403/244" in done.stdout
    assert len(done.stderr.splitlines()) == 1


def test_missing_thumbnails_are_made_once_and_entries_without_data_are_named(tmp_path: Path) -> None:
    root = Path(shutil.copytree(ARCHIVE, tmp_path / "archive"))
    done = jobtide("archive", "thumbnails", root, "--workers", "1")
    assert (done.returncode, done.stdout) == (0, "2 thumbnails made, 0 there already\n")
    assert len(list(root.rglob("thumbnail.json.gz"))) == 2
    for data in (root / "emmy" / "1403").rglob("data.json.gz"):
        data.unlink()
    done = jobtide("archive", "thumbnails", root, "--workers", "1")
    assert done.returncode == 1
    assert "1403/244" in done.stdout
    assert done.stdout.endswith("0 thumbnails made, 1 there already\n")
    assert len(done.stderr.splitlines()) == 1


def test_archive_retry_requests_only_jobs_that_can_be_archived(shared_up: UpProcess) -> None:
    assert shared_up.run("archive", "retry", "--failed").stdout == "there are no jobs whose archiving failed\n"
    shared_up.publish(start_line(650, "fritz") + start_line(651, "fritz") + stop_line(651, "fritz"))
    until_blocking(lambda: {650, 651} <= {job["jobId"] for job in shared_up.jobs()})
    ids = {job["jobId"]: job["id"] for job in shared_up.jobs()}
    assert_user_mistake(jobtide("archive", "retry", "--job", str(ids[650]), "--data", shared_up.data), "running")
    assert_user_mistake(jobtide("archive", "retry", "--job", "999999", "--data", shared_up.data), "999999")
    until_blocking(lambda: jobtide("archive", "retry", "--job", str(ids[651]), "--data", shared_up.data).returncode == 0)


# rebuild and a lost log


def test_a_rebuild_of_a_running_site_changes_nothing(new_up: Up) -> None:
    site = new_up().start()
    site.add_fritz()
    site.publish(b"".join(start_line(number, "fritz") for number in range(1, 30)))
    until_blocking(lambda: len(site.jobs("?items-per-page=100")) == 29)
    before = site.jobs("?items-per-page=100")
    assert "rebuilt" in site.run("rebuild").stdout
    after = site.jobs("?items-per-page=100")
    assert [(job["id"], job["jobId"]) for job in after] == [(job["id"], job["jobId"]) for job in before]


@pytest.mark.timeout(120)
def test_a_site_whose_log_was_lost_works_again_after_continue_log(new_up: Up) -> None:
    site = new_up().start()
    site.add_fritz()
    site.publish(start_line(71, "fritz"))
    (old,) = until_blocking(site.jobs)
    assert_user_mistake(jobtide("provision", "--continue-log", "--data", site.data), "stop it first")
    site.interrupt()
    shutil.rmtree(site.data / "nats")
    site.launch()
    assert site.process.wait(20) == 2
    assert "EVENTS continues after" in site.run("provision", "--continue-log").stdout
    site.start()
    site.add_fritz()
    site.publish(start_line(72, "fritz"))
    until_blocking(lambda: {job["jobId"] for job in site.jobs()} == {71, 72})
    ids = {job["jobId"]: job["id"] for job in site.jobs()}
    assert ids[71] == old["id"] < ids[72]


@pytest.mark.timeout(120)
def test_a_site_whose_log_lost_its_end_recovers_by_itself(new_up: Up) -> None:
    site = new_up().start()
    site.add_fritz()
    site.publish(start_line(73, "fritz"))
    until_blocking(site.jobs)
    site.interrupt()
    backup = site.data.with_name("backup")
    shutil.copytree(site.data / "nats", backup)
    site.start()
    site.publish(start_line(74, "fritz"))
    (before,) = until_blocking(lambda: [job for job in site.jobs() if job["jobId"] == 74])
    site.interrupt()
    shutil.rmtree(site.data / "nats")
    shutil.copytree(backup, site.data / "nats")
    site.start()
    assert "log_continued" in site.log_file.read_text()
    assert "rebuilt" in site.run("rebuild").stdout
    assert [job["id"] for job in site.jobs() if job["jobId"] == 74] == [before["id"]]


# keys and tokens


def test_generated_keys_sign_and_verify() -> None:
    done = jobtide("keys")
    found = re.fullmatch(r'ED25519 PUBLIC_KEY="(\S+)"\nED25519 PRIVATE_KEY="(\S+)"\n.+\n\n#.+\n(\S+)\n(\S+)\n', done.stdout)
    assert found is not None
    assert found[3] == f"JOBTIDE_GATEWAY_JWT_PUBLIC_KEY={found[1]}"
    assert found[4] == f"JWT_PRIVATE_KEY={found[2]}"
    public, private = (base64.b64decode(text) for text in found.groups()[:2])
    assert (len(public), len(private), private[32:]) == (32, 64, public)
    words = ("token", "ann", "--role", "api", "--role", "admin", "--ttl", "1h")
    signed = jobtide(*words, JOBTIDE_GATEWAY_JWT_PRIVATE_KEY=found[2])
    assert signed.stderr == ""
    checked = jobtide(*words, JOBTIDE_GATEWAY_JWT_PRIVATE_KEY=found[2], JOBTIDE_AUTH_JWT_VALIDATE_USER="true")
    assert "the token works if ann is a user of the site, with that user's roles" in checked.stderr
    claims = jwt.decode(signed.stdout.split()[-1], Ed25519PublicKey.from_public_bytes(public), algorithms=["EdDSA"])
    assert (claims["sub"], claims["roles"], claims["exp"] - claims["iat"]) == ("ann", ["api", "admin"], 3600)


def test_a_token_without_an_end_has_no_exp(shared_up: UpProcess) -> None:
    token = shared_up.run("token", "ann", "--role", "user", "--ttl", "0").stdout.split()[-1]
    assert shared_up.get("/api/jobs/", token=token)[0] == 403
    assert "exp" not in jwt.decode(token, options={"verify_signature": False})


def test_a_token_has_the_permissions_of_its_role(shared_up: UpProcess) -> None:
    token = shared_up.run("token", "ann", "--role", "api").stdout.split()[-1]
    assert shared_up.get("/api/jobs/", token=token)[0] == 200


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1800), ("12h", 43_200), ("30d", 2_592_000), ("0", None)])
def test_ttl_is_a_number_with_a_unit(text: str, seconds: int | None) -> None:
    assert parse_ttl(text) == seconds


# optimize


def test_optimizing_gives_the_space_of_removed_rows_back(new_up: Up) -> None:
    site = new_up().start()
    site.add_fritz()
    site.publish(b"".join(start_line(number, "fritz", metaData={"jobScript": "x" * 20_000}) for number in range(1, 151)))
    until_blocking(lambda: len(site.jobs("?items-per-page=200")) == 150, 30)
    site.delete("/api/jobs/delete_job_before/4000000000")
    until_blocking(lambda: site.jobs() == [], 30)
    done = json.loads(site.run("optimize", "--json").stdout)
    assert done["bytesAfter"] < done["bytesBefore"] / 2
    site.publish(start_line(200, "fritz"))
    until_blocking(lambda: len(site.jobs()) == 1, 30)
    assert site.run("optimize").stdout.startswith("the database has ")


def test_every_engine_can_be_optimized(any_database: DatabaseSettings, tmp_path: Path) -> None:
    done = jobtide("optimize", "--json", text=b"", cwd=tmp_path, **environment([any_database]))
    assert (done.returncode, done.stderr) == (0, "")
    assert 0 < json.loads(done.stdout)["bytesAfter"] <= json.loads(done.stdout)["bytesBefore"] + 100_000
