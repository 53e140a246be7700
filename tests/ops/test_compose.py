"""compose.yaml and Containerfile, which not every machine can run: each path, port and variable is the project's."""

import ast
import re
from fnmatch import fnmatch
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from granian.cli import cli

from tests.architecture.test_readme import documented
from tests.live import PROJECT

OPS = PROJECT / "ops"
COMPOSE = yaml.safe_load((OPS / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "jwt-pizza-service:local"}
DJANGO = {name: service for name, service in OURS.items() if name != "sandbox"}
ONCE = {"migrate", "seed"}
CONTAINERFILE = (OPS / "Containerfile").read_text().replace("\\\n", " ")
DEMO = dict(re.findall(r"^([A-Z_]+)=(.*)$", (OPS / "demo.env").read_text(), re.MULTILINE))
PROCFILE = dict(re.findall(r"^(\w+): (.*)$", (PROJECT / "Procfile").read_text(), re.MULTILINE))
# What jwtpizza/sandbox reads, and Python.
OF_OTHERS = {"FACTORY_HOST", "PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}


def yaml_of(file: str) -> Any:
    return yaml.safe_load((OPS / file).read_text())


def instructions(name: str) -> list[str]:
    return re.findall(rf"^{name} +(.*?)\s*$", CONTAINERFILE, re.MULTILINE)


def in_image() -> dict[str, str]:
    return dict(re.findall(r"([A-Z_]+)=(\S+)", " ".join(instructions("ENV"))))


def filled(text: str, environment: dict[str, str]) -> str:
    """As compose fills in variables; raises KeyError with the name of one that has to be there and isn't."""

    def value(found: re.Match[str]) -> str:
        name, operator, default = found.groups()
        if operator == ":-":
            return environment.get(name) or default
        if name not in environment or (operator == ":?" and not environment[name]):
            raise KeyError(name)
        return environment[name]

    return re.sub(r"(?<!\$)\$\{(\w+)(:-|:\?|\?)([^}]*)\}", value, text)


def mounts(service: str) -> list[list[str]]:
    return [volume.split(":") for volume in SERVICES[service].get("volumes", [])]


def inside(service: str, path: str) -> Path:
    """The file of the project that stands at a path in the container."""
    for source, target, *_ in mounts(service):
        if source.startswith("./") and (path == target or path.startswith(target + "/")):
            return OPS / source / path[len(target) :].lstrip("/")
    raise AssertionError(f"nothing is mounted at {path} in {service}")


def flags(service: str) -> dict[str, str]:
    return dict(re.findall(r"^--?([\w.-]+)=(.*)$", "\n".join(SERVICES[service]["command"]), re.MULTILINE))


def port_inside(service: str) -> set[int]:
    """Where it listens: what its health check asks is one of them, and so is what it publishes."""
    return {
        "service": {int(in_image()["PORT"])},
        "worker": {SERVICES["worker"]["environment"].get("WORKER_METRICS_PORT", 0)},
        "sandbox": {SERVICES["sandbox"]["environment"]["FACTORY_PORT"]},
        "postgres": {5432},
        "redis": {6379},
        "prometheus": {9090},
        "alertmanager": {9093},
        "loki": {yaml_of("loki/loki.yml")["server"]["http_listen_port"]},
        "alloy": {int(re.findall(r"listen_port\s+= (\d+)", (OPS / "alloy/config.alloy").read_text())[0]), 12345},
        "grafana": {3000},
    }[service]


def test_all_that_is_asked_for_is_there():
    asked = {
        "service",
        "worker",
        "sandbox",
        "postgres",
        "redis",
        "prometheus",
        "alertmanager",
        "loki",
        "alloy",
        "grafana",
    }
    assert set(SERVICES) == asked | ONCE


@pytest.mark.parametrize("name", SERVICES)
def test_each_image_is_pinned_and_none_is_root_or_can_write_to_itself(name):
    service = SERVICES[name]
    if name not in OURS:
        assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+(\.\d+)?(-\w+)?", service["image"])
    assert service["user"].split(":")[0] not in ("", "0", "root")
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "mem_limit" in service
    assert service["logging"]["options"]["max-size"]


def test_the_image_is_made_of_one_pinned_python_which_is_ours():
    bases = {line.split()[0] for line in instructions("FROM")}
    assert len(bases) == 1
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm", bases.pop())


def test_the_image_copies_what_exists_and_the_context_has_it_and_no_more():
    copied = [
        (PROJECT / source).relative_to(PROJECT).as_posix()
        for line in instructions("COPY")
        if not line.startswith("--from")
        for source in line.split()[:-1]
    ]
    allowed = re.findall(r"^!(.*)$", (PROJECT / ".dockerignore").read_text(), re.MULTILINE)
    assert sorted(copied) == sorted(allowed)
    for path in copied:
        assert (PROJECT / path).exists(), path


def apps() -> set[str]:
    return {path.parent.name for path in PROJECT.glob("*/__init__.py")} - {"tests"}


def test_the_image_has_each_package_and_each_file_that_the_procfile_names():
    copied = " ".join(instructions("COPY")).split()
    assert apps() <= set(copied)
    for path in re.findall(r"\b(?:ops|script)/[\w./]+|manage\.py", " ".join(PROCFILE.values())):
        assert any(path == source or path.startswith(source + "/") for source in copied), path


def test_no_development_requirement_is_installed():
    assert "requirements-dev" not in CONTAINERFILE
    [install] = [run for run in instructions("RUN") if "pip" in run]
    assert "--only-binary=:all:" in install


def test_whoever_runs_in_the_image_owns_nothing_but_the_factorys_folder():
    assert instructions("USER") == [SERVICES["service"]["user"]]
    assert "--chown" not in CONTAINERFILE
    assert not re.search(r"\bchown\b", CONTAINERFILE)
    assert re.findall(r"--owner=\S+ .*?(/\S+)", CONTAINERFILE) == [in_image()["SANDBOX_DIR"]]
    assert [volume[1] for volume in mounts("sandbox")] == [in_image()["SANDBOX_DIR"]]


@pytest.mark.parametrize("name", OURS)
def test_ours_write_to_memory_alone_and_count_from_zero_at_each_start(name):
    in_memory = [path.split(":")[0] for path in SERVICES[name]["tmpfs"]]
    image = in_image()
    assert image["RUN_DIR"] in in_memory
    assert image["PROMETHEUS_MULTIPROC_DIR"].startswith(image["RUN_DIR"] + "/")
    uid = SERVICES[name]["user"].split(":")[0]
    assert f"uid={uid}" in SERVICES[name]["tmpfs"][0]


def test_the_containers_run_the_lines_of_the_procfile():
    ran = {name: service["command"][3] for name, service in OURS.items() if name not in ONCE}
    assert ran == {"service": "web", "worker": "worker", "sandbox": "factory"}
    assert set(ran.values()) == set(PROCFILE)
    for name in ran:
        assert SERVICES[name]["command"][:3] == ["python", "-m", "script.processes"]
    assert "\npython -m script.processes " in (PROJECT / "script/server").read_text()
    assert instructions("CMD") == ['["python", "-m", "script.processes", "web"]']
    for name in ONCE:
        command = SERVICES[name]["command"][2]
        assert command == "migrate" or (PROJECT / f"jwtpizza/management/commands/{command}.py").exists()


def known() -> set[str]:
    granian = {f"GRANIAN_{parameter.name.upper()}" for parameter in cli.params if parameter.name}
    return set(documented()) | granian | OF_OTHERS


def test_each_variable_of_ours_is_one_that_the_project_knows():
    given = {name for service in OURS.values() for name in service["environment"]} | set(in_image())
    assert given <= known()


def test_each_variable_that_compose_reads_is_one_of_the_project_or_a_password():
    read = set(re.findall(r"(?<!\$)\$\{(\w+)", (OPS / "compose.yaml").read_text()))
    assert read <= known() | {"POSTGRES_PASSWORD", "GRAFANA_PASSWORD"}
    assert set(DEMO) <= read


def test_what_production_asks_for_is_given_and_nothing_starts_without_it():
    marked = re.findall(r"^\| `([A-Z_]+)` † \|", (PROJECT / "README.md").read_text(), re.MULTILINE)
    text = (OPS / "compose.yaml").read_text()
    for name in [*marked, "METRICS_TOKEN", "POSTGRES_PASSWORD", "GRAFANA_PASSWORD"]:
        with pytest.raises(KeyError, match=name):
            filled(text, {key: value for key, value in DEMO.items() if key != name})
    for service in DJANGO.values():
        assert set(marked) <= set(service["environment"])
        assert service["environment"]["DJANGO_ENV"] == "${DJANGO_ENV:-production}"


def test_the_demos_values_are_enough_and_none_is_a_secret_that_production_takes():
    services = yaml.safe_load(filled((OPS / "compose.yaml").read_text(), DEMO))["services"]
    assert "${" not in str(services)
    assert services["service"]["environment"]["FACTORY_URL"] == "http://sandbox:4000"
    assert services["sandbox"]["environment"]["FACTORY_API_KEY"] == DEMO["FACTORY_API_KEY"]
    assert DEMO["DJANGO_ENV"] == "development"


def test_the_commands_that_are_told_name_files_that_exist():
    for file in (OPS / "demo.env", OPS / "Containerfile", PROJECT / "README.md"):
        for path in re.findall(r"--(?:env-file|file) (\S+)", file.read_text()):
            assert path == "/dev/null" or (PROJECT / path).exists(), path
    build = SERVICES["migrate"]["build"]
    assert ((OPS / build["context"]).resolve(), build["dockerfile"]) == (PROJECT, "ops/Containerfile")


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_mounted_exists_and_cannot_be_written(name):
    for source, _, *mode in mounts(name):
        if source.startswith("."):
            assert (OPS / source).exists(), source
            assert mode == ["ro"], source
        else:
            assert source in COMPOSE["volumes"]


def test_each_volume_is_used():
    assert {source for name in SERVICES for source, *_ in mounts(name)} >= set(COMPOSE["volumes"])


def test_prometheus_finds_its_rules_its_runbooks_and_its_token():
    told = flags("prometheus")
    config = yaml_of("prometheus/prometheus.yml")
    assert inside("prometheus", told["config.file"]) == OPS / "prometheus/prometheus.yml"
    folder = Path(told["config.file"]).parent
    for rules in config["rule_files"]:
        assert list(inside("prometheus", str(folder / rules).replace("/*.yml", "")).glob("*.yml"))
    assert inside("prometheus", told["web.user-assets"]) == OPS / "runbooks"
    [token] = set(re.findall(r"credentials_file: (\S+)", (OPS / "prometheus/prometheus.yml").read_text()))
    assert f">{token} " in SERVICES["prometheus"]["entrypoint"][2]
    assert str(Path(token).parent) in SERVICES["prometheus"]["tmpfs"]


def test_the_demos_metrics_ask_for_no_token_that_prometheus_does_not_send():
    jobs = yaml_of("prometheus/prometheus.yml")["scrape_configs"]
    assert not DEMO["METRICS_TOKEN"] or all("authorization" in job for job in jobs)


def test_prometheus_scrapes_the_ports_that_ours_listen_on():
    config = yaml_of("prometheus/prometheus.yml")
    managers = config["alerting"]["alertmanagers"]
    for scraped in [*config["scrape_configs"], *managers]:
        for target in scraped["static_configs"][0]["targets"]:
            host, port = target.split(":")
            assert int(port) in port_inside(host), target
    assert SERVICES["worker"]["environment"]["WORKER_METRICS_HOST"] == "0.0.0.0"
    assert {job["job_name"] for job in config["scrape_configs"]} == {"jwtpizza", "jwtpizza-worker"}


def test_whoever_asks_the_service_by_its_name_is_answered():
    hosts = filled(SERVICES["service"]["environment"]["ALLOWED_HOSTS"], DEMO).split(",")
    assert {"service", "127.0.0.1"} <= set(hosts)


def test_alertmanager_loki_and_alloy_find_their_configuration():
    assert inside("alertmanager", flags("alertmanager")["config.file"]) == OPS / "alertmanager/alertmanager.yml"
    assert inside("loki", flags("loki")["config.file"]) == OPS / "loki/loki.yml"
    assert inside("alloy", SERVICES["alloy"]["command"][-1]) == OPS / "alloy/config.alloy"
    loki = yaml_of("loki/loki.yml")
    assert not loki["auth_enabled"]
    assert inside("loki", loki["ruler"]["storage"]["local"]["directory"] + "/fake/rules.yml") == OPS / "loki/rules.yml"
    assert loki["common"]["path_prefix"] in [target for _, target, *_ in mounts("loki")]


def addresses() -> list[tuple[str, str, int]]:
    """Whatever one container calls another by: where it stands, the host, the port."""
    files = ("compose.yaml", "demo.env", "loki/loki.yml", "alloy/config.alloy")
    files += ("grafana/provisioning/datasources/datasources.yml",)
    found = []
    for file in files:
        text = "\n".join(line for line in (OPS / file).read_text().splitlines() if "--web.external-url" not in line)
        for host, port in re.findall(r"(?:http://|redis://|@)([a-z]+):(\d+)", text):
            found.append((file, host, int(port)))
    return found


def test_each_address_is_a_containers_and_its_port_is_open():
    assert len(addresses()) >= 8
    for file, host, port in addresses():
        assert port in port_inside(host), (file, host, port)


def test_what_is_pushed_goes_by_alloy_to_loki_and_no_other_way():
    assert {service["environment"]["LOKI_URL"] for service in DJANGO.values()} == {"http://alloy:3500/loki/api/v1/push"}
    alloy = (OPS / "alloy/config.alloy").read_text()
    assert re.findall(r'url = "(.*)"', alloy) == ["http://loki:3100/loki/api/v1/push"]
    assert "docker.sock" not in (OPS / "compose.yaml").read_text().replace("Docker socket", "")


@pytest.mark.parametrize("name", [name for name in SERVICES if "ports" in SERVICES[name]])
def test_ports_are_published_on_this_machine_alone(name):
    [published] = [filled(port, {}) for port in SERVICES[name]["ports"]]
    address, outside, within = published.split(":")
    assert address == "127.0.0.1"
    assert int(within) in port_inside(name)
    if name in ("service", "sandbox"):
        assert outside == documented()[{"service": "PORT", "sandbox": "FACTORY_PORT"}[name]].strip("`")


def test_no_two_publish_one_port():
    published = [filled(port, {}).split(":")[1] for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(set(published)) == len(published)


@pytest.mark.parametrize("name", sorted(set(SERVICES) - ONCE - {"service"}))
def test_each_is_asked_whether_it_is_well_on_a_port_that_it_listens_on(name):
    test = SERVICES[name]["healthcheck"]["test"]
    assert test[0] == "CMD"
    for port in re.findall(r"127\.0\.0\.1[:/](\d+)|127\.0\.0\.1', (\d+)", " ".join(test)):
        assert int("".join(port)) in port_inside(name)
    for code in (word for before, word in pairwise(test) if before == "-c" and "python" in test):
        ast.parse(code)


def test_the_services_own_health_check_asks_livez():
    [check] = instructions("HEALTHCHECK")
    command = ast.literal_eval(check[check.index("[") :])
    ast.parse(command[2])
    assert "/livez" in command[2]
    assert "healthcheck" not in SERVICES["service"]


def test_nobody_starts_before_the_tables_are_there():
    for name in ("service", "worker", "seed"):
        assert SERVICES[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert SERVICES["migrate"]["depends_on"]["postgres"] == {"condition": "service_healthy"}


def test_a_stop_leaves_time_for_the_orders_under_way():
    [wait] = re.findall(r"KILL_WAIT = (\d+)", (PROJECT / "script/processes.py").read_text())
    for service in OURS.values():
        assert int(service["stop_grace_period"].rstrip("s")) > int(wait)


def test_grafana_finds_what_it_is_provisioned_with():
    [provider] = yaml_of("grafana/provisioning/dashboards/dashboards.yml")["providers"]
    folder = inside("grafana", provider["options"]["path"])
    assert [path.name for path in folder.iterdir()] == ["jwt-pizza.json"]
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert inside("grafana", home) == folder / "jwt-pizza.json"
    for kind in ("datasources", "dashboards"):
        assert list(inside("grafana", f"/etc/grafana/provisioning/{kind}").glob("*.yml"))


def test_nothing_secret_is_in_the_build_context():
    ignored = (PROJECT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    assert any(fnmatch("jwtpizza/db.sqlite3", pattern.removeprefix("**/")) for pattern in ignored[2:])
