"""A cell as a transaction, in a real JupyterLab: commit, roll back, provenance of commits."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from tests.lab.labtools import HOLD, Lab, write_notebook
from tests.lab.story import in_both_themes

CELLS = [
    "%load_ext icechunk\n%icechunk init transactions",
    '%%icechunk commit "Calm sea" run=1\n'
    "import zarr, asyncio\n"
    'sst = zarr.create_array(store, name="SST", shape=(4, 4), chunks=(2, 2), dtype="f4")\n'
    "sst[:] = 20\n"
    "await asyncio.sleep(0)\n"
    "float(sst[0, 0])",
    '%%icechunk commit "Storm"\n' + HOLD + 'sst = zarr.open_array(store, path="SST")\n'
    "sst[:] = -99\n"
    'raise ValueError("the instrument failed")',
    "%icechunk status",
    "%icechunk log",
    "shown = %icechunk show\nshown",
    "%icechunk reset HEAD~1",
    "%icechunk comit oops",
    "later = 1",
]


def test_a_cell_commits_or_takes_back_what_it_did(lab: Lab, notebooks: Path) -> None:
    write_notebook(notebooks / "transactions.ipynb", CELLS)
    notebook = lab.open("transactions.ipynb")
    for number in (0, 1):
        notebook.run(number)
    expect(notebook.output(1)).to_contain_text("20.0")
    expect(notebook.output(1)).to_contain_text("Calm sea")

    (notebooks / "go").touch()
    failed = notebook.run(2, allow_error=True)
    assert [one["ename"] for one in failed if one["output_type"] == "error"] == ["ValueError"]
    expect(notebook.output(2)).to_contain_text("main is unchanged")
    notebook.run(3)
    expect(notebook.output(3)).to_contain_text("nothing to commit")
    assert notebook.kernel("[float(zarr.open_array(store, path='SST')[0, 0])]") == [20.0]

    notebook.run(4)
    expect(notebook.output(4).get_by_test_id("icechunk-history")).to_contain_text("Calm sea")
    notebook.run(5)
    expect(notebook.output(5)).to_contain_text("transactions.ipynb")
    metadata = notebook.kernel("shown.metadata")
    assert metadata["run"] == 1
    assert metadata["provenance"]["notebook"].endswith("transactions.ipynb")
    assert metadata["provenance"]["execution_count"] == 2
    assert metadata["provenance"]["cell"]
    assert {"python", "zarr", "numpy"} <= set(metadata["provenance"]["packages"])
    lab.screenshot("magic", notebook.output(5))

    notebook.run(6, allow_error=True)
    expect(notebook.output(6)).to_contain_text("nothing was done; add --yes")
    expect(notebook.output(6)).to_contain_text("leave 1 commit in no branch or tag")
    lab.page.evaluate("() => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = 2 }")
    notebook.run_held("notebook:run-all-below", notebooks)
    expect(notebook.cell(2)).to_contain_text("[8]")
    expect(notebook.output(2)).to_contain_text("the instrument failed")
    assert notebook.kernel("'later' in dir()") is False  # the failing cell stopped the rest

    notebook.run(7, allow_error=True)
    expect(notebook.output(7)).to_contain_text("did you mean `commit`?")
    expect(notebook.output(7)).not_to_contain_text("Traceback")


CONFLICT = [
    "from tests.widgets.scenes import array, climate, commit_value, values\nrepo = climate()\n"
    "%load_ext icechunk\n%icechunk status",
    'array(session)[3] = 5\n%icechunk commit "in the middle"\n6 * 7',
    HOLD + "array(session)[:2] = -2\ncommit_value(repo, slice(0, 2), -1, 'theirs')\n"
    '%icechunk commit "mine"\nprint("published")',
    "later = 1",
    "%icechunk tag v1",
]


def test_run_all_stops_at_a_conflict_and_goes_on_once_it_is_decided(
    lab: Lab, notebooks: Path
) -> None:
    write_notebook(notebooks / "conflict.ipynb", CONFLICT)
    notebook = lab.open("conflict.ipynb")
    notebook.run_held("notebook:run-all-cells", notebooks)
    expect(notebook.cell(2)).to_contain_text("[3]")
    note, value = notebook.outputs(1)
    assert "to main: in the middle" in note["data"]["text/plain"]
    assert value["data"]["text/plain"] == "42"

    error, shown = notebook.outputs(2, allow_error=True)
    assert (error["ename"], len(error["traceback"])) == ("ConflictError", 1)
    assert "application/vnd.jupyter.widget-view+json" in shown["data"]
    assert notebook.kernel("'later' in dir()") is False  # Run All stopped
    output = notebook.output(2)
    expect(output).to_contain_text("main moved on since this session was opened")
    expect(output).not_to_contain_text("Traceback")
    resolver = output.get_by_test_id("icechunk-resolver")
    expect(resolver.get_by_test_id("icechunk-counter")).to_contain_text("4 of 4")
    line = output.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.stderr']")
    assert line.bounding_box()["y"] < resolver.bounding_box()["y"]  # the resolver is below it
    in_both_themes(lab, "conflict-stops", output)

    notebook.run(4, allow_error=True)
    expect(notebook.output(4)).to_contain_text("its resolver is below In [3]; complete it")
    assert notebook.kernel("list(repo.list_tags())") == []
    lab.screenshot("conflict-refuses", notebook.output(4))

    resolver.get_by_test_id("icechunk-select-all").click()
    resolver.get_by_test_id("icechunk-keep-ours").click()
    expect(resolver.get_by_test_id("icechunk-message")).to_have_value("mine")
    resolver.get_by_test_id("icechunk-complete").click()
    expect(resolver.get_by_test_id("icechunk-result")).to_contain_text("main")
    in_both_themes(lab, "conflict-completed", output)

    for number in (3, 4):
        notebook.run(number)
    assert notebook.kernel("values(repo)[0, 0, :4].tolist()") == [-2, -2, -2, -2]
    assert notebook.kernel("repo.lookup_tag('v1') == repo.lookup_branch('main')") is True
