"""The pages of ``compare --html`` and ``backtest --html`` in a browser, judged by axe-core."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.browser import VIEWS, look
from tests.support.data import CAR_LOAN
from tests.support.installation import command
from tests.support.repository import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.slow]

EXAMPLE = ROOT / "deploy/examples/models/car_loan.yaml"

NAMES = ("compare", "proposed", "budget")


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, Path]:
    """Write one page of each kind."""
    folder = tmp_path_factory.mktemp("pages")
    pages = {name: folder / f"{name}.html" for name in NAMES}
    files = (CAR_LOAN.reference, CAR_LOAN.analysis)
    more = ("--convention", "evidently", "--html", pages["compare"])
    assert command("compare", *files, *more).code == 10
    model = folder / "car_loan.yaml"
    example = EXAMPLE.read_text().replace("length: 1h", "length: 1h\n  pane: 10m")
    model.write_text(example + "decision: {rule: 1}\n")
    (folder / "dull.yaml").write_text(example + "decision: {rule: 1, eps: 0.2}\n")
    config = folder / "driftline.yaml"
    config.write_text("models: [car_loan.yaml]\n")
    built = command(
        "baseline", "build", model, "-r", CAR_LOAN.reference, "-o", folder / "baselines"
    )
    assert built.code == 0, built.err
    common = (CAR_LOAN.analysis, "--config", config, "--rows-per-window", 250)
    dull = ("--proposed", folder / "dull.yaml")
    for more in ((*dull, "--html", pages["proposed"]), ("--budget", 2, "--html", pages["budget"])):
        ended = command("backtest", *common, *more)
        assert ended.code == 0, ended.err
    return pages


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
@pytest.mark.parametrize("name", NAMES)
def test_axe_finds_nothing_and_no_page_is_wider_than_its_window(pages, name, view, tmp_path):
    seen = look(pages[name], view, tmp_path)
    assert seen.violations == []
    assert seen.overflow_px == 0
    assert seen.errors == []


@pytest.mark.parametrize(
    ("html", "rule"),
    [
        ('<p style="color:#bbb;background:#fff">pale</p>', "color-contrast"),
        ('<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">', "image-alt"),
    ],
)
def test_axe_finds_what_is_wrong(tmp_path, html, rule):
    page = tmp_path / "page.html"
    page.write_text(
        f'<!doctype html><html lang="en"><title>t</title><main><h1>t</h1>{html}</main></html>'
    )
    seen = look(page, VIEWS[0], tmp_path / "browser")
    assert [text.split()[0] for text in seen.violations] == [rule]


def test_a_page_that_is_too_wide_is_noticed(tmp_path):
    page = tmp_path / "page.html"
    page.write_text(
        '<!doctype html><meta name="viewport" content="width=device-width">'
        '<style>body{margin:0}</style><div style="width:500px">wide</div>'
    )
    narrow = next(view for view in VIEWS if view.width == 390)
    assert look(page, narrow, tmp_path / "browser").overflow_px >= 110
