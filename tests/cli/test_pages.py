"""The server of pages: what it serves, to whom, and nothing else."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from targen.cli import pages
from targen.cli.pages import application
from targen.errors import TargenError
from targen.settings import Settings

SERVED = (
    "quality_report/rte.html",
    "targets/rte.html",
    "expectations/rte/index.html",
    "comparison/comparison.html",
    "comparison/comparison.rte.html",
)
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TARGEN_DATA_DIR", str(tmp_path / "data"))
    for key in (*SERVED, "quality_report/rte.json", "releases/rte/1/README.html", "completions.db"):
        path = tmp_path / "data" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"<p>{key}</p>{HOSTILE}")
    (tmp_path / "secret.html").write_text("secret")
    return tmp_path / "data"


@pytest.fixture
def client(data: Path) -> TestClient:
    return TestClient(application({"targen.example.org"}), "http://127.0.0.1:8322")


@pytest.mark.parametrize("key", SERVED)
def test_pages_are_served_and_can_run_nothing(client: TestClient, key: str) -> None:
    found = client.get(f"/{key}")
    assert found.status_code == 200 and key in found.text
    assert found.headers["content-type"] == "text/html; charset=utf-8"
    policy = found.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "sandbox" in policy and "script" not in policy
    assert found.headers["cross-origin-resource-policy"] == "same-origin"
    assert client.head(f"/{key}").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/", "/quality_report", "/quality_report/", "/expectations/rte/", "/completions.db",
        "/quality_report/rte.json", "/releases/rte/1/README.html", "/quality_report/cb.html",
        "/quality_report/../../secret.html", "/quality_report/%2e%2e%2f%2e%2e%2fsecret.html",
        "/expectations/../quality_report/index.html", "/audit/..", "/audit/", "/audit/xyz",
        "//etc/passwd", "/quality_report/rte.html%00",
    ],
)  # fmt: skip
def test_nothing_else_is_served(client: TestClient, path: str) -> None:
    found = client.get(path)
    assert found.status_code == 404
    assert found.headers["content-type"].startswith("text/plain")
    assert "secret" not in found.text and HOSTILE not in found.text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_it_is_read_only(client: TestClient, data: Path, method: str) -> None:
    assert client.request(method, "/quality_report/rte.html").status_code == 405
    assert (data / "quality_report/rte.html").exists()


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example:8322"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:3000"},
        {"sec-fetch-site": "cross-site", "sec-fetch-dest": "iframe"},
        {"sec-fetch-site": "same-site", "sec-fetch-dest": "empty"},
    ],
)
def test_other_sites_get_nothing(client: TestClient, headers: dict[str, str]) -> None:
    found = client.get("/quality_report/rte.html", headers=headers)
    assert found.status_code == 403 and HOSTILE not in found.text


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "localhost:3000"},
        {"host": "targen.example.org"},
        {"origin": "http://127.0.0.1:8322"},
        {"sec-fetch-site": "same-origin", "sec-fetch-dest": "document"},
        # A click on the link in another page, such as Dagster's.
        {"sec-fetch-site": "cross-site", "sec-fetch-dest": "document"},
    ],
)
def test_a_link_opens_a_page(client: TestClient, headers: dict[str, str]) -> None:
    assert client.get("/quality_report/rte.html", headers=headers).status_code == 200


def test_a_row_that_no_table_has(client: TestClient, data: Path) -> None:
    found = client.get("/audit/0123456789abcdef")
    assert found.status_code == 404 and "has the id 0123456789abcdef" in found.text


def test_an_error_is_one_line(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(item: str) -> str:
        raise TargenError("The data folder cannot be read.")

    monkeypatch.setattr(pages, "audit_page", broken)
    found = client.get("/audit/0123456789abcdef")
    assert (found.status_code, found.text) == (500, "The data folder cannot be read.\n")


@pytest.mark.parametrize(
    ("value", "read"), [("", "/targen"), ("http://127.0.0.1:8322/", "http://127.0.0.1:8322")]
)
def test_the_address_in_links(monkeypatch: pytest.MonkeyPatch, value: str, read: str) -> None:
    monkeypatch.setenv("TARGEN_PAGES_URL", value)
    assert Settings.from_environment().pages_url == read


@pytest.mark.parametrize("value", ["javascript:alert(1)", "127.0.0.1:8322", "/a b", "ftp://x"])
def test_an_address_that_is_none(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("TARGEN_PAGES_URL", value)
    with pytest.raises(TargenError, match="TARGEN_PAGES_URL must be an address"):
        Settings.from_environment()
