"""What the tests of one marker name, directly or in the tables and helpers they use; read from the sources alone."""

import ast
from pathlib import Path

TESTS = Path(__file__).parent


def names_reached(marker: str) -> set[str]:
    """Every name that stands in a test marked so, or in what it reaches: a table, a fixture, another test file."""
    files = {_dotted(path): _File(ast.parse(path.read_text(encoding="utf-8"))) for path in TESTS.rglob("*.py")}
    waiting = [(module, test) for module, file in files.items() for test in file.tests(marker)]
    seen, names = set(waiting), set()
    while waiting:
        module, name = waiting.pop()
        file = files[module]
        if name in file.imported:
            origin, original = file.imported[name]
            found = {(origin, original)} if origin in files else set()
            names.add(original)
        else:
            mentioned = {word for node in file.defined.get(name, ()) for word in words(node)}
            names |= mentioned
            found = {(module, word) for word in mentioned if word in file.defined or word in file.imported}
        waiting += found - seen
        seen |= found
    return names


class _File:
    """Of a test file: what is defined at its outermost level, under which names, and what is imported."""

    def __init__(self, tree: ast.Module) -> None:
        self.defined: dict[str, list[ast.AST]] = {}
        self.imported: dict[str, tuple[str, str]] = {}
        for node in tree.body:
            for name in _targets(node):
                self.defined.setdefault(name, []).append(node)
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    self.imported[alias.asname or alias.name] = (node.module or "", alias.name)

    def tests(self, marker: str) -> list[str]:
        """Names of the tests that are marked, each or the whole file."""
        functions = {name: nodes[0] for name, nodes in self.defined.items() if name.startswith("test_")}
        whole = any(marker in words(node) for node in self.defined.get("pytestmark", ()))
        return [
            name
            for name, node in functions.items()
            if whole or any(marker in words(each) for each in getattr(node, "decorator_list", ()))
        ]


def _targets(node: ast.AST) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else []
    return [word.id for target in targets for word in ast.walk(target) if isinstance(word, ast.Name)]


def words(node: ast.AST) -> set[str]:
    """Names, attributes and arguments, which may be fixtures."""
    found = set()
    for each in ast.walk(node):
        if isinstance(each, ast.Name):
            found.add(each.id)
        elif isinstance(each, ast.Attribute):
            found.add(each.attr)
        elif isinstance(each, ast.arg):
            found.add(each.arg)
    return found


def _dotted(path: Path) -> str:
    return ".".join(path.relative_to(TESTS.parent).with_suffix("").parts)
