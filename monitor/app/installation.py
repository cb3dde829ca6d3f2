"""Reads config files: ``driftline.yaml`` and its model files."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from monitor.core.notification.routing import unknown_receivers
from monitor.notify.config_types import model_type, monitor_type
from schemas.config.messages import suggest
from schemas.config.model import ModelConfig, WindowConfig
from schemas.config.monitor import MonitorConfig
from schemas.config.parse import parse_model, parse_monitor, problem_line
from schemas.config.yaml import read_yaml
from schemas.errors import ConfigError

MAX_CONFIG_BYTES = 4 << 20
DEFAULT_FILE = "driftline.yaml"


@dataclass(frozen=True, slots=True)
class Installation:
    """A validated ``driftline.yaml`` with all of its models; paths are resolved."""

    file: Path
    monitor: MonitorConfig
    models: tuple[ModelConfig, ...]
    model_files: tuple[Path, ...]
    """Files of the models, in the same order."""
    store: str
    """Absolute path of a folder, or URL."""
    baselines: Path

    def model(self, name: str) -> ModelConfig:
        """Return the config of one model.

        Raises
        ------
        ConfigError
            If no file of this installation defines it.
        """
        for model in self.models:
            if model.model == name:
                return model
        known = [model.model for model in self.models]
        raise ConfigError(
            f'no model is called "{name}"', where=str(self.file), fix=suggest(name, known)
        )


def load_model(path: str | os.PathLike[str]) -> ModelConfig:
    """Read and validate one model file.

    Parameters
    ----------
    path : path-like
        ``models/<model>.yaml``.

    Returns
    -------
    ModelConfig

    Raises
    ------
    ConfigError
        With every problem by file, line and field.
    """
    return parse_model(_text(Path(path)), str(path), config=model_type())


def read_config(path: str | os.PathLike[str]) -> str:
    """Return the text of a config file, after checking its size and encoding.

    Raises
    ------
    ConfigError
        If it cannot be read, is larger than 4 MiB, or not UTF-8.
    """
    return _text(Path(path))


def load_installation(path: str | os.PathLike[str] = DEFAULT_FILE) -> Installation:
    """Read ``driftline.yaml`` and its models, and check their consistency.

    Parameters
    ----------
    path : path-like
        Relative paths in the file are relative to its folder.

    Returns
    -------
    Installation

    Raises
    ------
    ConfigError
        With the problems of all files.
    """
    file = Path(path)
    text = _text(file)
    monitor = parse_monitor(text, str(file), monitor_type())
    problems: list[str] = []
    files = _model_files(file, text, monitor, problems)
    models = [_load_into(model_file, problems) for model_file in files]
    found = [(f, m) for f, m in zip(files, models, strict=True) if m is not None]
    for i, (model_file, model) in enumerate(found):
        problems += _duplicate(model_file, model, found[:i])
        problems += _unknown_receivers(model_file, model, monitor)
    if problems:
        raise ConfigError("\n".join(problems), problems=tuple(problems))
    folder = file.resolve().parent
    return Installation(
        file=file,
        monitor=monitor,
        models=tuple(m for _, m in found),
        model_files=tuple(f for f, _ in found),
        store=monitor.store if "://" in monitor.store else str(folder / monitor.store),
        baselines=folder / monitor.baselines,
    )


def shared_window(configs: Sequence[ModelConfig]) -> WindowConfig:
    """Return the event-time settings of one source, which must be equal in all its models.

    Raises
    ------
    ConfigError
        Naming two models with different settings.
    """
    if not configs:
        raise ConfigError("no model is configured", fix="add one under `models`")
    first = configs[0]
    for other in configs[1:]:
        for name in ("pane", "bound", "lateness", "max_skew"):
            if getattr(other.window, f"{name}_us") != getattr(first.window, f"{name}_us"):
                raise ConfigError(
                    f"window.{name} of {other.model!r} differs from that of {first.model!r}",
                    fix="models read from one source share pane, bound, lateness and max_skew",
                )
    return first.window


def _text(path: Path) -> str:
    """Read a config file; raise an error with the reason if it cannot be read."""
    try:
        with path.open("rb") as handle:
            content = handle.read(MAX_CONFIG_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError("no such file", where=str(path), fix=_nearby(path)) from None
    except IsADirectoryError:
        raise ConfigError("is a folder", where=str(path), fix="name a .yaml file in it") from None
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(path)) from None
    if len(content) > MAX_CONFIG_BYTES:
        raise ConfigError(
            "is larger than 4 MiB", where=str(path), fix="a config file is YAML, not data"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError(
            "is not UTF-8 text", where=f"{path}:{line}", fix="save the file as UTF-8"
        ) from None


def _nearby(path: Path) -> str:
    """Return a hint with the YAML files of a folder."""
    folder = path.parent
    if not folder.is_dir():
        return f"the folder {folder} does not exist"
    names = sorted(p.name for p in folder.glob("*.yaml"))
    if not names:
        return f"no .yaml file is in {folder.resolve()}; name one, or copy deploy/examples"
    return suggest(path.name, names).replace("known here", "there are")


def _model_files(file: Path, text: str, monitor: MonitorConfig, problems: list[str]) -> list[Path]:
    """Resolve the globs under ``models``; a pattern without match is a problem."""
    found: dict[Path, None] = {}
    lines = read_yaml(text, str(file))
    for i, pattern in enumerate(monitor.models):
        matches = sorted(glob.glob(pattern, root_dir=file.parent, recursive=True))  # noqa: PTH207
        # Path.glob rejects absolute patterns, which a config may contain.
        if not matches:
            place = ("models", i)
            fix = f"paths are relative to {file.resolve().parent}"
            what = f'no file matches "{pattern}"'
            problems.append(problem_line(str(file), lines.line(place), place, what, fix))
        found.update({file.parent / match: None for match in matches})
    return list(found)


def _load_into(path: Path, problems: list[str]) -> ModelConfig | None:
    """Load one model; collect its problems."""
    try:
        return load_model(path)
    except ConfigError as error:
        problems += error.problems
        return None


def _duplicate(
    file: Path, model: ModelConfig, earlier: list[tuple[Path, ModelConfig]]
) -> list[str]:
    """Return the problem of a model that another file already defines."""
    same = [f for f, m in earlier if (m.tenant, m.model) == (model.tenant, model.model)]
    if not same:
        return []
    what = f'"{model.model}" is already described in {same[0]}'
    line = read_yaml(_text(file), str(file)).line(("model",))
    return [problem_line(str(file), line, ("model",), what, "rename one of them")]


def _unknown_receivers(file: Path, model: ModelConfig, monitor: MonitorConfig) -> list[str]:
    """Return a problem for each receiver of a route that is not configured."""
    known = list(monitor.receivers)
    missing = unknown_receivers(model.routes, known)
    if not missing:
        return []
    document = read_yaml(_text(file), str(file))
    what = 'no receiver is called "{}"'
    return [
        problem_line(str(file), document.line(at), at, what.format(name), suggest(name, known))
        for at, name in missing
    ]
