"""Settings whose ``kind`` selects their config model: receivers, retraining targets.

The model of a kind is defined next to the code that it configures, in a higher layer. The registry
of that layer lists the models, and :func:`union_of` combines them into one type.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from itertools import chain
from operator import or_
from typing import Annotated, Any, ClassVar, TypeVar, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    create_model,
)
from pydantic_core import ErrorDetails

from schemas.config.messages import shown, suggest_value, words_for
from schemas.config.values import NAMES_A_VARIABLE, Misfit, Problem
from schemas.errors import ConfigError

C = TypeVar("C", bound=BaseModel)
K = TypeVar("K", bound="KindConfig")


class KindConfig(BaseModel):
    """Settings whose model is selected by ``kind``; the model of each kind is a subclass.

    Used directly it keeps unknown settings without validation. Files are read with the types that a
    registry builds, which have all kinds and reject unknown keys.
    """

    model_config = ConfigDict(
        extra="allow", frozen=True, allow_inf_nan=False, serialize_by_alias=True
    )

    noun: ClassVar[str] = ""
    """What the settings configure, for messages, such as "receiver"."""
    kind: str

    @property
    def environment_names(self) -> tuple[str, ...]:
        """Environment variables in the settings, in order."""
        fields = type(self).model_fields.items()
        values = [getattr(self, name) for name, field in fields if _names_variable(field)]
        lists = [[value] if isinstance(value, str) else value or () for value in values]
        return tuple(chain.from_iterable(lists))


def kind_of(config: type[KindConfig]) -> str:
    """Return the kind of a config model.

    Examples
    --------
    >>> from typing import Literal
    >>> kind_of(create_model("Pager", __base__=KindConfig, kind=(Literal["pager"], ...)))
    'pager'
    """
    (kind,) = get_args(config.model_fields["kind"].annotation)
    return str(kind)


def union_of(configs: Sequence[type[KindConfig]], default: str | None = None) -> Any:
    """Return the discriminated union of the models, as the type of a field.

    Parameters
    ----------
    configs : sequence of type
        One model per kind, each with ``kind: Literal[...]``.
    default : str, optional
        Default of ``kind``; without it ``kind`` is required.

    Returns
    -------
    Any
        An annotation for pydantic. Problems have the same form as others in config files, with
        paths that do not contain the kind.
    """
    by_kind = {kind_of(config): config for config in configs}

    def check(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
        """Validate by kind, and convert problems to messages."""
        try:
            return validate(value)
        except ValidationError as error:
            raise Misfit(list(_problems(error, by_kind))) from None

    def with_default(value: Any) -> Any:
        """Add the default kind to settings without one."""
        return {"kind": default} | value if default and isinstance(value, dict) else value

    return Annotated[
        Annotated[reduce(or_, configs), Field(discriminator="kind")],
        BeforeValidator(with_default),
        WrapValidator(check),
    ]


def checked(config: KindConfig, configs: Sequence[type[K]], where: str) -> K:
    """Return settings as an instance of the model of their kind.

    Parameters
    ----------
    config : KindConfig
        Instance of one of the models, or unvalidated settings, which are then validated.
    configs : sequence of type
        One model per kind.
    where : str
        Name of the settings, for errors.

    Raises
    ------
    ConfigError
        If there is no model of this kind, or the settings are invalid.
    """
    for known in configs:
        if isinstance(config, known):
            return config
    written = config.model_dump() | {"kind": config.kind}
    try:
        found: K = TypeAdapter(union_of(configs)).validate_python(written)
    except ValidationError as error:
        first = words_for(dict(error.errors()[0]), KindConfig)[0]
        place = ".".join([where, *map(str, first.loc)])
        raise ConfigError(first.what, where=place, fix=first.fix) from None
    return found


def with_fields(config: type[C], **fields: Any) -> type[C]:
    """Return a config model in which the types of some fields are replaced.

    Returns
    -------
    type
        A subclass with the same name and validators as ``config``.
    """
    return create_model(
        config.__name__,
        __base__=config,
        __doc__=config.__doc__,
        __module__=config.__module__,
        **fields,
    )


def _problems(error: ValidationError, by_kind: dict[str, type[KindConfig]]) -> Iterator[Problem]:
    """Return the problems by the model of their kind; the union prefixes paths with the kind."""
    for entry in error.errors(include_url=False):
        found = dict(entry)
        if entry["type"] == "union_tag_not_found":
            yield Problem(("kind",), "is missing", f"add it: {' or '.join(by_kind)}")
        elif entry["type"] == "union_tag_invalid":
            yield _unknown_kind(entry, list(by_kind))
        elif not entry["loc"]:
            yield from words_for(found, BaseModel)
        else:
            kind, *rest = entry["loc"]
            config = by_kind[str(kind)]
            for problem in words_for(found | {"loc": tuple(rest)}, config):
                yield _explained(problem, config, str(kind))


def _unknown_kind(entry: ErrorDetails, known: list[str]) -> Problem:
    """Return the problem of an unknown kind, with the nearest known one."""
    value = entry["input"]
    kind = value["kind"] if isinstance(value, dict) else value.kind
    if kind is None:
        return Problem(("kind",), "is empty", "give it a value, or remove the line")
    return Problem(("kind",), f"{shown(kind)} is not allowed", suggest_value(str(kind), known))


def _explained(problem: Problem, config: type[KindConfig], kind: str) -> Problem:
    """Return a problem; for a missing setting that this kind requires, the hint names the kind."""
    if config.noun and problem.what == "is missing":
        return problem._replace(fix=f"a {kind} {config.noun} needs it")
    return problem


def _names_variable(annotation: Any) -> bool:
    """Return whether a field, or a part of its type, is an environment variable's name."""
    parts = [*getattr(annotation, "metadata", ()), *get_args(annotation)]
    parts.append(getattr(annotation, "annotation", None))
    return any(part is NAMES_A_VARIABLE or _names_variable(part) for part in parts if part)
