"""What can be read at one sight: functions of 35 lines, six parameters, classes of twelve attributes, one name each."""

import ast
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import exporter

MOST_LINES = 35
MOST_PARAMETERS = 6
MOST_ATTRIBUTES = 12

PACKAGE = Path(exporter.__file__).parent
Function = ast.FunctionDef | ast.AsyncFunctionDef

EXCEPTIONS = {
    "metrics/registry.py Metrics: 25 attributes": "a family each",
    "simulator/apiserver.py Apiserver: 13 attributes": "the parts of an apiserver, each by its name",
    "simulator/watch_cache.py WatchCache: 13 attributes": "the state of a cache as Kubernetes' own has it",
}
"""Why these are larger."""


def functions(tree: ast.AST) -> Iterator[Function]:
    for node in ast.walk(tree):
        if isinstance(node, Function):
            yield node


def lines(function: Function) -> int:
    assert function.end_lineno is not None
    return function.end_lineno - function.lineno + 1


def parameters(function: Function) -> int:
    of = function.args
    names = [one.arg for one in (*of.posonlyargs, *of.args, *of.kwonlyargs)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def attributes(kind: ast.ClassDef) -> int:
    """Whatever is assigned to self; the fields of a dataclass are a value's."""
    return len(
        {
            node.attr
            for node in ast.walk(kind)
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
            if isinstance(node.value, ast.Name) and node.value.id == "self"
        }
    )


def public_type(node: ast.stmt) -> str | None:
    """The name of a class or of a type's alias."""
    if isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation) == "TypeAlias":
        name = ast.unparse(node.target)
    elif isinstance(node, ast.ClassDef):
        name = node.name
    else:
        return None
    return None if name.startswith("_") else name


def beyond(tree: ast.AST) -> Iterator[str]:
    limits: tuple[tuple[Callable[[Function], int], int, str], ...] = (
        (lines, MOST_LINES, "lines"),
        (parameters, MOST_PARAMETERS, "parameters"),
    )
    for function in functions(tree):
        for count, most, unit in limits:
            if count(function) > most:
                yield f"{function.name}: {count(function)} {unit}"
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and attributes(node) > MOST_ATTRIBUTES:
            yield f"{node.name}: {attributes(node)} attributes"


def test_nothing_is_larger_than_it_may_be_without_a_reason() -> None:
    found = {
        f"{path.relative_to(PACKAGE).as_posix()} {what}"
        for path in PACKAGE.rglob("*.py")
        for what in beyond(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert found == EXCEPTIONS.keys()


def test_no_two_public_classes_have_one_name() -> None:
    """But for the simulator's, which stands apart."""
    homes = Counter(
        name
        for path in PACKAGE.rglob("*.py")
        if not path.is_relative_to(PACKAGE / "simulator")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if (name := public_type(node))
    )
    assert [name for name, times in homes.items() if times > 1] == []


def test_what_is_too_large_is_found() -> None:
    body = "\n".join(f"        self.a{number} = 0" for number in range(MOST_LINES))
    text = f"class It:\n    def long(self, {', '.join('abcdefg')}):\n{body}\n"
    assert sorted(beyond(ast.parse(text))) == ["It: 35 attributes", "long: 36 lines", "long: 7 parameters"]
