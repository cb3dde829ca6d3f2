"""Figures as files of their own: SVG, and PNG for receivers that show no SVG."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from monitor.drawing.palette import LIGHT, figure_css, resolved

_FAMILY = "DejaVu Sans"
_FONTS = [
    str(Path(__file__).parent / "fonts" / name)
    for name in ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf")
]
_NAMESPACE = 'xmlns="http://www.w3.org/2000/svg"'
_NOT_XML = str.maketrans("\ufffe\uffff", "\ufffd\ufffd")
"""HTML may hold these two; an XML parser refuses the document."""


def svg_file(figure: Markup, css: str = "") -> str:
    """Return a figure as an SVG document with the style sheet in it, in light colours.

    Parameters
    ----------
    figure : Markup
        An element of ``monitor.drawing.svg.picture``.
    css : str, optional
        Rules after those of ``figure.css``; ``var(--name)`` names a colour of the palette.

    Returns
    -------
    str
        XML.

    Examples
    --------
    >>> from monitor.drawing.svg import picture
    >>> svg_file(picture(80, 20, "empty", []))[:52]
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0'
    """
    # Text in attributes is escaped, so the first ">" ends the opening tag.
    opening, _, inside = str(figure).translate(_NOT_XML).partition(">")
    style = resolved(figure_css() + css, LIGHT)
    return f"{opening.replace('<svg', f'<svg {_NAMESPACE}', 1)}><style>{style}</style>{inside}"


def png(figure: Markup, width_px: int, css: str = "") -> bytes:
    """Render a figure in light colours, on the colour of a card.

    Parameters
    ----------
    figure : Markup
        An element of ``monitor.drawing.svg.picture``.
    width_px : int
        The height follows from the figure's proportions.
    css : str, optional
        Rules after those of ``figure.css``.

    Returns
    -------
    bytes
        PNG.

    Notes
    -----
    The fonts are part of the package, and those of the machine are not used: images of
    containers have none, and without a font text is left out. So the picture is the same
    everywhere. Characters that DejaVu Sans lacks (Chinese, Japanese, Korean, emoji) are boxes.
    The renderer is imported here, so that only stages that draw load it.

    Examples
    --------
    >>> from monitor.drawing.svg import picture, text
    >>> png(picture(80, 20, "one word", [text(4, 14, "word")]), 160)[:4]
    b'\\x89PNG'
    """
    from resvg_py import svg_to_bytes

    return svg_to_bytes(
        svg_string=svg_file(figure, css),
        width=width_px,
        background=LIGHT["card"],
        skip_system_fonts=True,
        font_files=_FONTS,
        font_family=_FAMILY,
        sans_serif_family=_FAMILY,
    )
