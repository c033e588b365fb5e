"""docs/operations.md: its blocks are run, here or by `make test-services`, or say they are not."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.specs import ROOT

PAGE = (ROOT / "docs" / "operations.md").read_text()
BLOCKS = re.findall(r"^ *```sh ?([a-z-]*)\n(.*?)^ *```", PAGE, re.DOTALL | re.MULTILINE)


def test_every_block_is_of_a_known_kind() -> None:
    kinds = [kind for kind, _ in BLOCKS]
    assert set(kinds) == {"", "services", "not-run"} and PAGE.count("```") == 2 * len(BLOCKS)
    for text in (text for kind, text in BLOCKS if kind == "not-run"):
        assert re.search("docker|helm|oauth2-proxy", text)


def test_what_the_services_run_is_what_the_page_says() -> None:
    stack = (ROOT / "tests" / "services" / "stack.py").read_text()
    (text,) = (text for kind, text in BLOCKS if kind == "services")
    for option in re.findall(r"--[a-z-]+", text):
        assert f'"{option}"' in stack, option
    for command in ("dagster-daemon", "celery"):
        assert f'BIN / "{command}"' in stack and command in text
    assert '"-m", "targen_dagster.webserver"' in stack
    assert "python -m targen_dagster.webserver" in text


def test_the_other_blocks_run_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith(("TARGEN_", "DAGSTER_"))]:
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "DAGSTER_HOME": str(home),
        "TARGEN_DATA_DIR": str(tmp_path / "data"),
        "TARGEN_TASKS_DIR": str(ROOT / "tasks"),
        "TARGEN_RECIPES_DIR": str(ROOT / "recipes"),
        "TARGEN_ROWS": "6",
        "TARGEN_EXPECTATIONS": "off",
    }
    for kind, text in BLOCKS:
        if kind:
            continue
        done = subprocess.run(
            ["bash", "-euc", text],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (text, done.stderr[-2000:])
