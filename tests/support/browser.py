"""A real browser, driven by its DevTools protocol: Chromium as the machine has it.

It is found by the variable CHROMIUM, then as chromium, chromium-browser, google-chrome or chrome on
the PATH (`apt install chromium` on Debian; Chrome does as well). Without one the tests that want it
are skipped, and say so.
"""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import websocket
from tests.support.waiting import eventually, patience

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
AXE = Path(__file__).parent / "vendor" / "axe.min.js"
# Of a page: what axe found that keeps people out. Minor and moderate findings are matters of taste.
SERIOUS = """
    const found = await axe.run(document, {resultTypes: ['violations']});
    return found.violations
        .filter((one) => ['serious', 'critical'].includes(one.impact))
        .map((one) => `${one.id}: ${one.help}: ${one.nodes.map((node) => node.html).join(' ')}`);
"""
# In the page: where an element's middle is, and a note of whether the click there reaches it, or
# one that was drawn in its place meanwhile.
_AIM = """
    const found = document.querySelector({selector});
    if (!found || found.disabled) return null;
    globalThis.clickArrived = false;
    const note = (event) => (globalThis.clickArrived = Boolean(event.target.closest({selector})));
    addEventListener("click", note, {{capture: true, once: true}});
    found.scrollIntoView({{block: "center"}});
    const box = found.getBoundingClientRect();
    return [box.x + box.width / 2, box.y + box.height / 2];
"""
_KEYS = {
    "Enter": (13, "\r"),
    "Tab": (9, ""),
    "Escape": (27, ""),
    "Space": (32, " "),
    "Home": (36, ""),
    "ArrowRight": (39, ""),
}


def find_chromium() -> str | None:
    """Return the path of a Chromium, None where there is none."""
    named = os.environ.get("CHROMIUM")
    return named or next(filter(None, map(shutil.which, NAMES)), None)


class Tab:
    """One page of the browser.

    Attributes:
        troubles: what the page's console was told as an error, exceptions and violations of the
            Content-Security-Policy included.
    """

    def __init__(self, address: str) -> None:
        self._socket = websocket.create_connection(
            address, timeout=patience(30), suppress_origin=True
        )
        self._last = 0
        self.troubles: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Return what a method of the DevTools protocol gives."""
        self._last += 1
        self._socket.send(json.dumps({"id": self._last, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv())
            if message.get("id") == self._last:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            self._note(message.get("method", ""), message.get("params", {}))

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            self.troubles.append(json.dumps(params["exceptionDetails"]))
        elif method == "Log.entryAdded" and _is_trouble(params["entry"]):
            self.troubles.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
        elif method == "Runtime.consoleAPICalled" and params["type"] == "error":
            self.troubles.append(json.dumps(params["args"]))

    def open(self, url: str) -> None:
        """Load a page anew, with nothing of the one before it."""
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=url)
        eventually(lambda: self.run("return document.readyState") == "complete", pause=0.02)

    def run(self, body: str) -> Any:
        """Return what the body of an async function gives in the page."""
        answer = self.call(
            "Runtime.evaluate",
            expression=f"(async () => {{ {body} }})()",
            awaitPromise=True,
            returnByValue=True,
        )
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"].get("exception", answer))
        return answer["result"].get("value")

    def text(self, selector: str = "body") -> str:
        """Return what people read in an element; blank where it is not there."""
        return str(self.run(f"return document.querySelector({selector!r})?.innerText ?? ''"))

    def sees(self, text: str, selector: str = "body") -> None:
        """Wait until an element says something."""
        try:
            eventually(lambda: text in self.text(selector), pause=0.02)
        except AssertionError:
            raise AssertionError(f"{text!r} is not in {self.text(selector)!r}") from None

    def click(self, selector: str) -> None:
        """Click on an element as a mouse does, once it is there.

        What loads above it may move it away from under the mouse: then again, as people do.
        """
        eventually(lambda: self._click_arrived(selector), pause=0.02)

    def _click_arrived(self, selector: str) -> bool:
        """Click where an element is; return whether it was hit."""
        place = self.run(_AIM.format(selector=json.dumps(selector)))
        if place is None:
            return False
        for kind in ("mousePressed", "mouseReleased"):
            self.call(
                "Input.dispatchMouseEvent",
                type=kind,
                x=place[0],
                y=place[1],
                button="left",
                clickCount=1,
            )
        return bool(self.run("return globalThis.clickArrived"))

    def fill(self, selector: str, text: str) -> None:
        """Write into a field."""
        self.run(f"document.querySelector({selector!r}).focus()")
        self.call("Input.insertText", text=text)

    def press(self, key: str) -> None:
        """Press a key: Enter, Tab, Escape, Space, Home or ArrowRight."""
        code, text = _KEYS[key]
        name = " " if key == "Space" else key
        event = {"key": name, "code": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **event)
        self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    def resize(self, width: int, height: int) -> None:
        """Give the page another size, in CSS pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )

    def serious_barriers(self) -> list[str]:
        """Return what axe-core finds on the page that keeps people out."""
        self.call("Page.setBypassCSP", enabled=True)  # axe is ours, not the page's
        self.call("Runtime.evaluate", expression=AXE.read_text())
        found: list[str] = self.run(SERIOUS)
        return found

    def screenshot(self, file: Path) -> None:
        """Write what the page looks like as a PNG."""
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def close(self) -> None:
        self._socket.close()


def _is_trouble(entry: dict[str, Any]) -> bool:
    """Whether an entry is an error of the page itself: to be refused by the API is none."""
    return bool(entry["level"] == "error" and entry["source"] != "network")


@contextmanager
def browser(folder: Path) -> Iterator[Tab]:
    """Run a Chromium with one page until the block ends; skip the test where there is none.

    Args:
        folder: empty; for its profile.
    """
    program = find_chromium()
    if program is None:
        pytest.skip("no Chromium: apt install chromium, or name one in CHROMIUM")
    process = subprocess.Popen(
        [
            *(program, "--headless=new", "--remote-debugging-port=0", f"--user-data-dir={folder}"),
            *("--no-first-run", "--no-default-browser-check", "--disable-gpu", "--mute-audio"),
            "--disable-dev-shm-usage",
            *("--disable-background-networking", "--disable-component-update", "--lang=en"),
            *(("--no-sandbox",) if os.geteuid() == 0 else ()),
            "about:blank",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        port = eventually(lambda: _port(folder), pause=0.05)
        tab = Tab(eventually(lambda: _page(port)))
        yield tab
        tab.close()
    finally:
        process.terminate()
        process.wait(patience(20))


def _port(folder: Path) -> str:
    file = folder / "DevToolsActivePort"
    return file.read_text().partition("\n")[0] if file.exists() else ""


def _page(port: str) -> str:
    pages = httpx.get(f"http://127.0.0.1:{port}/json/list", trust_env=False).json()
    return next(str(page["webSocketDebuggerUrl"]) for page in pages if page["type"] == "page")
