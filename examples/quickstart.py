"""Run the quickstart notebook without a browser, and check the repository on disk.

    python examples/quickstart.py

Executes every cell of `quickstart.ipynb` in a real Jupyter kernel.  Instead of clicks in the
conflict resolver, this script makes the decisions through the widget's Python interface.  Then a
new process opens the repository and compares every chunk with the decision.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).resolve().parent

# Instead of clicks in the widget: keep Ana's version of January, mine of February, and the former
# values for one of its chunks.
CLICKS = """
resolver.decide("/SST", "theirs", chunks=[(0, 1, 1), (0, 1, 2)])
resolver.decide("/SST", "ours", chunks=[(1, 1, 1)])
resolver.decide("/SST", "base", chunks=[(1, 1, 2)])
resolver.complete()
"""

READ_BACK = """
import hashlib, json, sys
import icechunk, zarr

repo = icechunk.Repository.open(icechunk.local_filesystem_storage(sys.argv[1]))
group = zarr.open_group(repo.readonly_session("main").store, mode="r")
print(json.dumps({
    "history": [info.message for info in repo.ancestry(branch="main")],
    "branches": sorted(repo.list_branches()),
    "tags": sorted(repo.list_tags()),
    "sums": {name: hashlib.sha256(array[...].tobytes()).hexdigest()
             for name, array in sorted(group.arrays())},
}))
"""


def main() -> None:
    """Run the notebook, then read the repository in another process."""
    notebook = nbformat.read(HERE / "quickstart.ipynb", as_version=4)
    client = NotebookClient(
        notebook,
        timeout=300,
        resources={"metadata": {"path": str(HERE)}},
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
    )
    with client.setup_kernel():
        for number, cell in enumerate(notebook.cells):
            if cell.cell_type == "markdown":
                print(cell.source.splitlines()[0].lstrip("# "))
                continue
            client.execute_cell(cell, number)
            for output in cell.outputs:
                show(output)
            if cell["id"] == "resolve":
                run(client, CLICKS)
                print("    (decided four chunks and completed the rebase)")
        here = json.loads(run(client, SUMS.format(code=READ_BACK)))
    fresh = json.loads(
        subprocess.run(
            [sys.executable, "-c", READ_BACK, str(HERE / "output/coads")],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    )
    if here != fresh:
        raise SystemExit("a fresh process reads something else than the notebook's kernel")
    print(f"A fresh process reads the same {len(fresh['sums'])} arrays, byte for byte.")
    print("main:", " <- ".join(fresh["history"]))


def show(output: nbformat.NotebookNode) -> None:
    """Print the output of a cell, shortened."""
    text = output.text if output.output_type == "stream" else output.data.get("text/plain", "")
    lines = text.rstrip().splitlines()
    for line in lines[:12]:
        print("   ", line)
    if len(lines) > 12:
        print("    ...")


SUMS = """
import sys
_arguments, sys.argv = sys.argv, ["", "output/coads"]
exec({code!r})
sys.argv = _arguments
"""


def run(client: NotebookClient, code: str) -> str:
    """Run code in the notebook's kernel; returns what it printed."""
    cell = nbformat.v4.new_code_cell(code)
    client.nb.cells.append(cell)
    client.execute_cell(cell, len(client.nb.cells) - 1)
    client.nb.cells.pop()
    return "".join(o.text for o in cell.outputs if o.output_type == "stream")


if __name__ == "__main__":
    main()
