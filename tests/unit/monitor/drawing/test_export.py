"""Figures as files: complete without the machine's fonts, whatever text they hold."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import monitor
from monitor.drawing.export import png, svg_file
from monitor.drawing.palette import DARK, LIGHT, figure_css, resolved
from monitor.drawing.svg import picture, rect, text
from monitor.notify.receivers.picture import change_picture, draw_picture
from tests.support.alerts import pictured

STYLE_SHEETS = sorted(Path(monitor.__file__).parent.glob("**/*.css"))


def test_light_and_dark_have_the_same_colours():
    assert LIGHT.keys() == DARK.keys()


@pytest.mark.parametrize("file", STYLE_SHEETS, ids=lambda file: file.name)
def test_every_colour_of_a_style_sheet_is_in_the_palette(file):
    used = set(re.findall(r"var\(--([\w-]+)\)", file.read_text(encoding="utf-8")))
    assert used
    assert used <= LIGHT.keys()


def test_a_colour_that_the_palette_lacks_is_an_error():
    with pytest.raises(KeyError, match="pink"):
        resolved("text { fill:var(--pink); }", LIGHT)


def test_a_picture_holds_text_without_fonts_of_the_machine():
    def drawn(content: str) -> bytes:
        return png(picture(80, 20, "", [text(4, 14, content)]), 160)

    # Without a font every text is left out, and all pictures are equal.
    assert len({drawn(""), drawn("ja"), drawn("nein"), drawn("да")}) == 4


def test_a_picture_has_the_colours_of_its_classes():
    def drawn(css: str) -> bytes:
        return png(picture(80, 20, "", [rect(0, 0, 9, 9, css=css)]), 160)

    assert len({drawn(css) for css in ("ref fill", "cur fill", "bad fill", "unknown")}) == 4


def test_an_svg_file_is_whole_in_itself():
    root = ElementTree.fromstring(svg_file(picture(80, 20, "a > b", [text(4, 14, "word")])))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.get("aria-label") == "a > b"
    style = root.findtext("{*}style")
    assert style == resolved(figure_css(), LIGHT)
    assert "var(" not in style
    assert root.findtext("{*}text") == "word"


@given(st.text(max_size=30))
@example("\ufffe\uffff")
@example("\ud800 \x00\x1b[31m")
@example("]]></style></svg>")
@example("<image href='file:///etc/passwd'/>")
@settings(max_examples=30, deadline=None)
def test_any_name_can_be_drawn_and_adds_no_mark(name):
    alert = msgspec.structs.replace(pictured(), feature=name, segment=name, bin_labels=(name,) * 60)
    root = ElementTree.fromstring(svg_file(change_picture(alert, name)))
    tags = {element.tag.partition("}")[2] for element in root.iter()}
    assert tags == {"svg", "style", "text", "rect", "line"}
    assert draw_picture(alert, name).startswith(b"\x89PNG")


def test_the_bar_that_grew_most_is_the_red_one_and_has_its_share():
    counts = {"reference_counts": (50, 50, *[0] * 62), "current_counts": (20, 80, *[0] * 62)}
    svg = change_picture(pictured(bin_labels=("a", "b"), **counts), "title")
    marks = list(ElementTree.fromstring(svg))
    columns = [m for m in marks if m.tag == "rect" and m.get("width") != "14.0"]
    assert [m.get("class") for m in columns] == ["ref fill", "cur fill", "ref fill", "bad fill"]
    heights = [float(m.get("height", "nan")) for m in columns]
    assert heights[1] / heights[3] == pytest.approx(20 / 80, rel=0.01)
    [red] = [m for m in marks if m.tag == "text" and "bad" in m.get("class", "")]
    assert red.text == "80 %"


@pytest.mark.parametrize("n_names", [3, 14])
def test_names_lie_under_their_columns_inside_the_picture(n_names):
    names = tuple(f"a category no. {i}" for i in range(n_names))
    counts = {"reference_counts": (1,) * n_names + (0,) * (64 - n_names)}
    alert = pictured(bin_labels=names, current_counts=counts["reference_counts"], **counts)
    svg = ElementTree.fromstring(change_picture(alert, "title"))
    shown = [m for m in svg if m.get("class") == "name"]
    places = [float(m.get("x", "nan")) for m in shown]
    assert places == sorted(places)
    assert 72 < places[0] < places[-1] < 800
    assert all(float(m.get("y", "nan")) < 400 for m in shown)
