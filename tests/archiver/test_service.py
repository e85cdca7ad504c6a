"""The archiver with a real broker and a real database, without metric data."""

from shared.archive import JobPath, is_complete, read_data, read_meta
from tests.archiver.site import Site, running
from tests.support.builders import START_TIME
from tests.support.waiting import until


async def test_a_stopped_job_ends_as_a_complete_entry_and_an_event(archive_site: Site) -> None:
    row = await archive_site.stopped_job(1403244, meta_data='{"jobName":"cfd <1>"}')
    path = JobPath("fritz", 1403244, START_TIME)
    async with running(archive_site):
        await until(lambda: archive_site.events("job.archived"))

    meta = read_meta(archive_site.archive.path, path)
    assert (meta["jobId"], meta["monitoringStatus"], meta["metaData"]) == (1403244, 3, {"jobName": "cfd <1>"})
    assert meta["id"] == row["id"]
    assert is_complete(archive_site.archive.path, path)
    assert read_data(archive_site.archive.path, path) == {}
    assert (archive_site.archive.path / "version.txt").read_text() == "3\n"
    assert (archive_site.archive.path / "fritz" / "cluster.json").is_file()
    (event,) = await archive_site.events("job.archived")
    assert event["id"] == row["id"]
