"""The page of `docs/user/live-page.md` in a real browser, in a network of its own; run as a program by the tests.

`python browse.py PAGE FOLDER ARTEFACTS` saves the page's files, starts its gateway and looks at what it serves.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from harness.browser import Browser
from pages import Command, File, Page, read
from session import GATEWAY, Server, loopback_up

URL = "http://127.0.0.1:8000/"
STATE = "document.getElementById('state').textContent"
LINES = "[...document.querySelectorAll('#log li')].map((line) => line.textContent).reverse()"
READINGS = [f"{21 + tenth / 10:.1f} °C" for tenth in range(10)]


class Visit:
    """A gateway as the page starts it, and a browser that shows what it serves."""

    def __init__(self, page: Page, folder: Path, browser: Browser) -> None:
        self.folder, self.browser = folder, browser
        self.commands = page.commands
        self.started = next(one for one in self.commands if GATEWAY.match(one.text))
        self.start()

    def start(self) -> None:
        """Starts the gateway and waits until it serves what the page shows."""
        said = Command(self.started.place, self.started.text)
        self.server = Server(said, self.folder, threading.Condition())
        self.server.ready()

    def type(self, part: str) -> None:
        """Types the page's command that has this in it."""
        text = next(one.text for one in self.commands if part in one.text)
        subprocess.run(["bash", "-c", text], cwd=self.folder, check=True, timeout=60)

    def state(self, wanted: str) -> None:
        """Waits until the page says how its connection is."""
        self.browser.until(f"{STATE} === arguments[0]", wanted)

    def lines(self) -> list[str]:
        """What the page's list has shown, the oldest first."""
        shown = self.browser.script(f"return {LINES}")
        assert isinstance(shown, list)
        return shown


def look(visit: Visit, artefacts: Path) -> None:
    """Numbers arrive in order, the bell reaches everybody, and the page comes back after a restart."""
    browser = visit.browser
    browser.open(URL)
    visit.state("live")
    # A second reader, over server-sent events as the page's last part has them.
    browser.script(
        "window.heard = []; window.events = new EventSource('/live/kitchen');"
        "window.events.onmessage = (event) => window.heard.push(event.data);"
    )
    browser.until("window.events.readyState === EventSource.OPEN")

    visit.type("meter.py")
    browser.until(f"{LINES}.length === 10")
    assert visit.lines() == READINGS, visit.lines()
    assert browser.text("#number") == READINGS[-1]
    browser.until("window.heard.length === 10")

    browser.click("#ring")
    browser.until(f"{LINES}.length === 11")
    assert visit.lines()[-1] == "the bell: ding", visit.lines()
    browser.until("window.heard.length === 11")
    assert browser.script("return JSON.parse(window.heard[10])") == {"bell": "ding"}
    browser.screenshot(artefacts / "live.png")
    complaints = browser.complaints()
    assert not complaints, complaints

    browser.script("window.events.close()")
    visit.server.end()
    visit.state("waiting")
    browser.screenshot(artefacts / "waiting.png")
    visit.start()
    visit.state("live")
    visit.type("meter.py")
    browser.until(f"{LINES}.length === 21")
    assert visit.lines() == [*READINGS, "the bell: ding", *READINGS], visit.lines()
    browser.screenshot(artefacts / "again.png")
    visit.server.end()


def main() -> int:
    """Looks at the page; an exception says what departs from it."""
    page, folder, artefacts = read(Path(sys.argv[1])), Path(sys.argv[2]), Path(sys.argv[3])
    for step in page.steps:
        if isinstance(step, File):
            (folder / step.name).parent.mkdir(parents=True, exist_ok=True)
            (folder / step.name).write_text(step.content, encoding="utf-8")
    loopback_up()
    os.environ["NO_PROXY"] = "*"
    with Browser() as browser:
        visit = Visit(page, folder, browser)
        try:
            look(visit, artefacts)
        finally:
            print(visit.server.said())
            visit.server.process.kill()
    return 0


if __name__ == "__main__":
    sys.exit(main())
