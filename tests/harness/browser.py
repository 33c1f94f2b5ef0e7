"""A real browser, driven over chromedriver's WebDriver protocol (W3C): pages are opened, asked and photographed."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--metrics-recording-only",
    "--window-size=800,600",
]
# Starting a browser on a loaded machine takes long; everything after it is waited for by condition.
PATIENCE = 60.0


class BrowserMissing(Exception):
    """There is no browser, or no driver for it, on this machine."""


def find() -> tuple[str, str]:
    """The browser and its driver; raises BrowserMissing with what is lacking."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    lacking = [name for name, path in (("chromium", browser), ("chromedriver", driver)) if path is None]
    if browser is None or driver is None:
        raise BrowserMissing(f"{' and '.join(lacking)} not found (Debian: chromium, chromium-driver)")
    return browser, driver


def needed() -> None:
    """Skips the test by name where there is no browser; where everything must run, it fails."""
    try:
        find()
    except BrowserMissing as missing:
        if required():
            pytest.fail(str(missing), pytrace=False)
        pytest.skip(str(missing))


class Browser:
    """One headless browser with an empty profile; closes everything it started."""

    def __init__(self) -> None:
        self._binary, driver = find()
        self._profile = tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True)
        self._driver = subprocess.Popen(
            [driver, "--port=0"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self._session = ""
        self._url = ""

    def __enter__(self) -> Browser:
        try:
            self._url = f"http://127.0.0.1:{self._port()}"
            chrome = {"binary": self._binary, "args": [*FLAGS, f"--user-data-dir={self._profile.name}"]}
            wanted = {"browserName": "chrome", "goog:chromeOptions": chrome, "goog:loggingPrefs": {"browser": "ALL"}}
            answer = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
            self._session = f"/session/{answer['sessionId']}"
            self._call("POST", f"{self._session}/timeouts", {"script": 30_000, "pageLoad": 60_000})
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._call("DELETE", self._session)
        finally:
            self._end()

    def _end(self) -> None:
        self._driver.terminate()
        try:
            self._driver.wait(10)
        except subprocess.TimeoutExpired:
            self._driver.kill()
            self._driver.wait()
        if self._driver.stdout is not None:
            self._driver.stdout.close()
        self._profile.cleanup()

    def _port(self) -> int:
        """The port that the driver took, as it says itself."""
        assert self._driver.stdout is not None
        said = ""
        for line in self._driver.stdout:
            said += line
            if found := re.search(r"started successfully on port (\d+)", line):
                # Nobody reads what else it says: it must not stop at a full pipe.
                threading.Thread(target=self._driver.stdout.read, daemon=True).start()
                return int(found[1])
        raise RuntimeError(f"chromedriver did not start:\n{said}")

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if method != "POST" else json.dumps(body or {}).encode()
        request = urllib.request.Request(
            self._url + path, data, {"Content-Type": "application/json"} if data else {}, method=method
        )
        try:
            with self._opener.open(request, timeout=2 * PATIENCE) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{method} {path}: {error.read().decode(errors='replace')}") from None

    def open(self, url: str) -> None:
        """Goes to a page and waits until it is loaded."""
        self._call("POST", f"{self._session}/url", {"url": url})

    def script(self, text: str, *args: Any) -> Any:
        """Runs JavaScript as the body of a function; what it returns."""
        return self._call("POST", f"{self._session}/execute/sync", {"script": text, "args": list(args)})

    def text(self, selector: str) -> str:
        """The text that a reader sees of an element."""
        return str(self.script("return document.querySelector(arguments[0]).innerText", selector))

    def click(self, selector: str) -> None:
        """Clicks an element with the mouse, as a person would."""
        using = {"using": "css selector", "value": selector}
        element = self._call("POST", f"{self._session}/element", using)
        (number,) = element.values()
        self._call("POST", f"{self._session}/element/{number}/click", {})

    def until(self, condition: str, *args: Any, patience: float = PATIENCE) -> Any:
        """Waits until a JavaScript expression is true; its value. Raises TimeoutError with the page's text."""
        deadline = time.monotonic() + patience
        while not (value := self.script(f"return ({condition})", *args)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"never true: {condition}\n{self.script('return document.body.innerText')}")
            time.sleep(0.05)  # any expression may be asked for: the page has no event that tells of all of them
        return value

    def complaints(self) -> list[str]:
        """What the page's console has said that is an error, since the last time it was asked."""
        entries = self._call("POST", f"{self._session}/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]

    def screenshot(self, path: Path) -> Path:
        """Writes what is seen as a PNG."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(self._call("GET", f"{self._session}/screenshot")))
        return path


def required() -> bool:
    """Whether a machine without a browser is a failure and not a reason to skip."""
    return os.environ.get("CI") == "true"
