"""Settings come from the environment, else the TOML file, else the default; an invalid one is reported in one line."""

from pathlib import Path

import pytest

from shared.errors import UserError
from shared.settings import CONFIG_VARIABLE, DatabaseSettings, LogSettings, NatsSettings, SettingsGroup, load


@pytest.fixture
def toml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "jobtide.toml"
    monkeypatch.setenv(CONFIG_VARIABLE, str(file))
    return file


def test_a_setting_without_a_source_has_its_default() -> None:
    settings = load(NatsSettings)
    assert (settings.prefix, settings.job_subjects, settings.replicas) == ("jobtide", ["cc.job.event"], 1)


def test_the_file_wins_over_the_default_and_the_environment_over_the_file(toml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toml.write_text('[nats]\nprefix = "file"\nreplicas = 3\njob_subjects = ["a.b"]\n[log]\nlevel = "debug"\n')
    monkeypatch.setenv("JOBTIDE_NATS_REPLICAS", "5")
    monkeypatch.setenv("JOBTIDE_NATS_NODE_SUBJECTS", '["c.d"]')
    settings = load(NatsSettings)
    assert (settings.prefix, settings.replicas, settings.job_subjects, settings.node_subjects) == ("file", 5, ["a.b"], ["c.d"])
    assert load(LogSettings).level == "debug"


def test_arguments_of_a_command_take_precedence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBTIDE_NATS_URL", "nats://environment:4222")
    assert load(NatsSettings, url="nats://option:4222").url == "nats://option:4222"
    assert load(NatsSettings, url=None).url == "nats://environment:4222"


@pytest.mark.parametrize(
    ("group", "variable", "value"),
    [
        (NatsSettings, "JOBTIDE_NATS_REPLICAS", "6"),
        (NatsSettings, "JOBTIDE_NATS_REPLICAS", "many"),
        (NatsSettings, "JOBTIDE_NATS_PREFIX", "a.b"),
        (NatsSettings, "JOBTIDE_NATS_JOB_SUBJECTS", '["a.*"]'),
        (NatsSettings, "JOBTIDE_NATS_JOB_SUBJECTS", '["a..b"]'),
        (NatsSettings, "JOBTIDE_NATS_JOB_SUBJECTS", '["{cluster}.{cluster}"]'),
        (NatsSettings, "JOBTIDE_NATS_JOB_SUBJECTS", "[]"),
        (DatabaseSettings, "JOBTIDE_DATABASE_POOL_SIZE", "0"),
        (LogSettings, "JOBTIDE_LOG_LEVEL", "loud"),
    ],
)
def test_a_wrong_value_is_named_by_its_variable(
    group: type[SettingsGroup], variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(UserError) as caught:
        load(group)
    assert str(caught.value).startswith(variable)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("variable", ["JOBTIDE_NATS_JOB_SUBJECTS", "JOBTIDE_NATS_NODE_SUBJECTS"])
def test_an_invalid_json_list_is_reported_too(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "cc.job.event")
    with pytest.raises(UserError, match=variable):
        load(NatsSettings)


@pytest.mark.parametrize("text", ["nonsense", "nats = 5", "[nats]\nurll = 1", "[nats]\nreplicas = 9"])
def test_a_wrong_file_is_one_clear_line(toml: Path, text: str) -> None:
    toml.write_text(text)
    with pytest.raises(UserError) as caught:
        load(NatsSettings)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_reported(toml: Path) -> None:
    with pytest.raises(UserError, match="cannot read"):
        load(NatsSettings)
    assert not toml.exists()


def test_settings_cannot_be_changed_and_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBTIDE_DATABASE_URL", "postgresql://jobtide:hidden@db/jobtide")
    settings = load(DatabaseSettings)
    assert "hidden" not in repr(settings)
    with pytest.raises(ValueError, match="frozen"):
        settings.pool_size = 3  # type: ignore[misc]


def test_a_prefix_other_than_the_default_names_the_streams() -> None:
    assert load(NatsSettings).stream("EVENTS") == "EVENTS"
    assert load(NatsSettings, prefix="site").stream("EVENTS") == "SITE_EVENTS"
