"""Break the sources one expression at a time and see which test notices: python scripts/mutants.py [TESTS].

Draws MUTANTS of the changes that `changes` makes, with a fixed seed, and appends a row for each to tests/mutants.csv:
what became what, and the test that failed. A mutant that has a row is not run again; with TESTS, those whose last row
says "survived" run against these alone. Needs coverage. Which test runs which line is kept in the temporary folder:
remove it there when sources or tests have changed. Other sources are another draw.

Why no library: cosmic-ray and mutmut start an interpreter a mutant, ten seconds here before the first test, and most of
what they change is not worth it (annotations, messages) or ends in a type error. Here the tests are collected once; a
forked child gives the changed function its new code and meets the tests that run the changed line, those named like its
file first, until one fails or BUDGET seconds of them have passed. What runs at the import has a pytest of its own.
"""

import ast
import csv
import gc
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, NamedTuple

import coverage
import pytest

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "tests" / "mutants.csv"
PACKAGES = ["attention", "functional", "decoding", "models"]
SOURCES = "src/heedful"
MODULES = re.compile(r"self|cls|super\(\)|(torch|nn|F|math|np|inspect|itertools|heapq)(\.\w+)*")
MUTANTS, SEED = 300, 20261130
FIRST = 40
BUDGET, LIMIT = 30, 120
LINES, SECONDS = (Path(tempfile.gettempdir(), f"heedful-mutants.{kind}") for kind in ("lines", "seconds"))
FAILED = Path(tempfile.gettempdir(), "heedful-mutants.failed")
AGAIN = sys.argv[1:]

PAIRS = ["Lt", "LtE", "Gt", "GtE", "Eq", "NotEq", "Is", "IsNot", "In", "NotIn"]
PAIRS += ["And", "Or", "Add", "Sub", "Mult", "Div", "BitAnd", "BitOr"]
SWAPS = {getattr(ast, PAIRS[i]): getattr(ast, PAIRS[i ^ 1]) for i in range(len(PAIRS))}
SWAPS |= {ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.Pow: ast.Mult}
MAKERS = re.compile(r"torch\.(zeros|ones|empty|full|arange|tensor|finfo)|len|int|list|tuple|range|any|all|.*[A-Z]\w+")
TENSORS = ast.Name | ast.Attribute | ast.Call | ast.BinOp | ast.Subscript
# What no test should hold: types, texts, citations; and what this machine cannot tell apart, or only wrong code could.
SPARED_FIELDS = {"annotation", "returns", "decorator_list", "bases"}
SPARED = ast.JoinedStr | ast.Import | ast.ImportFrom
SPARED_NAMES = {"__all__", "TYPE_CHECKING", "warn", "_refusals", "extra_repr", "__repr__", "device", "strict"}


class Mutant(NamedTuple):
    """A change of one expression: the bytes from `start` to `end` of a file become `after`."""

    file: str
    place: str
    operator: str
    before: str
    after: str
    start: int
    end: int
    lines: range
    function: str


def changes(node: ast.AST) -> Iterator[tuple[str, str]]:
    """What a syntax node may become, with the name of the operator."""
    match node:
        case ast.Compare(left, [op], [right]) if type(op) in SWAPS:
            yield "comparison", f"({ast.unparse(ast.Compare(left, [SWAPS[type(op)]()], [right]))})"
        case ast.BinOp(left, op, right) if type(op) in SWAPS:
            yield "arithmetic", f"({ast.unparse(ast.BinOp(left, SWAPS[type(op)](), right))})"
        case ast.BoolOp(op, values):
            yield "and-or", f"({ast.unparse(ast.BoolOp(SWAPS[type(op)](), values))})"
        case ast.UnaryOp(_, operand):
            yield "unary", f"({ast.unparse(operand)})"
        case ast.Constant(bool(value)):
            yield "constant", str(not value)
        case ast.Constant(int(value) | float(value)):
            yield "constant", repr(value + 1)
        case ast.AugAssign(target, _, value):
            yield "statement", f"{ast.unparse(target)} = {ast.unparse(value)}"
        case ast.Expr(ast.Call()) | ast.Raise():
            yield "statement", "pass"
        case ast.Call(func, args, keywords):
            for keyword in (keyword for keyword in keywords if keyword.arg not in SPARED_NAMES):
                rest = [other for other in keywords if other is not keyword]
                yield "argument", ast.unparse(ast.Call(func, args, rest))
            named = [ast.unparse(arg) for arg in args[:2] if isinstance(arg, ast.Name | ast.Attribute)]
            if len(set(named)) == 2:
                yield "order", ast.unparse(ast.Call(func, [args[1], args[0], *args[2:]], keywords))
            owner = ast.unparse(getattr(func, "value", func))
            if isinstance(func, ast.Attribute) and not MODULES.fullmatch(owner):
                yield "call", f"({owner})"
            elif args and isinstance(args[0], TENSORS) and not MAKERS.fullmatch(ast.unparse(func)):
                yield "call", f"({ast.unparse(args[0])})"
        case ast.If(test) | ast.While(test) | ast.IfExp(test) if isinstance(test, ast.Name | ast.Attribute | ast.Call):
            yield "condition", f"not ({ast.unparse(test)})"


