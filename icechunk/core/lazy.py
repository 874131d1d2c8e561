"""Load the public names of a package when they are first used (SPEC 1 of Scientific Python).

The names are written once, in the stub file of the package (``__init__.pyi``), which type checkers
and editors read; programs get the same names from the same file.
"""

from __future__ import annotations

import ast
import gc
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any


def public_names(module: str) -> dict[str, tuple[str, str]]:
    """Module and name behind each public name that a stub lists, in the order of the file.

    Parameters
    ----------
    module : str
        Name of an imported module with a stub of ``from module import name as name`` lines.
        ``other = name`` gives a second name. ``from module import *`` adds the names of another
        stub, but not the modules of that package. Other lines are ignored.
    """
    names: dict[str, tuple[str, str]] = {}
    stub = Path(str(sys.modules[module].__file__)).with_suffix(".pyi")
    for node in ast.parse(stub.read_bytes()).body:
        if isinstance(node, ast.Assign):
            (alias_of,), original = node.targets, node.value
            if isinstance(alias_of, ast.Name) and isinstance(original, ast.Name):
                names[alias_of.id] = names[original.id]
        if not isinstance(node, ast.ImportFrom) or node.module is None:
            continue
        for alias in node.names:
            if alias.name == "*":
                others = public_names(node.module).items()
                names |= {name: home for name, home in others if home[0] != node.module}
            elif alias.asname is not None:
                names[alias.asname] = node.module, alias.name
    return names


def _imported(module: str) -> Any:
    """Import a module and what it imports, without a garbage collection meanwhile.

    The objects of an import stay, but so many new ones start a collection over everything that
    the program has loaded: a fifth of the time of the import.
    """
    if not gc.isenabled():
        return import_module(module)
    gc.disable()
    try:
        return import_module(module)
    finally:
        gc.enable()


def attach(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Make ``__getattr__``, ``__dir__`` and ``__all__`` of a package from its stub file.

    Parameters
    ----------
    package : str
        Name of the package; it is being imported.

    Returns
    -------
    tuple
        Assign it to ``__getattr__, __dir__, __all__``.
    """
    module = sys.modules[package]
    names = public_names(package)

    def load(name: str) -> Any:
        if name not in names:
            raise AttributeError(
                f"module {package!r} has no attribute {name!r}", name=name, obj=module
            )
        home, original = names[name]
        if home == package:  # a module of the package itself
            return import_module(f"{package}.{original}")
        value = getattr(_imported(home), original)
        setattr(module, name, value)
        return value

    def listed() -> list[str]:
        return sorted({*vars(module), *names})

    public = [name for name, (home, _) in names.items() if home != package]
    return load, listed, sorted(public)
