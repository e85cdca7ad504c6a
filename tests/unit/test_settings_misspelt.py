"""Misspelt settings are refused, and an invalid value is reported with its origin."""

from pathlib import Path

import pytest

from services.gateway.frame.settings import GatewaySettings
from services.jobstore.settings import JobstoreSettings
from shared.errors import UserError
from shared.settings import CONFIG_VARIABLE, NatsSettings, SettingsGroup, doubtful_variables, load, setting_name


@pytest.fixture
def toml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "site.toml"
    monkeypatch.setenv(CONFIG_VARIABLE, str(file))
    return file


def refusal(group: type[SettingsGroup]) -> str:
    with pytest.raises(UserError) as caught:
        load(group)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[jobstor]\nbatch = 5", "[jobstor] is not a section; did you mean [jobstore]?"),
        ("[weather]\nbatch = 5", "[weather] is not a section"),
        ("batch = 5", "[batch] is not a section"),
        ("[jobstore]\nbatchs = 5", "[jobstore] batchs is not a setting; did you mean batch?"),
        ("[jobstore]\nbatch = 0", "[jobstore] batch: Input should be greater than or equal to 1"),
        ("[jobstore]\nhealth = '8082'", "[jobstore] health: '8082' is not HOST:PORT"),
    ],
)
def test_a_mistake_in_the_file_is_named_by_the_file(toml: Path, text: str, said: str) -> None:
    toml.write_text(text)
    assert refusal(JobstoreSettings) == f"{toml}: {said}"


def test_sections_of_other_services_are_ignored(toml: Path) -> None:
    toml.write_text("[archiver]\nnonsense = 1\n[jobstore]\nbatch = 5\n")
    assert load(JobstoreSettings).batch == 5


def test_a_variable_that_wins_over_the_file_is_the_one_that_is_named(toml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toml.write_text("[jobstore]\nbatch = 5\n")
    assert setting_name("jobstore", "batch") == f"{toml}: [jobstore] batch"
    monkeypatch.setenv("JOBTIDE_JOBSTORE_BATCH", "0")
    assert refusal(JobstoreSettings).startswith("JOBTIDE_JOBSTORE_BATCH: ")


def test_a_misspelt_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBTIDE_JOBSTORE_BATCHS", "5")
    assert refusal(JobstoreSettings) == "JOBTIDE_JOBSTORE_BATCHS is not a setting; did you mean JOBTIDE_JOBSTORE_BATCH?"
    assert load(NatsSettings).replicas == 1


def test_a_wrong_key_is_named_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBTIDE_GATEWAY_JWT_PUBLIC_KEY", "c2hvcnQ=")
    assert refusal(GatewaySettings) == "JOBTIDE_GATEWAY_JWT_PUBLIC_KEY: a key has 5 bytes instead of 32"


def test_variables_of_compose_commands_and_tests_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NATS_PUBLISH", "HTTP_PUBLISH", "VERSION", "TEST_NATS_URL"):
        monkeypatch.setenv(f"JOBTIDE_{name}", "x")
    load(NatsSettings)
    load(GatewaySettings)
    assert doubtful_variables() == {}


def test_a_variable_of_a_misspelt_section_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBTIDE_JOBSTOR_BATCH", "5")
    assert doubtful_variables() == {"JOBTIDE_JOBSTOR_BATCH": "jobstore"}
