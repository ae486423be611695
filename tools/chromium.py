"""Drives Chromium without a screen: its DevTools protocol, through two pipes; needs nothing but the browser."""

from __future__ import annotations

import json
import os
import re
import selectors
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_OF_THE_BROWSER = ("Browser", "SystemInfo", "Target")  # domains that no tab answers
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


def find_chromium() -> str | None:
    """The path of an installed Chromium; None without one."""
    return next((path for name in PROGRAMS if (path := shutil.which(name))), None)


class Page:
    """One tab.

    Attributes:
        errors: what the page complained of so far: exceptions, console.error, what could not be loaded.
    """

    def __init__(self, send: Callable[[dict[str, Any]], None], receive: Callable[[float], dict[str, Any]]) -> None:
        """Opens an empty tab in a browser that hears `send` and answers in `receive`."""
        self._send, self._receive = send, receive
        self._session: str | None = None
        self._workers: list[str] = []  # sessions of the page's Web Workers
        self._last = 0
        self.errors: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "DOM"):
            self.call(f"{domain}.enable")
        hear_of_workers = {"autoAttach": True, "waitForDebuggerOnStart": False, "flatten": True}
        self._ask(self._session, "Target.setAutoAttach", hear_of_workers)

    def call(self, method: str, **parameters: Any) -> Any:
        """The answer of the DevTools protocol. Raises RuntimeError where it is an error."""
        return self._ask(None if method.split(".")[0] in _OF_THE_BROWSER else self._session, method, parameters)

    def _ask(self, session: str | None, method: str, parameters: dict[str, Any]) -> Any:
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        self._send(message)
        while True:
            answer = self._receive(120)
            if answer.get("id") == self._last:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self._hear(answer)

    def _hear(self, event: dict[str, Any]) -> None:
        parameters = event.get("params", {})
        match event.get("method"):
            case "Runtime.exceptionThrown":
                details = parameters["exceptionDetails"]
                self.errors.append(details.get("exception", {}).get("description") or details["text"])
            case "Runtime.consoleAPICalled" if parameters["type"] in ("error", "assert"):
                self.errors.append(" ".join(str(a.get("value", a.get("description"))) for a in parameters["args"]))
            case "Log.entryAdded" if parameters["entry"]["level"] == "error":
                self.errors.append(f"{parameters['entry']['text']} {parameters['entry'].get('url', '')}")
            case "Target.attachedToTarget" if parameters["targetInfo"]["type"] == "worker":
                self._workers.append(parameters["sessionId"])
            case "Target.detachedFromTarget" if parameters["sessionId"] in self._workers:
                self._workers.remove(parameters["sessionId"])

    def open(self, address: str) -> None:
        """Goes to an address, and waits until the page's own scripts ran."""
        self.call("Page.navigate", url=address)
        self.wait(f"document.readyState === 'complete' && location.href.startsWith({json.dumps(address)})")

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression; of a promise, what it becomes. Raises RuntimeError where it throws."""
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description") or details["text"])
        return answer["result"].get("value")

    def wait(self, expression: str, seconds: float = 60) -> Any:
        """Waits until an expression is true, and returns its value. Raises TimeoutError."""
        end = time.monotonic() + seconds
        while not (value := self.evaluate(expression)):
            if time.monotonic() > end:
                raise TimeoutError(f"still not: {expression}; errors so far: {self.errors}")
            time.sleep(0.05)
        return value

    def click(self, selector: str) -> None:
        """Clicks an element as a person does: by the mouse, at its middle."""
        box = self.evaluate(
            f"(e => {{ e.scrollIntoView({{block: 'center'}}); const b = e.getBoundingClientRect(); "
            f"return [b.x + b.width / 2, b.y + b.height / 2]; }})(document.querySelector({json.dumps(selector)}))"
        )
        self.point(*box)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def point(self, x: float, y: float) -> None:
        """Moves the mouse to a place in the window."""
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def press(self, key: str) -> None:
        """Presses a key by its DOM name, for example Tab, ArrowRight."""
        codes = {"Tab": 9, "Enter": 13, " ": 32, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
        text = {"Enter": "\r", " ": " "}.get(key, "")
        code = {"windowsVirtualKeyCode": codes[key], "key": key}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **code)
        self.call("Input.dispatchKeyEvent", type="keyUp", **code)

    def choose_file(self, selector: str, path: Path) -> None:
        """Puts a file into a file input."""
        node = self.call("Runtime.evaluate", expression=f"document.querySelector({json.dumps(selector)})")
        self.call("DOM.setFileInputFiles", files=[str(path)], objectId=node["result"]["objectId"])

    def collect_garbage(self) -> None:
        """Lets the page and its workers give back all that nothing refers to any more."""
        for _ in range(2):  # what the first one finalises is free after the second
            for session in (self._session, *self._workers):
                self._ask(session, "HeapProfiler.collectGarbage", {})

    def heap_mib(self) -> float:
        """JavaScript's objects, and the bytes of its arrays, in the page and its workers."""
        heaps = [self._ask(session, "Runtime.getHeapUsage", {}) for session in (self._session, *self._workers)]
        return sum(heap["usedSize"] + heap["backingStorageSize"] for heap in heaps) / (1 << 20)

    def memory_mib(self) -> float:
        """Memory of the whole browser without its program files, which other browsers share (Linux)."""
        processes = self.call("SystemInfo.getProcessInfo")["processInfo"]
        rollups = [Path(f"/proc/{process['id']}/smaps_rollup").read_text() for process in processes]
        return (
            sum(int(kib) for text in rollups for kib in re.findall(r"^Pss_(?:Anon|Shmem): +(\d+) kB", text, re.M))
            / 1024
        )

    def resize(self, width: int, height: int, dark: bool = False, phone: bool = False) -> None:
        """Another size of the window, in CSS pixels; light or dark as the system prefers."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=2 if phone else 1, mobile=phone,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])


@contextmanager
def open_page(*flags: str) -> Iterator[Page]:
    """A tab of a browser of its own, which ends with the `with` block. Raises FileNotFoundError without Chromium."""
    program = find_chromium()
    if program is None:
        raise FileNotFoundError(f"no Chromium: none of {', '.join(PROGRAMS)} is installed")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser, to_browser, from_browser = _start(program, ["--user-data-dir=" + profile, *flags])
        send, receive = _talk(to_browser, from_browser)
        try:
            page = Page(send, receive)
            yield page
            send({"id": 0, "method": "Browser.close"})
            browser.wait(20)
        finally:
            browser.kill()  # no harm if it ended
            browser.wait()
            os.close(to_browser)
            os.close(from_browser)


def _start(program: str, flags: Sequence[str]) -> tuple[subprocess.Popen[bytes], int, int]:
    """The browser, and the ends of two pipes: to it and from it. It reads from 3 and writes to 4."""
    reads, to_browser = os.pipe()
    from_browser, writes = os.pipe()
    command = [
        program, "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--no-first-run", "--disable-gpu",
        "--disable-dev-shm-usage", "--disable-extensions", "--mute-audio", *flags, "about:blank",
    ]  # fmt: skip
    shell = ["bash", "-c", f'exec "$@" 3<&{reads} 4>&{writes}', "bash", *command]
    browser = subprocess.Popen(shell, pass_fds=(reads, writes), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(reads)
    os.close(writes)
    return browser, to_browser, from_browser


def _talk(
    to_browser: int, from_browser: int
) -> tuple[Callable[[dict[str, Any]], None], Callable[[float], dict[str, Any]]]:
    """Functions that send and receive messages: JSON, each ended by a zero byte."""
    waiting = bytearray()
    selector = selectors.DefaultSelector()
    selector.register(from_browser, selectors.EVENT_READ)

    def send(message: dict[str, Any]) -> None:
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(to_browser, data) :]

    def receive(seconds: float) -> dict[str, Any]:
        while (end := waiting.find(b"\0")) < 0:
            if not selector.select(seconds):
                raise TimeoutError(f"the browser said nothing for {seconds:g} s")
            data = os.read(from_browser, 1 << 20)
            if not data:
                raise ConnectionError("the browser ended")
            waiting.extend(data)
        message: dict[str, Any] = json.loads(waiting[:end])
        del waiting[: end + 1]
        return message

    return send, receive
