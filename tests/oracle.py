"""The reference library, reachable only through a subprocess: it has our import name.

`ORACLE_PYTHON` is the interpreter of an environment that holds it, or None where no Python that it
runs on exists. Mark tests that use it with ``@pytest.mark.oracle``: they are skipped, with the
reason, where it is None. `ORACLE_V1_PYTHON` and ``@pytest.mark.oracle_v1`` are the same for the
last release that writes spec 1 only; `OLD_PYTHONS` and ``@pytest.mark.oracle_old`` for early
releases of both specs.
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

LATEST, LAST_V1 = "2.3.0", "1.1.21"
EARLY_V2, EARLY_V1 = "2.0.5", "1.0.3"


def _find(variable: str, default: str) -> Path | None:
    python = ROOT / os.environ.get(variable, default) / "bin" / "python"
    return python if python.exists() else None


ORACLE_PYTHON: Path | None = _find("ORACLE", ".oracle")
ORACLE_V1_PYTHON: Path | None = _find("ORACLE_V1", ".oracle-v1")
OLD_PYTHONS: dict[str, Path | None] = {
    EARLY_V2: _find("ORACLE_2_0", ".oracle-2.0"),
    EARLY_V1: _find("ORACLE_1_0", ".oracle-1.0"),
}
_PYTHONS = {LATEST: ORACLE_PYTHON, LAST_V1: ORACLE_V1_PYTHON, **OLD_PYTHONS}

_PROLOGUE = """\
import json, os, sys
with open(sys.argv[1]) as _file:
    args = json.load(_file)
result = None
"""
# Under load the reference's threads sometimes crash the interpreter while it ends, after the code
# has run and its answer is written: the process leaves without ending the interpreter.
_EPILOGUE = """
with open(sys.argv[2], "w") as _file:
    json.dump(result, _file)
sys.stdout.flush()
sys.stderr.flush()
os._exit(0)
"""


class ReferenceFailedError(RuntimeError):
    """The reference library's process failed; the message carries what it printed."""


def reference_python(library: str) -> Path:
    """Interpreter that has a release of the reference library."""
    python = _PYTHONS[library]
    if python is None:
        raise ReferenceFailedError(
            f"no environment with the reference library {library}; mark the test with "
            "pytest.mark.oracle, oracle_v1 or oracle_old"
        )
    return python


def clean_environment() -> dict[str, str]:
    """Variables for a reference process: none that would lead it to our `icechunk`."""
    return {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}


def run_reference(code: str, *args: Any, library: str = LATEST, timeout: float = 100.0) -> Any:
    """Run code beside the reference library and bring back what it leaves in ``result``.

    Parameters
    ----------
    code
        Python source, indented as the caller likes. It finds `args`, a list, and may import
        icechunk (the reference), zarr, numpy, xarray and dask.
    *args
        JSON-able values or paths (paths arrive as strings).
    library
        Release: ``"2.3.0"``, ``"1.1.21"``, ``"2.0.5"`` or ``"1.0.3"``.
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
    python = reference_python(library)
    with tempfile.TemporaryDirectory(prefix="icechunk-oracle-") as folder:
        given, answer = Path(folder, "args.json"), Path(folder, "result.json")
        given.write_text(json.dumps(args, default=os.fspath))
        script = Path(folder, "script.py")
        script.write_text(_PROLOGUE + textwrap.dedent(code) + _EPILOGUE)
        done = subprocess.run(
            [str(python), str(script), str(given), str(answer)],
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=folder,  # not the project: its `icechunk` would come first
            env=clean_environment(),
        )
        if done.returncode != 0:
            raise ReferenceFailedError(
                f"the reference process ended with {done.returncode}:\n{done.stderr}"
            )
        return json.loads(answer.read_text())
