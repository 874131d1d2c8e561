"""The shape of the code: layers, import cycles, sizes, and what a module may import.

Every import counts, also one inside a function or under ``TYPE_CHECKING``: code that names an
upper layer depends on it, whenever the import runs.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("icechunk", "icechunk_widgets")

#: Packages and single modules of `icechunk`, lowest first. Each imports lower layers or itself.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("_version", "core"),
    ("config",),
    ("spec",),
    ("storage", "changes", "display"),
    ("files", "conflicts", "virtual_chunks"),
    ("refs",),
    ("engine",),
    ("merging",),
    ("store", "maintenance", "diagnostics"),
    ("session",),
    ("repository",),
    ("xarray", "dask", "distributed", "virtual", "credentials", "snapshots", "ops", "types",
     "about", "vendor", "_exceptions", "_dask_blocks", "_xarray_store"),
    ("cli", "testing", "__init__", "__main__"),
    ("_icechunk_python",),
)  # fmt: skip
#: The same for `icechunk_widgets`.
WIDGET_LAYERS: tuple[tuple[str, ...], ...] = (
    ("kernel", "provenance"),
    ("arrays", "commits", "static_html"),
    ("diff", "workspace"),
    ("history", "resolver"),
    ("formatters", "sidebar"),
    ("magic",),
    ("__init__",),
)
LAYER_OF = {package: layer for layer, packages in enumerate(LAYERS) for package in packages}
WIDGET_LAYER_OF = {
    package: layer for layer, packages in enumerate(WIDGET_LAYERS) for package in packages
}
FACADES = LAYERS[-3]  # thin public modules; together they are one package

#: The only files that may name asyncio: everything else is plain functions.
ASYNC_SEAM = ("core/runtime.py", "storage/", "virtual_chunks/coalesce.py", "store/zarr_store.py")

#: A session tells its repository, and the repository makes sessions: the two public handles know
#: each other. The import stands inside a property, or under ``TYPE_CHECKING``.
BACK_REFERENCES = {("icechunk.session.session", "icechunk.repository")}

MAX_FILE_LINES = 500
#: Classes that users hold are one visible class each, whatever their number of methods.
PUBLIC_HANDLES = {
    "icechunk.repository.repository",
    "icechunk.session.session",
    "icechunk.store.zarr_store",
    "icechunk_widgets.resolver.widget",
}
MAX_FUNCTION_LINES = 60  # without its docstring


class Import(NamedTuple):
    """One import statement's target, absolute."""

    target: str
    line: int


def _sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def _module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {_module_name(path): path for package in PACKAGES for path in _sources(package)}
TREES = {name: ast.parse(path.read_text(), str(path)) for name, path in MODULES.items()}


def _absolute(module: str, node: ast.ImportFrom) -> str:
    if node.level == 0:
        return node.module or ""
    is_package = MODULES[module].name == "__init__.py"
    keep = module.split(".")[: len(module.split(".")) - node.level + is_package]
    return ".".join([*keep, node.module] if node.module else keep)


def _dynamic(node: ast.Call) -> str | None:
    """Return the name given to ``import_module("…")`` or ``__import__("…")``."""
    function = node.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if name in ("import_module", "__import__") and node.args:
        value = node.args[0]
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            return value.value
    return None


def _imports(module: str) -> Iterator[Import]:
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(module, node)
            for alias in node.names:  # a name that is a module is an import of that module
                submodule = f"{base}.{alias.name}"
                yield Import(submodule if submodule in MODULES else base, node.lineno)
        elif isinstance(node, ast.Call) and (name := _dynamic(node)) is not None:
            yield Import(name, node.lineno)


def _package(module: str) -> str:
    """Return the package of a module of `icechunk`: "config", "session", …"""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def _where(module: str, line: int) -> str:
    return f"{MODULES[module].relative_to(ROOT)}:{line}"


def _complain(problems: list[str]) -> None:
    if problems:
        pytest.fail("\n".join(sorted(set(problems))), pytrace=False)


ENGINE = [name for name in MODULES if name.split(".")[0] == "icechunk"]


