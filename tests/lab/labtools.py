"""Drives a real JupyterLab in a real browser, and nothing outside this machine.

`LabServer` starts JupyterLab in a folder of its own (settings, kernels' runtime files, workspaces);
`Lab` is one browser page on it; `Notebook` one open document: run cells, ask the kernel, look.
"""

from __future__ import annotations

import ast
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

if TYPE_CHECKING:
    from collections.abc import Sequence

    from playwright.sync_api import BrowserContext, Locator, Page, Request

ROOT = Path(__file__).resolve().parents[2]
ARTIFACTS = Path(__file__).resolve().parent / "artifacts"

CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--no-first-run",
    "--no-pings",
    "--metrics-recording-only",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-client-side-phishing-detection",
    "--disable-quic",
    "--disable-sync",
    "--disable-features=OptimizationHints,MediaRouter,Translate,AutofillServerCommunication",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
]

#: No dialogs about news and updates; every cell in the document (no windowing), so that the
#: n-th cell element is the n-th cell.
SETTINGS = {
    "@jupyterlab/apputils-extension/notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
}

#: Attribute `data-grid-rows` of a chunk grid that has its map; keys pressed earlier have no effect.
MAP = re.compile("[1-9]")

#: Seconds after which a step counts as failed. Every step ends by an event, so only a hang takes
#: this long, also on a machine that is busy with other work.
PATIENCE = 300.0

#: First line of a cell that waits until all requests of a Run All command are in the kernel's
#: queue: after an error the kernel drops only the requests that have arrived.
HOLD = "while not __import__('pathlib').Path('go').exists(): __import__('time').sleep(0.02)\n"

THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}


class LabError(AssertionError):
    """JupyterLab, the kernel or a cell did not do what the test asked."""


