"""Jinja2 templates: plain text is escaped everywhere, only markup made here passes as it is."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from monitor.core.incidents.evidence_text import rarity_text
from monitor.drawing.palette import DARK, LIGHT, declarations, figure_css
from schemas.spelling import spell_lines
from schemas.time_text import short_text

if TYPE_CHECKING:
    from jinja2 import Environment

OWN_PACKAGE = "monitor.report"


def render(template: str, *, package: str = OWN_PACKAGE, **values: Any) -> Markup:
    """Render a template of a package's ``templates`` folder.

    Parameters
    ----------
    template : str
        Name of the file.
    package : str, optional
        Package that holds it. Its templates may extend and import those of this package.
    **values
        Names the template uses. A ``str`` is shown as text: markup in it is escaped,
        invisible characters are written as escapes, and template syntax in it has no meaning. A
        ``Markup`` (a figure, another rendered template) is inserted as it is.

    Returns
    -------
    Markup
        HTML.

    Raises
    ------
    jinja2.UndefinedError
        If the template uses a name that was not passed.

    Examples
    --------
    >>> print(render("evidently.html", file="", problem="<b> {{ 7 * 7 }}").rstrip())
    <p>Not written: evidently &lt;b&gt; {{ 7 * 7 }}</p>
    """
    return Markup(_environment(package).get_template(template).render(values).lstrip())


@cache
def _environment(package: str) -> Environment:
    """Build the environment of one package; Jinja2 is imported by commands that write pages."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    packages = dict.fromkeys([package, OWN_PACKAGE])
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(name) for name in packages]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_spelt,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"clock": short_text, "rarity": rarity_text}
    environment.globals |= {
        "light": Markup(declarations(LIGHT)),
        "dark": Markup(declarations(DARK)),
        "figure_css": Markup(figure_css()),
    }
    return environment


def _spelt(value: Any) -> Any:
    """Write invisible characters of plain text as escapes; Jinja2 escapes the result."""
    is_plain = isinstance(value, str) and not hasattr(value, "__html__")
    return spell_lines(value) if is_plain else value
