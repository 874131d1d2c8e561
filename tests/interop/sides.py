"""The two sides of an interop test: our library here, the reference in a process of its own."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from tests.interop import actions
from tests.oracle import LATEST, ReferenceFailedError, clean_environment, reference_python

_SERVER = """
import json, os, sys, traceback
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # the library logs to stdout
sys.path.insert(0, sys.argv[1])
import actions
for line in sys.stdin:
    try:
        answer = {"result": actions.run(json.loads(line))}
    except BaseException as error:
        answer = {
            "error": type(error).__name__,
            "kind": getattr(error, "kind", None),
            "text": traceback.format_exc(),
        }
    print(json.dumps(answer), file=answers, flush=True)
"""


class Side(Protocol):
    """Carries out commands of `tests.interop.actions`."""

    name: str

    def __call__(self, do: str, **arguments: Any) -> Any: ...


class Ours:
    """This library, in this process."""

    name = "ours"

    def __call__(self, do: str, **arguments: Any) -> Any:
        result = actions.run({"do": do, **arguments})
        return json.loads(json.dumps(result))


class Theirs:
    """The reference library, in one process that lives as long as this object.

    Parameters
    ----------
    library : str
        Its release.
    """

    def __init__(self, library: str = LATEST) -> None:
        self.name = f"theirs {library}"
        self._folder = tempfile.TemporaryDirectory(prefix="icechunk-interop-")
        folder = Path(self._folder.name)
        # alone in a folder: next to this project the reference could not be imported
        (folder / "actions.py").write_text(Path(actions.__file__).read_text())
        (folder / "server.py").write_text(_SERVER)
        self._errors = (folder / "stderr").open("w")
        self._process = subprocess.Popen(
            [str(reference_python(library)), "-I", str(folder / "server.py"), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            cwd=folder,
            env=clean_environment(),
        )

    def __call__(self, do: str, **arguments: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise ReferenceFailedError("the reference process died")
        answer = json.loads(line)
        if "error" in answer:
            raise ReferenceFailedError(f"{self.name}: {do} failed:\n{answer['text']}")
        return answer["result"]

    def __enter__(self) -> Theirs:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._process.stdout.close()
        self._errors.close()
        self._folder.cleanup()