def write_notebook(path: Path, cells: Sequence[str]) -> Path:
    """Write a notebook of code cells; a text that starts with ``#md`` becomes Markdown."""
    made = [
        new_markdown_cell(text.removeprefix("#md").strip())
        if text.startswith("#md")
        else new_code_cell(text)
        for text in cells
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(new_notebook(cells=made, metadata=kernel), path)
    return path


class LabServer:
    """A JupyterLab process of its own; `folder` is what its file browser shows.

    With ``application="notebook"`` it is Jupyter Notebook 7.
    """

    def __init__(
        self, home: Path, application: Literal["jupyterlab", "notebook"] = "jupyterlab"
    ) -> None:
        self.application = application
        self.folder = home / "work"
        self.log = ARTIFACTS / f"{application}.log"
        self.token = secrets.token_hex(16)
        self.url = ""
        self._home = home
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, timeout: float = PATIENCE) -> LabServer:
        """Start it and wait until it answers."""
        self.folder.mkdir(parents=True)
        ARTIFACTS.mkdir(exist_ok=True)
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self.application, *self._arguments()],
                env=self._environment(),
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            for info in (self._home / "runtime").glob("jpserver-*.json"):
                try:
                    self.url = json.loads(info.read_text())["url"]
                    self.request("api/status")
                except (ValueError, urllib.error.URLError, ConnectionError):
                    continue  # half written, or not listening yet
                return self
            time.sleep(0.2)
        self.stop()
        raise LabError(f"JupyterLab did not start:\n{self.log.read_text()[-4000:]}")

    def address(self, name: str) -> str:
        """Address of the page that edits a notebook."""
        if self.application == "notebook":
            return f"{self.url}notebooks/{name}?token={self.token}"
        return f"{self.url}lab/tree/{name}?token={self.token}&reset"

    def stop(self) -> None:
        """End the server and its kernels."""
        process, self._process = self._process, None
        if process is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, number)
            except ProcessLookupError:
                break
            try:
                process.wait(timeout=30)
                break
            except subprocess.TimeoutExpired:
                continue

    def request(self, path: str, method: str = "GET") -> Any:
        """Ask the server's REST interface; None where it answers with nothing."""
        request = urllib.request.Request(
            self.url + path, method=method, headers={"Authorization": f"token {self.token}"}
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            body = answer.read()
        return json.loads(body) if body else None

    def end_kernels(self) -> None:
        """Shut down every kernel, so that tests do not share memory or variables."""
        for session in self.request("api/sessions"):
            self.request(f"api/sessions/{session['id']}", "DELETE")

    def _environment(self) -> dict[str, str]:
        folders = {
            "JUPYTER_CONFIG_DIR": "config",
            "JUPYTER_DATA_DIR": "data",
            "JUPYTER_RUNTIME_DIR": "runtime",
            "IPYTHONDIR": "ipython",
            "JUPYTERLAB_SETTINGS_DIR": "settings",
            "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        }
        made = {name: str(self._home / folder) for name, folder in folders.items()}
        for folder in made.values():
            Path(folder).mkdir(parents=True, exist_ok=True)
        for name, values in SETTINGS.items():
            file = Path(made["JUPYTERLAB_SETTINGS_DIR"], f"{name}.jupyterlab-settings")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(values))
        paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
        return {
            **os.environ,
            **made,
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        }

    def _arguments(self) -> list[str]:
        # the tree's extension, not the copy that an earlier install left in the environment
        extensions = self._home / "labextensions" / "@icechunk"
        extensions.mkdir(parents=True)
        built = ROOT / "jupyterlab_extension" / "labextension"
        if (built / "package.json").is_file():
            (extensions / "jupyterlab").symlink_to(built)
        notebook = self.application == "notebook"
        name = "JupyterNotebookApp" if notebook else "LabApp"
        quiet = [
            "--LabApp.news_url=",
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        ]
        return [
            "--no-browser",
            "--allow-root",
            "--ServerApp.ip=127.0.0.1",
            "--ServerApp.port=0",
            f"--ServerApp.root_dir={self.folder}",
            f"--IdentityProvider.token={self.token}",
            "--ServerApp.terminals_enabled=False",
            f"--{name}.expose_app_in_browser=True",
            f"--{name}.extra_labextensions_path={extensions.parent}",
            *([] if notebook else quiet),
        ]


class Lab:
    """One browser page on a `LabServer`; collects page errors and requests to the outside."""

    def __init__(self, server: LabServer, context: BrowserContext) -> None:
        self.server = server
        self.external: list[str] = []
        self.errors: list[str] = []
        self.page: Page = context.new_page()
        self.page.set_default_timeout(PATIENCE * 1000)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        # Chromium resolves no other name (CHROMIUM_ARGUMENTS); a route would switch its cache off.
        self.page.on("request", self._note)

    def _note(self, request: Request) -> None:
        parts = urlsplit(request.url)
        local = parts.scheme in ("blob", "data", "file")
        if not local and parts.hostname not in ("127.0.0.1", "localhost"):
            self.external.append(request.url)

    def open(self, name: str, timeout: float = PATIENCE) -> Notebook:
        """Open a notebook of the server's folder and wait for its kernel to be idle."""
        self.page.goto(self.server.address(name))
        self.page.wait_for_function(
            """name => {
                const widget = window.jupyterapp?.shell.currentWidget;
                return widget?.context?.path === name && widget.context.isReady
                    && widget.sessionContext.session?.kernel?.status === 'idle';
            }""",
            arg=name,
            timeout=timeout * 1000,
        )
        return Notebook(self)

    def command(self, command: str, **arguments: Any) -> None:
        """Run a JupyterLab command and wait until it is done."""
        self.page.evaluate(
            "async ([id, args]) => { await window.jupyterapp.commands.execute(id, args) }",
            [command, arguments],
        )

    @property
    def dark(self) -> bool:
        """Whether the page has the dark theme."""
        return self.page.locator("body").get_attribute("data-jp-theme-name") == THEMES["dark"]

    def theme(self, theme: Literal["light", "dark"]) -> None:
        """Switch the theme and wait until the page and the views on it are drawn in its colours."""
        if self.dark != (theme == "dark"):
            self.command("apputils:change-theme", theme=THEMES[theme])
        self.page.wait_for_function(
            """([name, dark]) => document.body.dataset.jpThemeName === name
                && [...document.querySelectorAll('.icechunk-root:not(.icechunk-panel)')].every(
                    view => view.hasAttribute('data-icechunk-dark') === dark)""",
            arg=[THEMES[theme], theme == "dark"],
        )
        self.frames(3)  # canvases are painted with the next frame

    def frames(self, count: int) -> None:
        """Wait until the page has painted a number of frames."""
        self.page.evaluate(
            """async count => {
                for (let k = 0; k < count; k++) await new Promise(requestAnimationFrame);
            }""",
            count,
        )

    def settle(self) -> None:
        """Wait until the focus stays: the front end moves it once more after cells have run."""
        self.page.evaluate(
            """async () => {
                let last = null;
                for (let same = 0; same < 30; same++) {
                    await new Promise(requestAnimationFrame);
                    if (document.activeElement !== last) same = 0;
                    last = document.activeElement;
                }
                await new Promise(done => requestIdleCallback(done));
            }"""
        )

    def screenshot(self, name: str, of: Locator | None = None) -> Path:
        """Keep a picture of the page, or of one element, among the artefacts."""
        ARTIFACTS.mkdir(exist_ok=True)
        path = ARTIFACTS / f"{name}.png"
        (of or self.page).screenshot(path=path)
        return path

    def drag(
        self,
        target: Locator,
        start: tuple[float, float],
        end: tuple[float, float],
        modifier: str | None = None,
    ) -> None:
        """Drag the mouse over an element; positions are pixels from its upper left corner."""
        target.scroll_into_view_if_needed()
        box = target.bounding_box()
        if box is None:
            raise LabError("cannot drag over an element that is not shown")
        mouse = self.page.mouse
        if modifier:
            self.page.keyboard.down(modifier)
        mouse.move(box["x"] + start[0], box["y"] + start[1])
        mouse.down()
        mouse.move(box["x"] + end[0], box["y"] + end[1], steps=8)
        mouse.up()
        if modifier:
            self.page.keyboard.up(modifier)


_PANEL = "const panel = window.jupyterapp.shell.currentWidget;"
_LAST_PROMPT = (
    "return panel.content.widgets.at(-1).node.querySelector('.jp-InputPrompt').textContent"
)
_WITH_TIMEOUT = """
    const within = (promise, ms) => Promise.race([
        promise,
        new Promise((_, no) => setTimeout(() => no(new Error(`not done after ${ms} ms`)), ms)),
    ]);
"""


class Notebook:
    """The notebook shown in a `Lab`."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.page = lab.page

    def cell(self, index: int) -> Locator:
        """Return the element of a cell."""
        return self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Cell").nth(index)

    def output(self, index: int) -> Locator:
        """Return the element that holds a cell's outputs."""
        return self.cell(index).locator(".jp-Cell-outputArea")

    def run(self, index: int, allow_error: bool = False) -> list[Any]:
        """Run a cell and return its outputs (nbformat); an exception in it raises `LabError`."""
        self.page.evaluate(
            f"""async ([index, ms]) => {{
                {_PANEL} {_WITH_TIMEOUT}
                panel.content.activeCellIndex = index;
                panel.content.deselectAll();
                await within(window.jupyterapp.commands.execute('notebook:run-cell'), ms);
            }}""",
            [index, PATIENCE * 1000],
        )
        self.wait_idle()
        return self.outputs(index, allow_error)

    def run_held(self, command: str, folder: Path) -> None:
        """Run a command that runs several cells, one of which begins with `HOLD`.

        The held cell goes on when the prompt of the last cell shows that it is queued, and the
        server has passed the requests on.
        """
        gate = folder / "go"
        gate.unlink(missing_ok=True)
        self.page.evaluate(
            "command => { window.running = window.jupyterapp.commands.execute(command) }", command
        )
        self.page.wait_for_function(f"() => {{ {_PANEL} {_LAST_PROMPT} === '[*]:' }}")
        self.lab.server.request("api/kernels")
        self.lab.frames(10)
        gate.touch()
        self.page.evaluate("async () => { await window.running }")
        self.wait_idle()

    def cell_count(self) -> int:
        """Return the number of cells."""
        return int(self.page.evaluate(f"() => {{ {_PANEL} return panel.content.widgets.length }}"))

    def outputs(self, index: int, allow_error: bool = False) -> list[Any]:
        """Return a cell's outputs as nbformat dictionaries."""
        found: list[Any] = self.page.evaluate(
            f"index => {{ {_PANEL} return panel.content.widgets[index].model.toJSON().outputs }}",
            index,
        )
        for output in found or []:
            if output["output_type"] == "error" and not allow_error:
                raise LabError(f"cell {index}: {output['ename']}: {output['evalue']}")
        return found or []

    def wait_idle(self) -> None:
        """Wait until the kernel has nothing left to do."""
        self.page.wait_for_function(
            f"() => {{ {_PANEL} return panel.sessionContext.session.kernel.status === 'idle' }}"
        )

    def wait_for(self, expression: str, value: Any) -> None:
        """Wait until a Python expression has a value in the kernel."""
        deadline = time.monotonic() + PATIENCE
        while (found := self.kernel(expression)) != value:
            if time.monotonic() > deadline:
                raise LabError(f"{expression} is {found!r}, not {value!r}")
            self.lab.frames(3)

    def kernel(self, expression: str) -> Any:
        """Evaluate a Python expression in the kernel; its value must be JSON-able."""
        reply = self.page.evaluate(
            f"""async ([code, ms]) => {{
                {_PANEL} {_WITH_TIMEOUT}
                const kernel = panel.sessionContext.session.kernel;
                const done = await within(kernel.requestExecute({{
                    code: '', silent: true, store_history: false, user_expressions: {{value: code}},
                }}).done, ms);
                return done.content.user_expressions.value;
            }}""",
            [f"__import__('json').dumps({expression})", PATIENCE * 1000],
        )
        if reply["status"] != "ok":
            raise LabError(f"{expression}: {reply['ename']}: {reply['evalue']}")
        return json.loads(ast.literal_eval(reply["data"]["text/plain"]))

    def save(self) -> None:
        """Write the document to disk."""
        self.lab.command("docmanager:save")
