"""How a line of the magic shows in a cell: its result wherever it stands, its failure in one line.

Programs that run notebooks look for different signs of a failure: the reply of the kernel, or an
output of the kind ``error``.  A failure therefore stays an exception of its own class, which
IPython publishes as both; only its rendering is ours.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from icechunk_widgets.magic.run import told

NAME = "icechunk"


def on_one_line(error: BaseException, shell: Any, text: str | None = None) -> None:
    """Let IPython show an exception as one line, without its traceback.

    Parameters
    ----------
    error : BaseException
        What was raised.
    shell : IPython.core.interactiveshell.InteractiveShell
        The shell, whose colours are used.
    text : str, optional
        What to say instead of the exception's own text.
    """
    name = type(error).__name__
    if str(getattr(shell, "colors", "")).lower() != "nocolor":
        name = f"\x1b[31m{name}\x1b[39m"
    line = f"{name}: {told(error) if text is None else text}"
    vars(error)["_render_traceback_"] = partial(list, (line,))  # IPython's hook for this


class ShowEach(ast.NodeTransformer):
    """Show the results of lines that IPython itself would not show.

    IPython shows the last expression of a cell.  Lines of the magic that stand elsewhere (in the
    middle, in a loop, in a function) are wrapped into ``show_result``; what is assigned is not.

    Parameters
    ----------
    interactivity : callable
        Which statements IPython shows: a value of ``ast_node_interactivity``.
    """

    def __init__(self, interactivity: Callable[[], str]) -> None:
        self._interactivity = interactivity
        self._by_shell = False

    def visit_Module(self, node: ast.Module) -> ast.AST:
        """Go through the statements of a cell."""
        how, last = self._interactivity(), node.body[-1:]
        shown: Iterable[ast.stmt] = last if last and isinstance(last[0], ast.Expr) else ()
        shown = {"all": node.body, "last": last, "none": ()}.get(how, shown)
        for statement in node.body:
            self._visit_statement(statement, any(statement is one for one in shown))
        return node

    def visit_running(self) -> None:
        """Go through the cell that loads the extension, which IPython parsed before.

        IPython compiles the statements of a cell one by one, as it comes to them.  Where a version
        of it keeps them elsewhere, the middle of this one cell is not shown.
        """
        frame = inspect.currentframe()
        while frame is not None and frame.f_code.co_name != "run_ast_nodes":
            frame = frame.f_back
        for statement, mode in () if frame is None else frame.f_locals.get("to_run", ()):
            self._visit_statement(statement, mode == "single")
            ast.fix_missing_locations(statement)

    def _visit_statement(self, statement: ast.stmt, by_shell: bool) -> None:
        self._by_shell = by_shell
        self.visit(statement)

    def _visit_body(self, node: Any) -> ast.AST:
        """Go through a body that IPython does not show anything of."""
        before, self._by_shell = self._by_shell, False
        self.generic_visit(node)
        self._by_shell = before
        return node  # type: ignore[no-any-return]

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = _visit_body

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        """Wrap a line of the magic."""
        if self._by_shell or not _is_line(node.value):
            return node
        call = ast.parse("get_ipython()._icechunk_cells.show_result()", mode="eval").body
        assert isinstance(call, ast.Call)
        call.args = [node.value]
        for part in ast.walk(call.func):
            ast.copy_location(part, node.value)
        node.value = ast.copy_location(call, node.value)
        return node


def _is_line(node: ast.expr) -> bool:
    """Whether an expression is a line of the magic, as IPython spells it."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "run_line_magic"
        and bool(node.args)
        and isinstance(node.args[0], ast.Constant)
        and node.args[0].value == NAME
    )