def spared(node: ast.AST) -> bool:
    """Whether nothing below a node is worth a mutant."""
    target = getattr(node, "targets", [None])[0]
    called = getattr(node, "func", None) or getattr(node, "test", None)
    parts = [node, target, called, getattr(called, "value", None)]
    names = {getattr(part, name, None) for part in parts for name in ("name", "id", "attr", "arg")}
    citation = isinstance(node, ast.Call) and getattr(node.func, "id", "").isupper()
    return isinstance(node, SPARED) or citation or not SPARED_NAMES.isdisjoint(names)


def walk(node: ast.AST) -> Iterator[ast.AST]:
    """The syntax nodes worth a mutant; of a raised error only that it is raised."""
    yield node
    statement = isinstance(node, ast.Expr)
    for field, value in ast.iter_fields(node):
        if field in SPARED_FIELDS or isinstance(node, ast.Raise):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not spared(child):
                yield from (walk(child) if not statement else list(walk(child))[1:])


def functions(node: ast.AST, name: str = "") -> Iterator[tuple[str, int, int]]:
    """The functions of a module and of its classes: name, first and last line of the body."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield from functions(child, f"{name}{child.name}.")
        elif isinstance(child, ast.FunctionDef):
            yield name + child.name, child.body[0].lineno, child.end_lineno or child.lineno


def mutants(path: Path) -> Iterator[Mutant]:
    """All mutants of one file, in its order."""
    source = path.read_bytes()
    tree, starts = ast.parse(source), [0, *accumulate(map(len, source.splitlines(keepends=True)))]
    places = list(functions(tree))
    for node in walk(tree):
        for operator, after in changes(node):
            at: Any = node.test if operator == "condition" else node  # pyright: ignore[reportAttributeAccessIssue]
            start, end = starts[at.lineno - 1] + at.col_offset, starts[at.end_lineno - 1] + at.end_col_offset
            name, place = path.relative_to(ROOT / SOURCES).as_posix(), f"{at.lineno}:{at.col_offset}"
            before, lines = source[start:end].decode(), range(at.lineno, at.end_lineno + 1)
            function = "".join(name for name, first, last in places if first <= at.lineno <= last)
            yield Mutant(name, place, operator, before, after, start, end, lines, function)


def code_of(code: CodeType, name: str) -> list[CodeType]:
    """The code of a function in that of its module."""
    inside = [const for const in code.co_consts if isinstance(const, CodeType)]
    return [const for const in inside if const.co_qualname == name] + [
        c for const in inside for c in code_of(const, name)
    ]


class Hunt:
    """A plugin of pytest that runs the collected tests against mutant after mutant, each in a child."""

    def __init__(self, drawn: list[Mutant]):
        self.drawn = drawn

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """In place of running the tests once."""
        data, seconds = coverage.CoverageData(str(LINES)), json.loads(SECONDS.read_text())
        data.read()
        names = {path.rpartition("/heedful/")[2]: path for path in data.measured_files()}
        items = {item.nodeid: item for item in session.items}
        loaded = [thing for thing in gc.get_objects() if type(thing) is FunctionType]
        for mutant in self.drawn:
            start = time.monotonic()
            tests = list(items)
            if not AGAIN:
                tests = order(mutant, data.contexts_by_lineno(names[mutant.file]), seconds)
            source = Path(SOURCES, mutant.file).read_bytes()
            source = source[: mutant.start] + mutant.after.encode() + source[mutant.end :]
            path = str(Path(SOURCES, mutant.file).resolve())
            code = code_of(compile(source, path, "exec"), mutant.function)
            victims = [f for f in loaded if (f.__code__.co_filename, f.__code__.co_qualname) == (path, mutant.function)]
            FAILED.write_text("")
            cells = {function.__code__.co_freevars for function in victims}
            if len(code) == 1 and cells == {code[0].co_freevars}:
                survived = self.in_place(victims, code[0], [items[test] for test in tests])
            else:
                survived = self.afresh(Path(path), source, tests[:FIRST])
            found = ("survived", "") if survived else ("killed", FAILED.read_text() or "out of time, or pytest itself")
            with RESULTS.open("a", newline="") as table:
                row = [*mutant[:5], *found, f"{time.monotonic() - start:.1f}", ""]
                csv.writer(table, lineterminator="\n").writerow(row)
        return True

    def in_place(self, victims: list[FunctionType], code: CodeType, items: list[pytest.Item]) -> bool:
        """Whether all tests pass when functions that are imported have other code."""
        child = os.fork()
        if not child:
            signal.alarm(LIMIT)
            for function in victims:
                function.__code__ = code
            done = False
            try:
                for item, following in zip(items, [*items[1:], None], strict=True):
                    item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
                    if FAILED.read_text():
                        break
                else:
                    done = True
            finally:  # what breaks pytest itself must not go on as a second parent
                os._exit(0 if done else 1)
        return os.waitpid(child, 0)[1] == 0

    def afresh(self, path: Path, source: bytes, tests: list[str]) -> bool:
        """Whether all tests pass when a file is another; for what happens once, at the import."""
        original, stamp = path.read_bytes(), path.stat()
        path.write_bytes(source)
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *(AGAIN or tests)]
        result = subprocess.run(command, env=os.environ | {"PYTHONPATH": "src"}, capture_output=True, text=True)
        path.write_bytes(original)
        os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        FAILED.write_text(
            next(iter(re.findall(r"^(?:FAILED|ERROR) (\S+)", result.stdout, re.MULTILINE)), "at the import")
        )
        return result.returncode == 0

    def pytest_runtest_logreport(self, report: pytest.TestReport):
        """Write down the test that noticed."""
        if report.failed:
            FAILED.write_text(report.nodeid)


class Traced:
    """A plugin of pytest that tells which tests run a line, and how long each takes."""

    def __init__(self):
        self.coverage = coverage.Coverage(data_file=str(LINES), source=[SOURCES])
        self.seconds: dict[str, float] = defaultdict(float)
        self.coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item):
        """Each test is a context of its own."""
        self.coverage.switch_context(item.nodeid)
        return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport):
        """Setting up and tearing down count."""
        self.seconds[report.nodeid] += report.duration

    def pytest_sessionfinish(self):
        """Leave both to the parent."""
        self.coverage.stop()
        self.coverage.save()
        SECONDS.write_text(json.dumps(self.seconds))


def order(mutant: Mutant, lines: dict[int, list[str]], seconds: dict[str, float]) -> list[str]:
    """The tests that run a line of the mutant, else any of its file: each test's first row before the second of any."""
    own = {test for line in mutant.lines for test in lines.get(line, ())} - {""}
    tests = own or {test for line in lines.values() for test in line} - {""}
    stem, rows, ranked = Path(mutant.file).stem, Counter(), []
    for test in sorted(tests, key=lambda test: (stem not in test, seconds[test], test)):
        name = test.partition("[")[0]
        rows[name] += 1
        ranked.append((rows[name], test))
    ranked = [test for _, test in sorted(ranked, key=lambda pair: pair[0])]
    spent = accumulate(seconds[test] for test in ranked)
    return [test for test, until in zip(ranked, spent, strict=True) if until < BUDGET]


def main():
    """See once which test runs which line, and go through the mutants."""
    paths = [path for package in PACKAGES for path in sorted((ROOT / SOURCES / package).rglob("*.py"))]
    drawn = [mutant for path in paths if path.stem != "source" for mutant in mutants(path)]
    with RESULTS.open(newline="") as table:
        rows = {tuple(row[:5]): row[5] for row in csv.reader(table)}
    wanted = "survived" if AGAIN else None
    drawn = [mutant for mutant in random.Random(SEED).sample(drawn, MUTANTS) if rows.get(mutant[:5]) == wanted]
    tests = [f"tests/{package}" for package in PACKAGES]
    if not SECONDS.exists():
        child = os.fork()
        if not child:
            os._exit(int(pytest.main(["-q", "-p", "no:cacheprovider", *tests], plugins=[Traced()])))
        if os.waitpid(child, 0)[1]:
            sys.exit("the tests fail without a mutant")
    pytest.main(["-q", "-s", "-p", "no:cacheprovider", *(AGAIN or tests)], plugins=[Hunt(drawn)])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="heedful-mutants-") as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".git", "__pycache__"))
        os.chdir(tree)
        sys.path.insert(0, str(tree / "src"))
        main()
