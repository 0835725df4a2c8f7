"""A headless Chromium, driven by its own chromedriver over plain HTTP (W3C WebDriver): no library is needed."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.broker import free_port, wait_until

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


def programs() -> tuple[str, str]:
    """Browser and driver; without them the calling test is skipped."""
    browser = next(
        (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
    )
    driver = shutil.which("chromedriver") or ""
    if not browser or not driver:
        pytest.skip("a browser is not installed; apt-get install chromium chromium-driver")
    return browser, driver


class Chromium:
    """One window; a context manager."""

    def __init__(self, folder: Path, size_wh: tuple[int, int] = (1280, 900), dark: bool = False) -> None:
        self._browser, driver = programs()
        self._folder, self._size_wh, self._dark = folder, size_wh, dark
        self._port = free_port()
        env = {**os.environ, "HOME": str(folder), "TMPDIR": str(folder)}
        self._process = subprocess.Popen(
            [driver, f"--port={self._port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env
        )
        self._session = ""

    def __enter__(self) -> Chromium:
        wait_until(self._ready, "chromedriver to listen", 30)
        args = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]
        args += [f"--window-size={self._size_wh[0]},{self._size_wh[1]}", f"--user-data-dir={self._folder / 'profile'}"]
        options = {"binary": self._browser, "args": args}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        self._session = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
        self.colours(dark=self._dark)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._session:
                self._ask("DELETE", f"/session/{self._session}")
        finally:
            self._process.terminate()
            self._process.wait()

    def go(self, url: str) -> None:
        """Load a page."""
        self._of("POST", "/url", {"url": url})

    def run(self, script: str, *args: Any) -> Any:
        """What a script returns; a promise is waited for."""
        whole = "const done = arguments[arguments.length - 1]; Promise.resolve((function () {" + script
        whole += "}).apply(null, arguments)).then((value) => done([value]), (error) => done(String(error)));"
        answer = self._of("POST", "/execute/async", {"script": whole, "args": list(args)})
        assert isinstance(answer, list), answer
        return answer[0]

    def wait(self, script: str, what: str, timeout_s: float = 30.0) -> Any:
        """Until a script returns something true; that."""
        found: list[Any] = [None]

        def true() -> bool:
            found[0] = self.run(script)
            return bool(found[0])

        wait_until(true, what, timeout_s)
        return found[0]

    def command(self, name: str, **parameters: Any) -> Any:
        """One of the DevTools protocol."""
        return self._of("POST", "/goog/cdp/execute", {"cmd": name, "params": parameters})

    def colours(self, *, dark: bool) -> None:
        """What the system prefers."""
        feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.command("Emulation.setEmulatedMedia", features=[feature])

    def size(self, width: int, height: int, ratio: float = 1.0) -> None:
        """Of the page, in CSS pixels."""
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=ratio, mobile=False
        )

    def keys(self, text: str) -> None:
        """Type to whatever has the focus; one key each."""
        for key in text:
            actions = [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
            self._of("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def click(self, x: float, y: float) -> None:
        """In the page, CSS pixels."""
        actions = [
            {"type": "pointerMove", "duration": 0, "x": round(x), "y": round(y)},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        ]
        mouse = {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": actions}
        self._of("POST", "/actions", {"actions": [mouse]})

    def log(self) -> list[str]:
        """What the console said since the last time: errors, and what the content policy refused."""
        entries = self._of("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]

    def screenshot(self) -> bytes:
        """A PNG."""
        return base64.b64decode(self._of("GET", "/screenshot"))

    def _ready(self) -> bool:
        try:
            return bool(self._ask("GET", "/status")["ready"])
        except OSError:
            return False

    def _of(self, method: str, path: str, content: Any = None) -> Any:
        return self._ask(method, f"/session/{self._session}{path}", content)

    def _ask(self, method: str, path: str, content: Any = None) -> Any:
        data = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}{path}", data, {"Content-Type": "application/json"}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 (a driver of our own)
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            pytest.fail(f"{method} {path}: {error.read().decode()[:400]}")
