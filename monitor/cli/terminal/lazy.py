"""Command group that imports a command only when it is run.

``driftline --help`` must take less than half a second, and importing the libraries of one command
(Numba, ClickHouse, Arrow) takes longer.
"""

from __future__ import annotations

import gc
import importlib
import sys
from types import ModuleType
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command


class Entry(NamedTuple):
    """Import path of a command, and its line in ``--help``."""

    target: str
    """``module:name``, a function with typer parameters or a ``typer.Typer``."""
    summary: str


def load_command(name: str, entry: Entry) -> Any:
    """Import a command's module and build the command.

    Parameters
    ----------
    name : str
        Name of the command.
    entry : Entry
        Import path of the command.

    Returns
    -------
    Command or group of the command-line library.
    """
    module, _, attribute = entry.target.partition(":")
    found = getattr(_imported(module), attribute)
    if not isinstance(found, typer.Typer):
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        app.command(name=name)(found)
        found = app
    command = get_command(found)
    command.name = name
    return command


def _imported(name: str) -> ModuleType:
    """Import a module without garbage collection, and leave what was imported out of later ones.

    Modules and classes stay until the process ends. Visiting them again and again took 6 % of the
    CPU of a short replay.
    """
    if name in sys.modules or not gc.isenabled():
        return importlib.import_module(name)
    gc.disable()
    try:
        module = importlib.import_module(name)
    finally:
        gc.enable()
    gc.freeze()
    return module


class LazyGroup(TyperGroup):
    """Lists commands from a table and imports the one that is run."""

    entries: dict[str, Entry]

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, entry in self.entries.items():
            # Placeholder for listings; replaced by the real command when it is run.
            self.commands[name] = TyperCommand(name, help=entry.summary, callback=None)

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the commands in the order of the table, which is the order of first use."""
        return list(self.entries)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Import the requested command, then resolve it."""
        if args and args[0] in self.entries:
            self.commands[args[0]] = load_command(args[0], self.entries[args[0]])
        return super().resolve_command(ctx, args)