def test_every_module_has_a_layer() -> None:
    _complain(
        [f"{name}: add its package to LAYERS" for name in ENGINE if _package(name) not in LAYER_OF]
    )


def test_imports_go_down_or_stay_in_the_package() -> None:
    problems = []
    for module in ENGINE:
        package = _package(module)
        for target, line in _imports(module):
            if target.split(".")[0] != "icechunk" or (module, target) in BACK_REFERENCES:
                continue
            other = _package(target)
            same_package = other == package or {other, package} <= set(FACADES)
            if not same_package and LAYER_OF.get(other, 99) >= LAYER_OF.get(package, 99):
                problems.append(f"{_where(module, line)}: {package} may not import {target}")
    _complain(problems)


def test_imports_of_the_widgets_go_down_or_stay_in_the_package() -> None:
    problems = []
    for module in (name for name in MODULES if name.split(".")[0] == "icechunk_widgets"):
        layer = WIDGET_LAYER_OF.get(_package(module))
        if layer is None:
            problems.append(f"{module}: add its package to WIDGET_LAYERS")
            continue
        for target, line in _imports(module):
            if target.split(".")[0] != "icechunk_widgets" or _package(target) == _package(module):
                continue
            if WIDGET_LAYER_OF.get(_package(target), 99) >= layer:
                problems.append(
                    f"{_where(module, line)}: {_package(module)} may not import {target}"
                )
    _complain(problems)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_import_cycles(package: str) -> None:
    graph = {
        module: {
            t.target
            for t in _imports(module)
            if t.target in MODULES and (module, t.target) not in BACK_REFERENCES
        }
        - {module}
        for module in MODULES
        if module.split(".")[0] == package
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(reversed(error.args[1])), pytrace=False)


def test_the_engine_never_imports_the_widgets() -> None:
    problems = []
    for module in ENGINE:
        hook = next(
            (
                node
                for node in TREES[module].body
                if module == "icechunk"
                and isinstance(node, ast.FunctionDef)
                and node.name == "load_ipython_extension"
            ),
            None,
        )
        for target, line in _imports(module):
            inside = hook is not None and hook.lineno <= line <= (hook.end_lineno or 0)
            if target.split(".")[0] == "icechunk_widgets" and not inside:
                problems.append(f"{_where(module, line)}: imports {target}")
    _complain(problems)


def test_asyncio_is_named_only_at_the_seam() -> None:
    problems = []
    for module in ENGINE:
        path = MODULES[module].relative_to(ROOT / "icechunk").as_posix()
        if path.startswith(ASYNC_SEAM):
            continue
        for target, line in _imports(module):
            if target.split(".")[0] == "asyncio":
                problems.append(f"{_where(module, line)}: names asyncio")
    _complain(problems)


def test_files_answer_one_question() -> None:
    problems = []
    for module, path in MODULES.items():
        lines = len(path.read_text().splitlines())
        if lines > MAX_FILE_LINES and module not in PUBLIC_HANDLES:
            problems.append(f"{_where(module, 1)}: {lines} lines (at most {MAX_FILE_LINES})")
    _complain(problems)


def test_functions_fit_on_a_screen() -> None:
    problems = []
    for module, tree in TREES.items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            first = node.body[1] if ast.get_docstring(node) and node.body[1:] else node.body[0]
            lines = (node.end_lineno or 0) - first.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                problems.append(f"{_where(module, node.lineno)}: {node.name} has {lines} lines")
    _complain(problems)


HEAVY = ("xarray", "dask", "distributed", "pandas", "obstore", "s3fs", "fsspec", "aiohttp",
         "IPython", "ipywidgets", "anywidget", "traitlets", "jupyter_server", "matplotlib",
         "hypothesis", "click", "rich", "icechunk_widgets")  # fmt: skip


def test_import_icechunk_loads_nothing_heavy() -> None:
    code = (
        "import sys, zarr; before = {m.split('.')[0] for m in sys.modules}\n"
        "import icechunk; new = {m.split('.')[0] for m in sys.modules} - before\n"
        f"print(*sorted(new & set({HEAVY!r})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [], "icechunk imports these eagerly"
