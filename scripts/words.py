"""Refuse words that make prose hard to read: `python scripts/words.py [FILE ...]`.

Looks at Markdown text outside code, and at the comments and string literals of Python and
TypeScript. Prints `file:line: "word": what to write instead` and exits 1 when it finds something.
Without arguments it reads every tracked file of the project.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

#: Pattern (case-insensitive, whole words) -> what to write instead.
WORDS = {
    r"told": "say what is printed, shown, raised or reported",
    r"tells? (?:apart|that|whether|of)": "`distinguishes`, `says`, `reports`",
    r"whoever|whosoever|somebody|anybody": "name the role: the user, another writer, a reader",
    r"nobody|no one": "name what does not happen: `no process`, `no reader`, `not used`",
    r"for want of|for lack of": "`because there is no ...`",
    r"on (?:its|their) way": "say the state: `in progress`, `not yet synced`",
    r"stranger'?s?": "`untrusted`",
    r"hostile": "`corrupt or malicious`",
    r"loses? (?:something|nothing)": "`discards data`, `discards no data`",
    r"so many at most": "`at most N`",
    r"anew": "`again`",
    r"thereof|therein|whence|hitherto|whereupon|thence": "plain English",
    r"wish(?:es|ed)?": "`request`, `wanted`",
    r"by and by|at one's leisure": "say when",
    r"the truth": "`the current state`",
    r"is a fact|what is a fact": "say which value",
    r"who is right": "`conflict detection`",
    r"from afar|far away": "`remote`",
    r"burnt": "`reserved`, `cannot be reused`",
    r"let(?:s|ting)? go of": "`discard`, `release`",
    r"put in (?:its|their) place": "`replaced`",
    r"ledgers?": "`ref store`",
}
_PATTERN = re.compile(
    "|".join(rf"(?P<w{number}>\b(?:{word})\b)" for number, word in enumerate(WORDS)), re.IGNORECASE
)
_ADVICE = list(WORDS.values())
#: Files that quote the words.
EXEMPT = {"scripts/words.py", "tests/architecture/test_words.py"}
CHECKED = (".py", ".pyi", ".ts", ".md")
_TS_TEXT = re.compile(
    r"/\*.*?\*/|(?<!:)//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|`(?:\\.|[^`\\])*`", re.DOTALL
)
_FIELD = re.compile(r"\{[^{}]*\}")
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)


def passages(path: Path, text: str) -> Iterator[tuple[int, str]]:
    """Yield the prose of a file: its first line's number (from 1), and the text."""
    if path.suffix == ".md":
        yield 1, _CODE.sub(lambda code: "\n" * code.group().count("\n"), text)
    elif path.suffix == ".ts":
        for found in _TS_TEXT.finditer(text):
            yield text.count("\n", 0, found.start()) + 1, found.group()
    else:
        prose = {tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", -1)}
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type in prose:
                yield token.start[0], _without_fields(token.string)


def _without_fields(literal: str) -> str:
    """Blank the expressions of an f-string: before Python 3.12 it is one token with its code."""
    if "f" not in literal[:2].lower().split('"')[0].split("'")[0]:
        return literal
    return _FIELD.sub(lambda field: re.sub(r"[^\n]", " ", field.group()), literal)


def findings(path: Path) -> Iterator[str]:
    """Yield one line for each word to replace in a file."""
    for first, passage in passages(path, path.read_text(encoding="utf-8")):
        for found in _PATTERN.finditer(passage):
            line = first + passage.count("\n", 0, found.start())
            advice = _ADVICE[int((found.lastgroup or "w0")[1:])]
            yield f'{path}:{line}: "{found.group()}": {advice}'


def tracked() -> list[Path]:
    """Return the tracked files to check, relative to the project's folder."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return [Path(name) for name in listed.stdout.split("\0") if name]


def main(names: list[str]) -> int:
    """Check the named files, or all; return the exit status."""
    count = 0
    for path in map(Path, names) if names else tracked():
        inside = path.resolve().relative_to(ROOT).as_posix() if path.is_absolute() else str(path)
        if path.suffix in CHECKED and inside not in EXEMPT and (ROOT / path).is_file():
            for line in findings(ROOT / path):
                print(line.removeprefix(f"{ROOT}/"))
                count += 1
    if count:
        print(f"{count} words to replace", file=sys.stderr)
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
