"""Settings whose ``kind`` chooses their config model: receivers, retraining targets.

The model of a kind is defined beside the code that it configures, in a layer above this one.
The registry of that layer lists the models, and :func:`union_of` makes one type of them.
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
    """Settings that ``kind`` chooses a model for; the model of each kind is a subclass.

    Used directly it keeps settings it does not know, unchecked. Files are read with the
    types that a registry composes, which know every kind and refuse every other key.
    """

    model_config = ConfigDict(
        extra="allow", frozen=True, allow_inf_nan=False, serialize_by_alias=True
    )

    noun: ClassVar[str] = ""
    """What the settings configure, for messages: a receiver."""
    kind: str

    @property
    def environment_names(self) -> tuple[str, ...]:
        """Environment variables that the settings name, in the order of the settings."""
        fields = type(self).model_fields.items()
        values = [getattr(self, name) for name, field in fields if _names_variable(field)]
        lists = [[value] if isinstance(value, str) else value or () for value in values]
        return tuple(chain.from_iterable(lists))


def kind_of(config: type[KindConfig]) -> str:
    """Return the kind that a config model is for.

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
        The kind of settings that do not name one; without it ``kind`` is required.

    Returns
    -------
    Any
        An annotation for pydantic. Problems are worded as everywhere in config files, with
        paths that do not name the kind.
    """
    by_kind = {kind_of(config): config for config in configs}

    def check(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
        """Validate by kind, and put problems into words."""
        try:
            return validate(value)
        except ValidationError as error:
            raise Misfit(list(_problems(error, by_kind))) from None

    def with_default(value: Any) -> Any:
        """Fill in the kind of settings that name none."""
        return {"kind": default} | value if default and isinstance(value, dict) else value

    return Annotated[
        Annotated[reduce(or_, configs), Field(discriminator="kind")],
        BeforeValidator(with_default),
        WrapValidator(check),
    ]


def checked(config: KindConfig, configs: Sequence[type[K]], where: str) -> K:
    """Return settings as the model of their kind.

    Parameters
    ----------
    config : KindConfig
        Of one of the models, or unchecked: then it is validated now.
    configs : sequence of type
        One model per kind.
    where : str
        The settings, for errors.

    Raises
    ------
    ConfigError
        If no model is for this kind, or it refuses the settings.
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
    """Return a config model with other types in the place of some of its fields.

    Returns
    -------
    type
        A subclass of the same name, with the checks of ``config``.
    """
    return create_model(
        config.__name__,
        __base__=config,
        __doc__=config.__doc__,
        __module__=config.__module__,
        **fields,
    )


def _problems(error: ValidationError, by_kind: dict[str, type[KindConfig]]) -> Iterator[Problem]:
    """Word each problem by the model of its kind; the union puts the kind before the path."""
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
    """Name the kind nearest to one that does not exist."""
    value = entry["input"]
    kind = value["kind"] if isinstance(value, dict) else value.kind
    if kind is None:
        return Problem(("kind",), "is empty", "give it a value, or remove the line")
    return Problem(("kind",), f"{shown(kind)} is not allowed", suggest_value(str(kind), known))


def _explained(problem: Problem, config: type[KindConfig], kind: str) -> Problem:
    """Return a problem; a missing setting that this kind requires is fixed by naming the kind."""
    if config.noun and problem.what == "is missing":
        return problem._replace(fix=f"a {kind} {config.noun} needs it")
    return problem


def _names_variable(annotation: Any) -> bool:
    """Return whether a field, or a part of its type, is the name of a variable."""
    parts = [*getattr(annotation, "metadata", ()), *get_args(annotation)]
    parts.append(getattr(annotation, "annotation", None))
    return any(part is NAMES_A_VARIABLE or _names_variable(part) for part in parts if part)
