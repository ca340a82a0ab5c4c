"""A headless chromium for tests and screenshots, spoken to over a pipe in the Chrome DevTools protocol."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
MISSING = "no chromium here: apt-get install chromium"
OPTIONS = (
    "--headless=new",
    "--no-sandbox",  # containers run as root, and have no user namespaces
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
SECONDS = 120.0


class Browser:
    """A running browser. Commands go out and answers come in on a pipe; events are kept for the page they are of."""

    def __init__(self, process: subprocess.Popen[bytes], out: int, into: int) -> None:
        self._process, self._out, self._into = process, out, into
        self._buffer = b""
        self._count = 0
        self.events: list[dict[str, Any]] = []

    def send(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """The result of a command. Raises RuntimeError with what the browser says is wrong, or TimeoutError."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": params} | ({"sessionId": session} if session else {})
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._out, data) :]
        while (found := self._read()).get("id") != self._count:
            self.events.append(found)
        if "error" in found:
            raise RuntimeError(f"{method}: {found['error']}")
        return dict(found["result"])

    def _read(self) -> dict[str, Any]:
        stop = time.monotonic() + SECONDS
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._into], [], [], max(0.0, stop - time.monotonic()))
            if not ready:
                raise TimeoutError(f"the browser said nothing for {SECONDS:g} s")
            more = os.read(self._into, 1 << 20)
            if not more:
                raise RuntimeError("the browser ended")
            self._buffer += more
        line, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(line))

    def open(self, address: str, width: int = 1200, height: int = 900, dark: bool = False) -> Page:
        """A loaded page of this width and height in pixels."""
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        page = Page(self, target, self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])
        for domain in ("Page", "Runtime", "Network", "Log"):
            page.send(f"{domain}.enable")
        page.size(width, height)
        if dark:
            page.media(features=[{"name": "prefers-color-scheme", "value": "dark"}])
        page.go(address)
        return page


class Page:
    """A tab of a browser."""

    def __init__(self, browser: Browser, target: str, session: str) -> None:
        self._browser, self._target, self._session = browser, target, session

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """The result of a command to this tab."""
        return self._browser.send(method, self._session, **params)

    def size(self, width: int, height: int) -> None:
        """Give the window this size in pixels; up to 640 wide it is a phone."""
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width <= 640
        )

    def media(self, **media: Any) -> None:
        """Emulate a medium, or features of it."""
        self.send("Emulation.setEmulatedMedia", **media)

    def go(self, address: str) -> None:
        """Load an address, and wait until all of it is there."""
        self.send("Page.navigate", url=address)
        self.until("document.readyState === 'complete'")

    def until(self, condition: str, seconds: float = 30.0) -> None:
        """Wait until an expression is true. Raises TimeoutError."""
        stop = time.monotonic() + seconds
        while not self.run(f"Boolean({condition})"):
            if time.monotonic() > stop:
                raise TimeoutError(f"never true: {condition}")
            time.sleep(0.05)

    def run(self, script: str) -> Any:
        """The value of an expression, awaited. Raises RuntimeError for what it throws."""
        found = self.send(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True, userGesture=True
        )
        if "exceptionDetails" in found:
            raise RuntimeError(str(found["exceptionDetails"]))
        return found["result"].get("value")

    def press(self, key: str, **more: Any) -> None:
        """Press and release a key: Tab, Enter, ArrowRight."""
        text = {"Enter": "\r"}.get(key)
        codes = {"Tab": 9, "Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowRight": 39}
        common = {"key": key, "code": key, "windowsVirtualKeyCode": codes.get(key, 0), **more}
        self.send("Input.dispatchKeyEvent", type="keyDown", **common, **({"text": text} if text else {}))
        self.send("Input.dispatchKeyEvent", type="keyUp", **common)

    def events(self, *methods: str) -> list[dict[str, Any]]:
        """What the browser told of this tab so far."""
        self.run("1")
        told = [one for one in self._browser.events if one.get("sessionId") == self._session]
        return [one["params"] for one in told if one["method"] in methods]

    def requests(self) -> list[str]:
        """The addresses that were asked for, but for files and data in the page."""
        asked = [str(one["request"]["url"]) for one in self.events("Network.requestWillBeSent")]
        return [address for address in asked if not address.startswith(("file:", "data:", "blob:"))]

    def complaints(self) -> list[str]:
        """Errors and warnings in the console, and dialogs."""
        said = [str(one) for one in self.events("Runtime.exceptionThrown", "Page.javascriptDialogOpening")]
        said += [
            str(one["args"]) for one in self.events("Runtime.consoleAPICalled") if one["type"] in ("error", "warning")
        ]
        return said + [
            one["entry"]["text"] for one in self.events("Log.entryAdded") if one["entry"]["level"] != "verbose"
        ]

    def screenshot(self, whole: bool = False) -> bytes:
        """What is seen, as PNG; with ``whole`` from top to end."""
        return base64.b64decode(
            self.send("Page.captureScreenshot", captureBeyondViewport=whole, **self._clip(whole))["data"]
        )

    def _clip(self, whole: bool) -> dict[str, Any]:
        if not whole:
            return {}
        size = self.send("Page.getLayoutMetrics")["cssContentSize"]
        return {"clip": {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}}

    def pdf(self) -> bytes:
        """The page as it is printed."""
        return base64.b64decode(self.send("Page.printToPDF", printBackground=True)["data"])

    def close(self) -> None:
        """Close the tab."""
        self._browser.send("Target.closeTarget", targetId=self._target)


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """A browser with an empty profile, which ends with the block. Needs ``CHROMIUM``."""
    assert CHROMIUM, MISSING
    ours_in, theirs_out = os.pipe()
    theirs_in, ours_out = os.pipe()
    high = [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, 20) for one in (theirs_in, theirs_out)]

    def three_and_four() -> None:
        os.dup2(high[0], 3)
        os.dup2(high[1], 4)

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        process = subprocess.Popen(
            [CHROMIUM, *OPTIONS, f"--user-data-dir={home}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            close_fds=False,
            preexec_fn=three_and_four,
            env=os.environ | {"HOME": home},
        )
        for one in (theirs_in, theirs_out, *high):
            os.close(one)
        made = Browser(process, ours_out, ours_in)
        try:
            yield made
            with contextlib.suppress(RuntimeError, OSError, TimeoutError):
                made.send("Browser.close")
        finally:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            os.close(ours_in)
            os.close(ours_out)


def address(path: Path) -> str:
    """The address of a file."""
    return path.resolve().as_uri()
