"""SVG marks of every figure: inline on pages, as files by ``monitor.drawing.export``.

Colours are CSS classes (``ref``, ``cur``, ``data``, ``hardware`` ...) that ``figure.css``
defines, so light and dark both work; marks may carry a ``<title>``, which browsers show when
pointed at. Text is escaped when it is formatted into a ``Markup``; only marks made here are
inserted as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup

from schemas.spelling import spell_lines
from schemas.time_text import tick_text
from schemas.time_units import HOUR_US

_TEXT = Markup('<text x="{:.1f}" y="{:.1f}" class="{}" text-anchor="{}"{}>{}</text>')
_ROTATION = Markup(' transform="rotate({:g} {:.1f} {:.1f})"')
_TITLE = Markup("<title>{}</title>")
_RECT = Markup(
    '<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="{:g}" class="{}">{}</rect>'
)
_LINE = Markup('<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" class="{}"/>')
_PATH = Markup('<path d="{}" class="{} line">{}</path>')
_PICTURE = Markup('<svg viewBox="0 0 {:g} {:g}" role="img" aria-label="{}">{}</svg>')


def text(
    x: float, y: float, content: str, *, css: str = "", anchor: str = "start", degrees: float = 0
) -> Markup:
    """Write text with its baseline at (x, y).

    Parameters
    ----------
    x, y : float
        In the picture's own units.
    css : str, optional
        Classes.
    anchor : str, optional
        ``start``, ``middle``, ``end``.
    degrees : float, optional
        Clockwise rotation about (x, y).

    Returns
    -------
    Markup
    """
    rotation = _ROTATION.format(degrees, x, y) if degrees else ""
    return _TEXT.format(x, y, css, anchor, rotation, spell_lines(content))


def rect(
    x: float, y: float, width: float, height: float, *, css: str, title: str = "", round_: float = 0
) -> Markup:
    """Draw a rectangle.

    Parameters
    ----------
    x, y, width, height : float
        A negative size is drawn as 0.
    css : str
        Classes.
    title : str, optional
        Shown when pointed at.
    round_ : float, optional
        Radius of the corners.

    Returns
    -------
    Markup
    """
    return _RECT.format(x, y, max(width, 0), max(height, 0), round_, css, _title(title))


def line(x1: float, y1: float, x2: float, y2: float, *, css: str) -> Markup:
    """Draw a straight line.

    Parameters
    ----------
    css : str
        Classes.

    Returns
    -------
    Markup
    """
    return _LINE.format(x1, y1, x2, y2, css)


def path(points: Iterable[tuple[float, float]], *, css: str, title: str = "") -> Markup:
    """Join points by a line; a point that is NaN breaks it.

    Parameters
    ----------
    css : str
        Classes.
    title : str, optional
        Shown when pointed at.

    Returns
    -------
    Markup

    Examples
    --------
    >>> print(path([(0, 0), (1, 2), (float("nan"), 0), (3, 1), (4, 1)], css="cur"))
    <path d="M0.0 0.0 L1.0 2.0 M3.0 1.0 L4.0 1.0" class="cur line"></path>
    """
    steps, pen = [], "M"
    for x, y in points:
        if x != x or y != y:
            pen = "M"
            continue
        steps.append(f"{pen}{x:.1f} {y:.1f}")
        pen = "L"
    return _PATH.format(" ".join(steps), css, _title(title))


def _title(content: str) -> Markup:
    """Write what is shown when a mark is pointed at."""
    return _TITLE.format(spell_lines(content)) if content else Markup("")


def picture(width: float, height: float, label: str, marks: Sequence[Markup]) -> Markup:
    """Wrap marks into one picture that scales with its container.

    Parameters
    ----------
    width, height : float
        The picture's own units.
    label : str
        Read aloud by screen readers.

    Returns
    -------
    Markup
    """
    return _PICTURE.format(width, height, spell_lines(label), Markup("").join(marks))


def time_ticks(start_us: int, end_us: int) -> list[tuple[int, str]]:
    """Choose at most about eight round times between two, and write them.

    Returns
    -------
    list of (int, str)
        Time and label; midnight shows the day.

    Examples
    --------
    >>> [label for _, label in time_ticks(0, 24 * HOUR_US)]
    ['01 Jan', '03:00', '06:00', '09:00', '12:00', '15:00', '18:00', '21:00', '02 Jan']
    """
    span = max(end_us - start_us, 1)
    steps = [h * HOUR_US for h in (1, 3, 6, 12, 24, 48, 168, 720, 2160)]
    step = next((s for s in steps if span / s <= 8), steps[-1])
    times_us = range(-(-start_us // step) * step, end_us + 1, step)
    return [(time_us, tick_text(time_us)) for time_us in times_us]
