"""Docker, compose and Kubernetes files: never run here, but well-formed and locked down."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.support.specs import ROOT

DEPLOY = ROOT / "deploy"
OURS = ("code", "webserver", "daemon", "worker")


def load(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe").load(path)
    return loaded


@pytest.mark.parametrize("path", sorted(DEPLOY.rglob("*.yaml")), ids=lambda path: path.name)
def test_every_yaml_file_is_well_formed(path: Path) -> None:
    assert isinstance(load(path), dict)


def test_compose_has_all_parts_and_locks_them_down() -> None:
    services = load(DEPLOY / "docker" / "compose.yaml")["services"]
    assert set(services) == {*OURS, "postgres", "redis", "s3", "buckets"}
    for name in OURS:
        assert services[name]["read_only"] and services[name]["cap_drop"] == ["ALL"]
        assert services[name]["image"] == "targen:local"
    for name, service in services.items():
        ports = service.get("ports", [])
        assert all(port.startswith("127.0.0.1:") for port in ports), name


def test_compose_holds_no_secret() -> None:
    text = (DEPLOY / "docker" / "compose.yaml").read_text()
    for line in (DEPLOY / "docker" / "example.env").read_text().splitlines():
        name, _, value = line.partition("=")
        assert line.startswith("#") or value == "", name
    assert "PASSWORD: targen" not in text
    assert "deploy/docker/.env" in (ROOT / ".gitignore").read_text().splitlines()


def test_the_image_is_no_root_and_has_the_settings_that_are_tested() -> None:
    text = (DEPLOY / "docker" / "Dockerfile").read_text()
    assert text.count("FROM ") == 2 and "USER 10001:10001" in text
    for word in text.split():
        if word.startswith(("tasks", "recipes", "deploy/")):
            assert (ROOT / word).exists(), word
    # The wheel has neither of these, and Dagster's commands load classes from them.
    for package in ("assets", "resources", "dagster_project"):
        assert f"COPY --chown=root:root {package} /app/{package}\n" in text
    assert "WORKDIR /app\n" in text and "PYTHONPATH=/app " in text


def test_every_web_server_is_behind_the_gate() -> None:
    services = load(DEPLOY / "docker" / "compose.yaml")["services"]
    assert services["webserver"]["command"][:3] == ["python", "-m", "targen_dagster.webserver"]
    # Dagster's chart calls the command by its name, from this image.
    image = (DEPLOY / "docker" / "Dockerfile").read_text()
    assert "exec python -m targen_dagster.webserver" in image
    assert "> /opt/venv/bin/dagster-webserver\n" in image
    values = load(DEPLOY / "kubernetes" / "values.yaml")
    (deployment,) = values["dagster-user-deployments"]["deployments"]
    assert values["dagsterWebserver"]["image"] == deployment["image"]
    for path in DEPLOY.rglob("*"):
        if path.is_file() and path.name not in ("Dockerfile", "workspace.yaml"):
            assert "dagster-webserver" not in path.read_text(), path


def test_kubernetes_has_the_same_limits_as_production() -> None:
    values = load(DEPLOY / "kubernetes" / "values.yaml")
    settings = load(DEPLOY / "production" / "dagster.yaml")
    daemon = values["dagsterDaemon"]
    retries, monitoring = settings["run_retries"], settings["run_monitoring"]
    assert daemon["runRetries"]["maxRetries"] == retries["max_retries"]
    assert daemon["runRetries"]["retryOnAssetOrOpFailure"] is False
    assert daemon["runMonitoring"]["maxRuntimeSeconds"] == monitoring["max_runtime_seconds"]
    assert values["runLauncher"]["type"] == "K8sRunLauncher"
    for part in ("dagsterWebserver", "dagsterDaemon"):
        assert values[part]["securityContext"]["readOnlyRootFilesystem"] is True
    limits = settings["concurrency"]["runs"]["tag_concurrency_limits"]
    queue = daemon["runCoordinator"]["config"]["queuedRunCoordinator"]
    assert queue["tagConcurrencyLimits"] == limits
