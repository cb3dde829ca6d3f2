"""The decorator that reports the calls of a function."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

Extract = Callable[..., Any]


def watched(
    predict: Callable[..., str],
    refuse: Callable[[BaseException], None],
    function: Callable[..., Any],
    *,
    features: Extract | None,
    score: Extract | None,
    prediction: Extract | None,
    id: Extract | None,
    segments: Extract | None,
) -> Callable[..., Any]:
    """Wrap a function so that its calls are reported.

    Parameters
    ----------
    predict : callable
        Reports one prediction.
    refuse : callable
        Called with an exception of an extractor, which is not raised to the function's caller.
    function : callable
        Plain or async.
    features, score, prediction, id, segments : callable or None
        As in :meth:`driftline.Reporter.watch`.

    Returns
    -------
    callable
        With the signature, result and exceptions of ``function``.
    """

    def report(result: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        try:
            seen = features(*args, **kwargs) if features else _seen(args, kwargs)
            predict(
                seen,
                score=score(result) if score else _score(result),
                prediction=prediction(result) if prediction else None,
                id=id(*args, **kwargs) if id else None,
                segments=segments(*args, **kwargs) if segments else None,
            )
        except Exception as error:
            refuse(error)

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def call_later(*args: Any, **kwargs: Any) -> Any:
            result = await function(*args, **kwargs)
            report(result, args, kwargs)
            return result

        return call_later

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        report(result, args, kwargs)
        return result

    return call


def _seen(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return the default features: the first argument, or the keyword arguments."""
    if not args:
        return kwargs
    return args[0]


def _score(result: Any) -> Any:
    """Return the result as the score, or None if it is text or a container."""
    if isinstance(result, str | bytes | dict | list | tuple | bool):
        return None
    return result
