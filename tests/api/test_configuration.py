"""The settings: where each is from, what is refused, and that the reference says the same."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from api.cli import exclave
from api.configuration import KEYS, load, shown
from api.settings import LoginRule, Rate, Settings

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"


def write(folder: Path, text: str, name: str = "exclave.toml") -> Path:
    file = folder / name
    file.write_text(text)
    return file


def test_a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default(tmp_path: Path) -> None:
    file = write(tmp_path, 'host = "127.0.0.2"\nport = 1\nlog_level = "info"\n[intervals]\nticket = 5\n')
    env = {"EXCLAVE_PORT": "2", "EXCLAVE_LOG_LEVEL": "debug", "EXCLAVE_DATA": str(tmp_path)}
    loaded = load(config=None, env=env, flags={"port": 3})
    settings = loaded.settings
    assert settings is not None
    found = (settings.port, settings.log_level, settings.host, settings.intervals.ticket, settings.intervals.sweep)
    assert found == (3, "debug", "127.0.0.2", 5, 1)
    sources = {name: source for name, _, source in loaded.rows()}
    assert (sources["port"], sources["log_level"], sources["data"]) == ("--port", "EXCLAVE_LOG_LEVEL", "EXCLAVE_DATA")
    assert (sources["host"], sources["intervals.ticket"]) == (f"{file}:host", f"{file}:intervals.ticket")
    assert sources["intervals.sweep"] == "default"


def test_the_file_is_the_flags_then_the_variables_then_the_one_in_the_data_folder(tmp_path: Path) -> None:
    write(tmp_path, "port = 1")
    by_variable, by_flag = write(tmp_path, "port = 2", "variable.toml"), write(tmp_path, "port = 3", "flag.toml")

    def port(config: Path | None, **env: str) -> int:
        settings = load(config=config, env=env, flags={"data": tmp_path}).settings
        assert settings
        return settings.port

    assert port(None) == 1
    assert port(None, EXCLAVE_CONFIG=str(by_variable)) == 2
    assert port(by_flag, EXCLAVE_CONFIG=str(by_variable)) == 3


@pytest.mark.parametrize(
    ("env", "problem"),
    [
        ({"EXCLAVE_PROT": "1"}, "EXCLAVE_PROT: there is no such setting; did you mean EXCLAVE_PORT?"),
        ({"EXCLAVE_PORT": "http"}, "EXCLAVE_PORT: 'http': Input should be a valid integer"),
        ({"EXCLAVE_PORT": "70000"}, "EXCLAVE_PORT: '70000': Input should be less than or equal to 65535"),
        ({"EXCLAVE_PUBLIC_URL": "ims"}, "EXCLAVE_PUBLIC_URL: 'ims': not an address; write it like https://ims.example.com"),
        ({"EXCLAVE_DATABASE": "mysql://u:canary@h/d"}, "EXCLAVE_DATABASE: 'mysql://u:********@h/d': must be `sqlite` or"),
        ({"EXCLAVE_TRUSTED_PROXIES": "10.0.0.1/8"}, "10.0.0.1/8"),
        ({"EXCLAVE_OIDC__RULES": "admins"}, "EXCLAVE_OIDC__RULES: 'admins' isn't JSON"),
        ({"EXCLAVE_OIDC__ISSUER": "https://i"}, "oidc.client_id: Field required: set it as EXCLAVE_OIDC__CLIENT_ID"),
        ({"EXCLAVE_INTERVALS__LEASE": "9", "EXCLAVE_INTERVALS__HEARTBEAT": "9"}, "must be shorter than intervals.lease (9 s)"),
        (
            {"EXCLAVE_RETENTION_JOBS_DAYS": "999999"},
            "EXCLAVE_RETENTION_JOBS_DAYS: '999999': Input should be less than or equal",
        ),
        ({"EXCLAVE_BODY_LIMIT": "much"}, "EXCLAVE_BODY_LIMIT: 'much': could not parse value and unit"),
        ({"EXCLAVE_CONFIG": "/nowhere/x.toml"}, "/nowhere/x.toml can't be read: No such file or directory"),
    ],
)
def test_what_can_not_be_used_names_its_source_its_value_and_what_is_expected(env: dict[str, str], problem: str) -> None:
    loaded = load(config=None, env={"EXCLAVE_DATA": "/nowhere", **env}, flags={})
    assert loaded.settings is None
    assert problem in "\n".join(loaded.problems)
    assert "canary" not in str(loaded.problems)


def test_an_unknown_key_of_the_file_is_refused_wherever_it_is(tmp_path: Path) -> None:
    file = write(tmp_path, 'log_levle = "info"\n[intervals]\nleese = 3\n[odd]\nport = 1\n')
    assert load(config=file, env={}, flags={}).problems == [
        f"{file}:log_levle: there is no such setting; did you mean log_level?",
        f"{file}:intervals.leese: there is no such setting; did you mean intervals.lease?",
        f"{file}:odd.port: there is no such setting; did you mean port?",
    ]
    assert "isn't TOML" in load(config=write(tmp_path, "port ="), env={}, flags={}).problems[0]


def test_what_other_commands_and_kubernetes_set_is_let_be() -> None:
    env = {
        "EXCLAVE_TOKEN": "x",
        "EXCLAVE_URL": "http://x",
        "EXCLAVE_AGENT_TOKEN": "x",
        "EXCLAVE_PORT": "tcp://10.0.0.1:8420",
        "EXCLAVE_PORT_8420_TCP_ADDR": "10.0.0.1",
        "EXCLAVE_SERVICE_HOST": "10.0.0.1",
        "EXCLAVE_CONSOLE_SERVICE_PORT_HTTP": "80",
        "HOME": "/",
    }
    assert load(config=None, env=env, flags={"data": "/nowhere"}).problems == []


def test_lists_groups_and_sizes_are_read_from_the_environment_and_from_the_file(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        'trusted_proxies = ["10.0.0.0/8"]\nbody_limit = "2MiB"\n'
        '[oidc]\nissuer = "https://id"\nclient_id = "x"\n'
        '[[oidc.rules]]\nclaim = "groups"\nvalue = "ops.team"\nrole = "admin"\n',
    )
    by_file = load(config=file, env={}, flags={}).settings
    env = {
        "EXCLAVE_TRUSTED_PROXIES": "10.0.0.0/8",
        "EXCLAVE_BODY_LIMIT": "2MiB",
        "EXCLAVE_OIDC__ISSUER": "https://id",
        "EXCLAVE_OIDC__CLIENT_ID": "x",
        "EXCLAVE_OIDC__RULES": '[{"claim": "groups", "value": "ops.team", "role": "admin"}]',
    }
    assert by_file is not None
    assert by_file == load(config=None, env=env, flags={}).settings
    assert by_file.body_limit == 2 * 1024 * 1024


def test_a_lease_of_another_length_has_a_heartbeat_that_fits() -> None:
    settings = load(config=None, env={"EXCLAVE_DATA": "/nowhere"}, flags={"intervals.lease": 8.0}).settings
    assert settings is not None
    assert (settings.intervals.heartbeat, settings.intervals.unknown_before_requeue) == (2, 8)


def config(*arguments: str, **env: str) -> Result:
    return CliRunner().invoke(exclave, ["config", *arguments], env={"EXCLAVE_DATA": "/nowhere", **env})


def test_check_prints_what_is_set_and_ends_with_1_when_something_is_wrong() -> None:
    good = config("check", EXCLAVE_LOG_FORMAT="json")
    assert good.exit_code == 0
    assert "log_format" in good.output
    assert "EXCLAVE_LOG_FORMAT" in good.output
    bad = config("check", EXCLAVE_LOG_FORMAT="xml")
    assert (bad.exit_code, "EXCLAVE_LOG_FORMAT: 'xml'" in bad.stderr) == (1, True)


def test_no_secret_is_shown() -> None:
    env = {
        "EXCLAVE_DATABASE": "postgresql://ims:canary@db/ims?password=canary&sslmode=require",
        "EXCLAVE_OIDC__ISSUER": "https://id",
        "EXCLAVE_OIDC__CLIENT_ID": "x",
        "EXCLAVE_OIDC__RULES": "[]",
        "EXCLAVE_OIDC__CLIENT_SECRET": "canary",
        "EXCLAVE_OTEL_ENDPOINT": "https://u:canary@otel",
    }
    for wrong in ({}, {"EXCLAVE_OIDC__CLIENT_SECRET_FILE": "/x"}, {"EXCLAVE_OIDC__RULES": "{1}"}):
        for command in (["check"], ["show"], ["show", "--json"]):
            result = config(*command, **(env | wrong))
            assert "canary" not in result.output
            assert result.exit_code == bool(wrong)
    shown_as_json = json.loads(config("show", "--json", **env).stdout)["settings"]
    assert shown_as_json["database"] == {
        "value": "postgresql://ims:********@db/ims?password=********&sslmode=require",
        "source": "EXCLAVE_DATABASE",
    }
    assert set(shown_as_json) == set(KEYS)


def test_settings_never_show_a_secret_in_their_own_text() -> None:
    env = {
        "EXCLAVE_OIDC__ISSUER": "https://i",
        "EXCLAVE_OIDC__CLIENT_ID": "x",
        "EXCLAVE_OIDC__RULES": "[]",
        "EXCLAVE_OIDC__CLIENT_SECRET": "canary",
    }
    settings = load(config=None, env=env, flags={}).settings
    assert settings is not None
    assert "canary" not in repr(settings)


def test_the_limits_of_a_door_keep_what_isnt_set(tmp_path: Path) -> None:
    file = write(tmp_path, "[rate_limits.login]\nburst = 5\n")
    settings = load(config=file, env={"EXCLAVE_RATE_LIMITS__ENROLL__PER_MINUTE": "2.5"}, flags={}).settings
    assert settings is not None
    assert settings.rate_limits.login == Rate(5, 30)
    assert settings.rate_limits.enroll == Rate(20, 2.5)


def test_a_rule_that_cannot_be_is_refused_with_where_it_stands(tmp_path: Path) -> None:
    rules = '[oidc]\nissuer = "https://id/"\nclient_id = "x"\n[[oidc.rules]]\nclaim = "groups"\nvalue = "ops"\nrole = "root"\n'
    file = write(tmp_path, rules)
    (problem,) = load(config=file, env={}, flags={}).problems
    assert f"{file}:oidc.rules" in problem
    right = load(config=write(tmp_path, rules.replace("root", "admin")), env={}, flags={}).settings
    assert right is not None
    assert right.oidc is not None
    assert right.oidc.issuer == "https://id/", "some providers' issuers end with a slash, and it counts"
    assert right.oidc.rules == (LoginRule("groups", "ops", "admin"),)


def reference_rows() -> list[str]:
    rows = []
    for key in KEYS.values():
        default = shown(key, key.default)
        rows.append(f"| `{key.name}` | `{key.variable}` | {f'`{default}`' if default else 'none'} | {key.description} |")
    return rows


def test_the_reference_says_what_the_model_says() -> None:
    table = [line for line in REFERENCE.read_text().splitlines() if line.startswith("| `")]
    assert table == reference_rows()


def test_settings_are_made_as_simply_as_before(tmp_path: Path) -> None:
    settings = Settings(tmp_path, "http://ims.test")
    assert settings.database_file == tmp_path / "exclave.db"
    assert settings.secrets_key_file == tmp_path / "secrets.key"
