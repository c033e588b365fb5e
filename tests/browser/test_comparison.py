"""The picture of the comparison, taken from all methods of one task.

What the page does in a browser is tested beside the page; this only takes its picture, as a
reader would see it after `make compare BASE=rte`.
"""

import pytest

from tests.browser.conftest import TAKING, fresh, run


@pytest.mark.skipif(not TAKING, reason="only make pictures takes them: it runs eight tasks")
def test_the_comparison_of_one_task(browser, pictures, tmp_path):
    environment = fresh(tmp_path)
    run(environment, "--compare", "rte")
    page = browser.new_page(viewport={"width": 1200, "height": 1620})
    page.goto(f"file://{environment['TARGEN_DATA_DIR']}/comparison/comparison.html")
    assert "missing" not in page.inner_text("article >> nth=0")
    page.screenshot(path=pictures / "comparison.png")
    page.close()
