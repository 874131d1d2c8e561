"""Display results of lines anywhere in a cell, and errors of the magic as one line.

Programs that run notebooks detect a failure by the reply of the kernel or by an output of type
``error``.  An error therefore stays an exception of its own class, which IPython publishes as
both; only its rendering is replaced.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from icechunk_widgets.magic.run import error_line

NAME = "icechunk"


def on_one_line(error: BaseException, shell: Any, text: str | None = None) -> None:
    """Make IPython display an exception as one line, without traceback.

    Parameters
    ----------
    error : BaseException
        The exception.
    shell : IPython.core.interactiveshell.InteractiveShell
        The shell, for its colours.
    text : str, optional
        Text instead of that of the exception.
    """
    name = type(error).__name__
    if str(getattr(shell, "colors", "")).lower() != "nocolor":
        name = f"\x1b[31m{name}\x1b[39m"
    line = f"{name}: {error_line(error) if text is None else text}"
    vars(error)["_render_traceback_"] = partial(list, (line,))  # IPython's hook for this


class ShowEach(ast.NodeTransformer):
    """Display the results of lines that IPython itself would not display.

    IPython displays the last expression of a cell.  Lines of the magic elsewhere (in the middle, in
    a loop, in a function) are wrapped into a call of ``show_result``, except in assignments.

    Parameters
    ----------
    interactivity : callable
        Returns the value of ``ast_node_interactivity`` for the code being transformed.
    """

    def __init__(self, interactivity: Callable[[], str]) -> None:
        self._interactivity = interactivity
        self._by_shell = False

    def visit_Module(self, node: ast.Module) -> ast.AST:
        """Transform the statements of a cell."""
        how, last = self._interactivity(), node.body[-1:]
        shown: Iterable[ast.stmt] = last if last and isinstance(last[0], ast.Expr) else ()
        shown = {"all": node.body, "last": last, "none": ()}.get(how, shown)
        for statement in node.body:
            self._visit_statement(statement, any(statement is one for one in shown))
        return node

    def visit_running(self) -> None:
        """Transform the cell that loads the extension, which IPython has already parsed.

        IPython compiles the statements of a cell one by one.  In versions that keep them under
        another name, results in the middle of this one cell are not displayed.
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
        """Transform a body, of which IPython displays nothing."""
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
    """Whether an expression is a line of the magic, as IPython translates it."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "run_line_magic"
        and bool(node.args)
        and isinstance(node.args[0], ast.Constant)
        and node.args[0].value == NAME
    )
