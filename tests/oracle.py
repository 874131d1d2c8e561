"""The reference library, reachable only through a subprocess: it has our import name.

`ORACLE_PYTHON` is the interpreter of an environment that holds it, or None where no Python that it
runs on exists. Mark tests that use it with ``@pytest.mark.oracle``: they are skipped, with the
reason, where it is None.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import textwrap
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def _find() -> Path | None:
    folder = Path(os.environ.get("ORACLE", ROOT / ".oracle"))
    python = ROOT / folder / "bin" / "python"
    return python if python.exists() else None


ORACLE_PYTHON: Path | None = _find()

_PROLOGUE = """\
import json, sys
with open(sys.argv[1]) as _file:
    args = json.load(_file)
result = None
"""
_EPILOGUE = """
with open(sys.argv[2], "w") as _file:
    json.dump(result, _file)
"""


class ReferenceFailedError(RuntimeError):
    """The reference library's process failed; the message carries what it printed."""


def run_reference(code: str, *args: Any, timeout: float = 100.0) -> Any:
    """Run code beside the reference library and bring back what it leaves in ``result``.

    Parameters
    ----------
    code
        Python source, indented as the caller likes. It finds `args`, a list, and may import
        icechunk (the reference), zarr, numpy, xarray and dask.
    *args
        JSON-able values or paths (paths arrive as strings).
    timeout
        Seconds until the process is killed and the test fails.

    Returns
    -------
    Any
        The JSON-able value of ``result`` at the end of the code, None when it was not set.

    Raises
    ------
    ReferenceFailedError
        When the code raises; the message ends in its traceback.
    """
    if ORACLE_PYTHON is None:
        raise ReferenceFailedError(
            "no reference environment; mark the test with pytest.mark.oracle"
        )
    with tempfile.TemporaryDirectory(prefix="icechunk-oracle-") as folder:
        given, answer = Path(folder, "args.json"), Path(folder, "result.json")
        given.write_text(json.dumps(args, default=os.fspath))
        script = Path(folder, "script.py")
        script.write_text(_PROLOGUE + textwrap.dedent(code) + _EPILOGUE)
        done = subprocess.run(
            [str(ORACLE_PYTHON), str(script), str(given), str(answer)],
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=folder,  # not the project: its `icechunk` would come first
            env={k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")},
        )
        if done.returncode != 0:
            raise ReferenceFailedError(
                f"the reference process ended with {done.returncode}:\n{done.stderr}"
            )
        return json.loads(answer.read_text())
