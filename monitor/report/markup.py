"""Pieces of HTML that several pages share."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.spelling import spell_html as escape


def scroll_region(label: str, inside: str, *, css: str = "") -> str:
    """Wrap what may be wider than a narrow screen; the keyboard reaches and scrolls it.

    Parameters
    ----------
    label : str
        Plain text, read aloud by screen readers; different for each region of a page.
    inside : str
        HTML.
    css : str, optional
        More classes.

    Returns
    -------
    str
        HTML.

    Examples
    --------
    >>> scroll_region("Evidence", "<svg></svg>", css="card")
    '<div class="scroll card" tabindex="0" role="region" aria-label="Evidence"><svg></svg></div>'
    """
    classes = f"scroll {css}".rstrip()
    return (
        f'<div class="{classes}" tabindex="0" role="region" aria-label="{escape(label)}">'
        f"{inside}</div>"
    )


def cards_table(names: Sequence[str], rows: Sequence[Sequence[str]], *, css: str = "") -> str:
    """Write a table whose rows become cards on a narrow screen.

    Parameters
    ----------
    names : sequence of str
        Plain text of the columns' headings; each cell names its column there, too.
    rows : sequence of sequence of str
        HTML of the cells.
    css : str, optional
        More classes.

    Returns
    -------
    str
        HTML.

    Examples
    --------
    >>> cards_table(["", "n"], [["a", "1"]]).count("<th ")
    1
    """
    # A heading without text is none.
    head = "".join(
        f'<th scope="col">{escape(name)}</th>' if name else "<td></td>" for name in names
    )
    body = "".join(f"<tr>{_cells(names, row)}</tr>" for row in rows)
    classes = f"cards {css}".rstrip()
    return f'<table class="{classes}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _cells(names: Sequence[str], row: Sequence[str]) -> str:
    return "".join(
        f'<td data-name="{escape(name)}"><div>{cell}</div></td>'
        for name, cell in zip(names, row, strict=True)
    )
