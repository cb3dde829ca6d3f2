"""Headless Chromium over its debugging protocol: rendered pages, checked by axe-core."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest

from tests.support.programs import require_program

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--hide-scrollbars", "--remote-debugging-port=0"),
)
START_S = 60.0


class View(NamedTuple):
    """Colour scheme and width under which a page is rendered."""

    name: str
    scheme: str
    """``light`` or ``dark``."""
    width: int


VIEWS = (
    View("light", "light", 1280),
    View("dark", "dark", 1280),
    View("phone", "light", 390),
    View("dark phone", "dark", 390),
)


class PageState(NamedTuple):
    """State of a page in one view."""

    violations: list[str]
    """Rule, impact and element of everything that axe objects to."""
    overflow_px: int
    """How much wider than the window the page is."""
    errors: list[str]
    """What the browser complained of while loading."""


def look(page: Path, view: View, folder: Path, screenshot: Path | None = None) -> PageState:
    """Open a page with all details expanded, and return its state.

    Parameters
    ----------
    page : Path
        HTML file.
    folder : Path
        Empty; the browser's own files.
    screenshot : Path, optional
        Where to write the whole page as PNG.

    Returns
    -------
    PageState
    """
    return asyncio.run(_look(page, view, folder, screenshot))


async def _look(page: Path, view: View, folder: Path, screenshot: Path | None) -> PageState:
    browser = await asyncio.create_subprocess_exec(
        require_program("chromium"), *FLAGS, f"--user-data-dir={folder}", "about:blank",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL, env={**os.environ, "HOME": str(folder)},
    )  # fmt: skip
    try:
        port = await asyncio.wait_for(_port(folder / "DevToolsActivePort", browser), START_S)
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{port}/json/list") as answer,
        ):
            (target, *_) = [t for t in await answer.json() if t["type"] == "page"]
            address = target["webSocketDebuggerUrl"]
            async with session.ws_connect(address, max_msg_size=0) as socket:
                return await _judge(_Tab(socket), page, view, screenshot)
    finally:
        if browser.returncode is None:
            browser.kill()
        await browser.wait()


async def _port(file: Path, browser: asyncio.subprocess.Process) -> str:
    """Return the port that the browser wrote into its folder."""
    while not (file.exists() and file.read_text()):
        assert browser.returncode is None, "the browser has ended"
        await asyncio.sleep(0.05)
    return file.read_text().split()[0]


class _Tab:
    """One page of the browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._ids = socket, itertools.count(1)
        self.events: list[dict[str, Any]] = []

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol."""
        number = next(self._ids)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while (message := await self._next()).get("id") != number:
            self.events.append(message)
        assert "error" not in message, message
        return dict(message["result"])

    async def event(self, method: str) -> None:
        """Wait for an event."""
        while all(event.get("method") != method for event in self.events):
            self.events.append(await self._next())

    async def evaluate(self, expression: str) -> Any:
        """Return the value of an expression, or of its promise."""
        answer = await self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def _next(self) -> dict[str, Any]:
        return dict(await self._socket.receive_json(timeout=START_S))


async def _judge(tab: _Tab, page: Path, view: View, screenshot: Path | None) -> PageState:
    for domain in ("Page", "Log", "Runtime"):
        await tab.call(f"{domain}.enable")
    await tab.call(
        "Emulation.setDeviceMetricsOverride",
        width=view.width, height=900, deviceScaleFactor=1, mobile=view.width < 600,
    )  # fmt: skip
    scheme = {"name": "prefers-color-scheme", "value": view.scheme}
    await tab.call("Emulation.setEmulatedMedia", features=[scheme])
    await tab.call("Page.navigate", url=page.resolve().as_uri())
    await tab.event("Page.loadEventFired")
    await tab.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    overflow_px = await tab.evaluate("document.documentElement.scrollWidth") - view.width
    await tab.evaluate(axe_source())

    found = json.loads(
        await tab.evaluate("axe.run(document).then(r => JSON.stringify(r.violations))")
    )
    if screenshot is not None:
        await _photograph(tab, screenshot)
    return PageState(
        [
            f"{rule['id']} ({rule['impact']}): {node['html'][:120]} {node['failureSummary']}"
            for rule in found
            for node in rule["nodes"]
        ],
        int(overflow_px),
        [
            json.dumps(event["params"])
            for event in tab.events
            if event.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown")
        ],
    )


async def _photograph(tab: _Tab, file: Path) -> None:
    """Save a screenshot of the whole page."""
    taken = await tab.call("Page.captureScreenshot", captureBeyondViewport=True)
    file.write_bytes(base64.b64decode(taken["data"]))


def axe_source() -> str:
    """Return axe-core's script, which a Python package brings along."""
    try:
        package = metadata.distribution("axe-playwright-python")
    except metadata.PackageNotFoundError:
        pytest.skip("needs axe-core: pip install --no-deps axe-playwright-python")
    return Path(str(package.locate_file("axe_playwright_python/axe.min.js"))).read_text("utf-8")
