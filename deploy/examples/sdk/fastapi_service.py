"""A FastAPI service that reports its predictions and the labels it receives.

    uvicorn fastapi_service:app
    gunicorn --preload -k uvicorn.workers.UvicornWorker fastapi_service:app

Preloading forks the loaded service: each worker gets a reporter of its own by itself.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from driftline import Reporter


def score_of(features: dict[str, float]) -> float:
    """Return a score, in place of a model."""
    return 1 / (1 + 2.718281828 ** -(features.get("age", 0.0) / 40 - 1))


def create_app(reporter: Reporter) -> FastAPI:
    """Return the service; the caller's reporter decides where events are sent."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        reporter.close(timeout=5)

    app = FastAPI(lifespan=lifespan)

    @app.post("/predict")
    async def predict(features: dict[str, float], region: str = "") -> dict[str, float | str]:
        score = score_of(features)
        id_ = reporter.predict(features, score=score, segments={"region": region or None})
        return {"id": id_, "score": score}

    @app.post("/outcome/{id}")
    async def outcome(id: str, label: float) -> None:
        reporter.label(id, label)

    @app.get("/reported")
    async def reported() -> dict[str, int]:
        counters = reporter.counters
        return {"sent": counters.n_sent, "dropped": counters.n_dropped}

    return app


app = create_app(Reporter(os.environ.get("DRIFTLINE_KAFKA", "127.0.0.1:9092"), model="loans"))
