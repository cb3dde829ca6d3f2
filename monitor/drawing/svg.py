"""Small pictures as inline SVG: no script, colours from the page, so dark and light both work.

Colours are CSS classes (``ref``, ``cur``, ``data``, ``hardware`` ...) that the page
defines; every mark carries a ``<title>``, which browsers show when pointed at.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from schemas.spelling import spell_html as escape
from schemas.time_text import tick_text

HOUR_US = 3_600_000_000


def text(x: float, y: float, words: str, *, css: str = "", anchor: str = "start") -> str:
    """Write words with their baseline at (x, y).

    Parameters
    ----------
    x, y : float
        In the picture's own units.
    words : str
        Escaped here.
    css : str, optional
        Classes.
    anchor : str, optional
        ``start``, ``middle``, ``end``.

    Returns
    -------
    str
    """
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" class="{css}" text-anchor="{anchor}">{escape(words)}</text>'
    )


def rect(
    x: float, y: float, width: float, height: float, *, css: str, title: str = "", round_: float = 0
) -> str:
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
    str
    """
    inside = f"<title>{escape(title)}</title>" if title else ""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" '
        f'height="{max(height, 0):.1f}" rx="{round_:g}" class="{css}">{inside}</rect>'
    )


def line(x1: float, y1: float, x2: float, y2: float, *, css: str) -> str:
    """Draw a straight line.

    Parameters
    ----------
    css : str
        Classes.

    Returns
    -------
    str
    """
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{css}"/>'


def path(points: Iterable[tuple[float, float]], *, css: str, title: str = "") -> str:
    """Join points by a line; a point that is NaN breaks it.

    Parameters
    ----------
    css : str
        Classes.
    title : str, optional
        Shown when pointed at.

    Returns
    -------
    str

    Examples
    --------
    >>> path([(0, 0), (1, 2), (float("nan"), 0), (3, 1), (4, 1)], css="cur")
    '<path d="M0.0 0.0 L1.0 2.0 M3.0 1.0 L4.0 1.0" class="cur line"></path>'
    """
    steps, pen = [], "M"
    for x, y in points:
        if x != x or y != y:
            pen = "M"
            continue
        steps.append(f"{pen}{x:.1f} {y:.1f}")
        pen = "L"
    inside = f"<title>{escape(title)}</title>" if title else ""
    return f'<path d="{" ".join(steps)}" class="{css} line">{inside}</path>'


def picture(width: float, height: float, label: str, marks: Sequence[str]) -> str:
    """Wrap marks into one picture that scales with its container.

    Parameters
    ----------
    width, height : float
        The picture's own units.
    label : str
        Read aloud by screen readers.

    Returns
    -------
    str
    """
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(label)}">'
        f"{''.join(marks)}</svg>"
    )


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
