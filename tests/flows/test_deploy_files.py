"""What ``deploy/`` describes is well formed, agrees with itself and with the code, and gives nothing away."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from composed import DEPLOY, ROOT, example, filled_in, image_variables

from carousel import listening, up
from carousel.services import Addresses
from tasks.environment import Environment, quiet

COMPOSE = (DEPLOY / "compose.yaml").read_text()
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
SECRETS = ["POSTGRES_PASSWORD", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "CAROUSEL_USER", "CAROUSEL_PASSWORD"]
FILLED = {**example(), **dict.fromkeys([*SECRETS, "CAROUSEL_FILES"], "filled-in")}
MANIFESTS = [
    document
    for path in [*sorted((DEPLOY / "kubernetes").glob("*.yaml")), DEPLOY / "ray-cluster.yaml"]
    if "values" not in path.name and path.name != "kustomization.yaml"
    for document in yaml.safe_load_all(path.read_text())
]
PODS = {
    document["metadata"]["name"]: document["spec"]["template"]["spec"]
    for document in MANIFESTS
    if document["kind"] in ("Deployment", "Job")
}
[RAY] = [document["spec"] for document in MANIFESTS if document["kind"] == "RayCluster"]
PODS |= {
    "ray-head": RAY["headGroupSpec"]["template"]["spec"],
    "ray-worker": RAY["workerGroupSpecs"][0]["template"]["spec"],
}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return yaml.safe_load(filled_in(COMPOSE, FILLED))["services"]


def test_the_compose_files_keep_the_schema_of_their_specification() -> None:
    files = [str(DEPLOY / name) for name in ("compose.yaml", "compose.gpu.yaml")]
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", *files]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_every_variable_of_the_compose_file_is_in_the_example_and_every_one_there_is_used() -> None:
    assert set(re.findall(r"\$\{(\w+)", COMPOSE)) == set(example())


@pytest.mark.parametrize("name", [*SECRETS, "CAROUSEL_FILES"])
def test_nothing_starts_with_a_secret_that_is_still_empty(name: str) -> None:
    assert example()[name] == ""
    with pytest.raises(ValueError, match=rf"{name}: set it in deploy/.env"):
        filled_in(COMPOSE, {**FILLED, name: ""})
    assert not re.search(rf"\$\{{{name}(?!:\?)", COMPOSE), "no default anywhere"


def test_services_wait_for_services_that_can_say_that_they_are_ready(services: dict[str, Any]) -> None:
    for name, service in services.items():
        for needed, how in service.get("depends_on", {}).items():
            ends = services[needed]["restart"].startswith("on-failure")
            assert how["condition"] == ("service_completed_successfully" if ends else "service_healthy"), name
            assert ends or "test" in services[needed]["healthcheck"], needed
        if "healthcheck" not in service:
            assert "--with-healthcheck" in service["command"], f"{name} has the health check of the image, a worker's"


def test_only_the_two_servers_are_published_and_on_this_machine_alone_unless_it_is_said_otherwise(
    services: dict[str, Any],
) -> None:
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert published == {"prefect": ["127.0.0.1:4200:4200"], "mlflow": ["127.0.0.1:5000:5000"]}
    assert not any("network_mode" in service or service.get("privileged") for service in services.values())


def test_images_are_pinned_and_named_without_a_registry(services: dict[str, Any]) -> None:
    images = {service["image"] for service in services.values()} | _images_built_on()
    assert images
    for image in images:
        assert re.fullmatch(r"([\w-]+/)?[\w-]+:[\w.-]*\d[\w.-]*", image), image


def test_what_is_deployed_names_no_host_but_its_own() -> None:
    own = {"127.0.0.1", "prefect", "mlflow", "minio", "prefect-server", "minio.minio.svc"}
    for path in DEPLOY.rglob("*"):
        if path.is_file() and path.name != ".env":
            assert set(re.findall(r"https?://([\w.-]+)", path.read_text())) <= own, path


def test_servers_are_started_as_by_carousel_up(services: dict[str, Any]) -> None:
    command = ["python", "-m", *listening.prefect_command(4200, "warning", "0.0.0.0")]
    assert services["prefect"]["command"] == command
    # Behind a name that nobody knows yet it is carousel.prefect_app that tells its own pages from others.
    told = {**image_variables(), **services["prefect"]["environment"]}
    wanted = {**listening.prefect_variables(4200, "0.0.0.0"), "PREFECT_SERVER_API_AUTH_STRING": "filled-in:filled-in"}
    wanted.pop("PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS")
    assert {name: told.get(name) for name in wanted} == wanted
    mlflow = listening.mlflow_command("any", Path("any"), 5000, "0.0.0.0")
    kept = mlflow[mlflow.index("--allowed-hosts") : mlflow.index("--workers")]
    assert set(kept) < set(services["mlflow"]["command"])


def test_the_image_sets_what_carousel_up_and_every_command_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    image = image_variables()
    given = up._variables(Addresses("http://127.0.0.1:1", "http://127.0.0.1:2"), 1, "127.0.0.1")
    own = {"PREFECT_API_URL", "MLFLOW_TRACKING_URI", "CAROUSEL_DIRECTORY"}
    own |= {name for name in given if name.startswith("PREFECT_SERVER_API_")}
    assert {name: image.get(name) for name in given if name not in own} == {
        name: value for name, value in given.items() if name not in own
    }
    for name in list(os.environ):
        if name.startswith(("PREFECT_", "MLFLOW_", "CAROUSEL_", "DO_NOT_TRACK")):
            monkeypatch.delenv(name)
    before = set(os.environ)
    quiet(Environment(home=tmp_path))
    told_otherwise = {"PREFECT_HOME", "CAROUSEL_HOME", "PREFECT_LOGGING_LEVEL", "PREFECT_SERVER_LOGGING_LEVEL"}
    only_shown = {"MLFLOW_LOGGING_LEVEL", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"}
    for name in set(os.environ) - before - told_otherwise - only_shown:
        assert image.get(name) == os.environ[name], name


def test_every_setting_of_prefect_that_is_set_exists(services: dict[str, Any]) -> None:
    from prefect.settings import get_current_settings

    known = _setting_names(type(get_current_settings()))
    used = set(image_variables()).union(*(service.get("environment", {}) for service in services.values()))
    used |= set(re.findall(r"PREFECT_\w+", "".join(map(str, MANIFESTS))))
    wrong = {name for name in used if name.startswith("PREFECT_")} - known
    assert not wrong


def test_the_image_is_pinned_copies_what_there_is_and_runs_as_nobody_special() -> None:
    assert "PIP_CONSTRAINT=/opt/carousel/constraints.txt" in DOCKERFILE
    copied = [
        source for line in re.findall(r"^COPY (?!--)(.+)$", DOCKERFILE, re.MULTILINE) for source in line.split()[:-1]
    ]
    assert all((ROOT / source).exists() for source in copied)
    let_through = [line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().split() if line[0] == "!"]
    assert sorted(copied) == sorted(let_through)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert {package.split(".")[0] for package in project["tool"]["setuptools"]["packages"]} <= set(copied)
    [extras] = re.findall(r'^ARG EXTRAS="(.*)"$', DOCKERFILE, re.MULTILINE)
    assert set(extras.split(",")) <= set(project["project"]["optional-dependencies"])
    users = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)
    assert users == [("1001", "1001")]
    after = DOCKERFILE[DOCKERFILE.index("USER 1001") :]
    assert "USER root" not in after


def test_every_object_of_kubernetes_is_named_in_the_namespace_of_all() -> None:
    for document in MANIFESTS:
        assert {"apiVersion", "kind", "metadata"} <= set(document)
        if document["kind"] != "Namespace":
            assert document["metadata"]["namespace"] == "carousel", document["metadata"]
    kustomized = yaml.safe_load((DEPLOY / "kubernetes" / "kustomization.yaml").read_text())["resources"]
    assert all((DEPLOY / "kubernetes" / name).exists() for name in kustomized)


def test_every_secret_setting_and_volume_that_is_referred_to_is_in_the_templates() -> None:
    keys = {
        (document["kind"], document["metadata"]["name"]): set(document.get("stringData") or document.get("data") or {})
        for document in MANIFESTS
    }
    values = [yaml.safe_load(path.read_text()) for path in (DEPLOY / "kubernetes").glob("*.values.yaml")]
    for name, value in _mappings([PODS, values]):
        if name == "secretKeyRef":
            assert value["key"] in keys["Secret", value["name"]], value
        if name == "secretRef":
            assert keys["Secret", value["name"]]
        if name == "configMapRef":
            assert keys["ConfigMap", value["name"]]
        if name == "persistentVolumeClaim":
            assert ("PersistentVolumeClaim", value["claimName"]) in keys
        if name == "existingSecret":
            assert {"auth-string", "prefect-database"} <= keys["Secret", value]
    for kind, name in keys:
        if kind == "Secret":
            [document] = [one for one in MANIFESTS if one["kind"] == kind and one["metadata"]["name"] == name]
            assert all("<" in value for value in document["stringData"].values()), "a template holds no secret"


@pytest.mark.parametrize("name", PODS)
def test_a_pod_may_do_little_and_says_when_it_is_ready(name: str) -> None:
    pod = PODS[name]
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["runAsUser"] == 1001
    assert pod["enableServiceLinks"] is False
    [container] = pod["containers"]
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert container["image"].startswith(f"carousel:{version}-c")
    assert "memory" in container["resources"]["limits"]
    assert name == "carousel-deploy" or {"readinessProbe", "livenessProbe"} <= set(container)
    ports = {port["name"] for port in container.get("ports", [])}
    for probe in ("readinessProbe", "livenessProbe"):
        for how in ("httpGet", "tcpSocket"):
            asked = container.get(probe, {}).get(how)
            assert asked is None or asked["port"] in ports


def test_kubernetes_starts_what_the_compose_file_starts(services: dict[str, Any]) -> None:
    values = {
        name: yaml.safe_load((DEPLOY / "kubernetes" / f"prefect-{name}.values.yaml").read_text())[name]
        for name in ("server", "worker")
    }
    assert services["prefect"]["command"] == values["server"]["command"] + values["server"]["args"]
    assert services["worker"]["command"] == values["worker"]["command"] + values["worker"]["args"]
    for pod, service in (("mlflow", "mlflow"), ("carousel-deploy", "deploy"), ("trial-worker", "trial-worker")):
        assert PODS[pod]["containers"][0]["command"] == services[service]["command"]
    worker = PODS["trial-worker"]["containers"][0]
    assert worker["resources"]["limits"]["nvidia.com/gpu"] == 1


def _images_built_on() -> set[str]:
    """Return the images that ``deploy/Dockerfile`` begins with."""
    defaults = dict(re.findall(r"^ARG (\w+)=(\S+)$", DOCKERFILE, re.MULTILINE))
    stages = set(re.findall(r" AS (\w+)$", DOCKERFILE, re.MULTILINE))
    begun = set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE))
    return {filled_in(image, defaults) for image in begun - stages}


def _mappings(tree: Any) -> Iterator[tuple[str, Any]]:
    """Yield every key of a tree with its value."""
    for value in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from _mappings(value)
    if isinstance(tree, dict):
        yield from tree.items()


def _setting_names(settings: Any) -> set[str]:
    """Return the variables that a class of Prefect's settings reads."""
    prefix = settings.model_config.get("env_prefix", "")
    found: set[str] = set()
    for name, one in settings.model_fields.items():
        if hasattr(one.annotation, "model_fields"):
            found |= _setting_names(one.annotation)
        elif one.validation_alias is not None:
            found |= {str(choice).upper() for choice in one.validation_alias.choices}
        found.add(f"{prefix}{name}".upper())
    return found
