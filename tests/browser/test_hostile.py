"""A hostile page in the user's browser, on another port of loopback and by DNS rebinding."""

import contextlib
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from dagster_project import home
from tests.browser.conftest import chromium, fresh, serving

NAME = "evil.example"
LAUNCH = """
mutation {
  launchPipelineExecution(executionParams: {mode: "default", runConfigData: {}, selector: {
    repositoryLocationName: "dagster_project.definitions", repositoryName: "__repository__",
    pipelineName: "compare"
  }}) { __typename }
}
"""
COUNT = "{ runsOrError { ... on Runs { count } } }"
ATTACK = """
async ([target, launch, count]) => {
  const graphql = `${target}/graphql`, found = {};
  const address = `${graphql}?query=${encodeURIComponent(launch)}`;
  const read = async (name, url, options) => {
    try {
      const reply = await fetch(url, options);
      found[name] = reply.type === 'opaque' ? 'opaque' : `${reply.status} ${await reply.text()}`;
    } catch (error) { found[name] = 'refused'; }
  };
  const post = (type, body, more) => (
    {method: 'POST', body, headers: type ? {'Content-Type': type} : {}, ...more});
  const body = JSON.stringify({query: launch});
  await read('json', graphql, post('application/json', body));
  await read('text', graphql, post('text/plain', body, {mode: 'no-cors'}));
  await read('text as json', graphql,
             post('text/plain; application/json', body, {mode: 'no-cors'}));
  await read('in the address', address, post('text/plain', '', {mode: 'no-cors'}));
  await read('get', `${graphql}?query=${encodeURIComponent(count)}`);
  await read('get blind', address, {mode: 'no-cors'});
  await read('page', `${target}/targen/quality_report/rte.html`);
  await read('logs', `${target}/runs`);
  await read('report', `${target}/report_asset_materialization/evil`,
             post('text/plain', '{}', {mode: 'no-cors'}));
  const loaded = (tag, attribute, url) => new Promise((done) => {
    const element = document.createElement(tag);
    element.onload = () => done('loaded'); element.onerror = () => done('refused');
    element[attribute] = url; document.body.append(element);
    setTimeout(() => done('refused'), 5000);
  });
  found.image = await loaded('img', 'src', address);
  found.script = await loaded('script', 'src', `${target}/favicon.svg`);
  const frame = document.createElement('iframe');
  frame.name = 'inside'; document.body.append(frame);
  const form = document.createElement('form');
  form.method = 'POST'; form.enctype = 'text/plain'; form.action = graphql; form.target = 'inside';
  const input = document.createElement('input');
  input.name = body.slice(0, -1) + ',"x":"'; input.value = '"}';
  form.append(input); document.body.append(form); form.submit();
  found.socket = await new Promise((done) => {
    const socket = new WebSocket(`${graphql.replace('http', 'ws')}`, 'graphql-ws');
    socket.onopen = () => done('open'); socket.onerror = () => done('refused');
  });
  const opened = window.open(address);
  await new Promise((done) => setTimeout(done, 1500));
  if (opened) opened.close();
  return found;
}
"""
OWN = """
async ([graphql, query]) => {
  const reply = await fetch(graphql, {
    method: 'POST', body: JSON.stringify({query}), headers: {'Content-Type': 'application/json'}});
  return await reply.json();
}
"""


class _Blank(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>hostile</title><body>")

    def log_message(self, *arguments: Any) -> None:
        """Write nothing."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the address of a web server without any run."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "home").mkdir()
    shutil.copyfile(home.ROOT / "deploy/local/dagster.yaml", folder / "home/dagster.yaml")
    with serving(fresh(folder), folder / "log.txt") as address:
        yield address


@pytest.fixture(scope="module")
def hostile() -> Iterator[str]:
    """Yield the address of an empty page on another port."""
    site = ThreadingHTTPServer(("127.0.0.1", 0), _Blank)
    threading.Thread(target=site.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{site.server_port}"
    site.shutdown()
    site.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """Yield a headless Chromium for which the attacker's name leads to loopback."""
    with chromium(f"--host-resolver-rules=MAP {NAME} 127.0.0.1") as opened:
        yield opened


@contextlib.contextmanager
def page_of(browser: Any) -> Iterator[Any]:
    context = browser.new_context()
    try:
        yield context.new_page()
    finally:
        context.close()


def runs(page: Any, server: str) -> int:
    """Return the number of runs, as the UI's own page reads it."""
    found = page.evaluate(OWN, [f"{server}/graphql", COUNT])
    return int(found["data"]["runsOrError"]["count"])


def test_a_page_on_another_port_can_launch_read_and_open_nothing(
    server: str, hostile: str, browser: Any
) -> None:
    with page_of(browser) as own, page_of(browser) as page:
        own.goto(f"{server}/overview")
        before = runs(own, server)
        page.goto(hostile)
        found = page.evaluate(ATTACK, [server, LAUNCH, COUNT])
        # An opaque answer cannot be read; what it did is seen below.
        assert {name for name, what in found.items() if what != "opaque"} >= {"json", "socket"}
        assert set(found.values()) <= {"opaque", "refused"}, found
        assert runs(own, server) == before
        for frame in page.frames[1:]:
            assert "__typename" not in frame.content()
        assert assets(own, server) == []


def assets(page: Any, server: str) -> list[Any]:
    """Return the assets that have events; an attacker would have reported one."""
    query = "{ assetRecordsOrError { ... on AssetRecordConnection { assets { id } } } }"
    found = page.evaluate(OWN, [f"{server}/graphql", query])
    return list(found["data"]["assetRecordsOrError"]["assets"])


def test_a_name_that_leads_to_loopback_is_refused(server: str, browser: Any) -> None:
    address = f"http://{NAME}:{server.rpartition(':')[2]}"
    with page_of(browser) as page:
        reply = page.goto(f"{address}/")
        assert reply.status == 403 and "TARGEN_UI_HOSTS" in page.content()
        # The page now has the origin of the server.
        status = page.evaluate(
            """async (url) => {
              const headers = {'Content-Type': 'application/json'};
              return (await fetch(url, {method: 'POST', body: '{}', headers})).status;
            }""",
            f"{address}/graphql",
        )
        assert status == 403


def test_its_own_page_may(server: str, browser: Any) -> None:
    """The same mutation and a WebSocket work from the UI, so the refusals mean something."""
    with page_of(browser) as page:
        page.goto(f"{server}/overview")
        before = runs(page, server)
        made = page.evaluate(OWN, [f"{server}/graphql", LAUNCH])
        assert made["data"]["launchPipelineExecution"]["__typename"] == "LaunchRunSuccess", (
            json.dumps(made)
        )
        assert runs(page, server) == before + 1
        opened = page.evaluate(
            """(url) => new Promise((done) => {
              const socket = new WebSocket(url, 'graphql-ws');
              socket.onopen = () => done('open'); socket.onerror = () => done('refused');
            })""",
            f"{server.replace('http', 'ws')}/graphql",
        )
        assert opened == "open"
