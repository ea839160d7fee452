"""The architecture, decided by a test: layers, doors, sizes, quiet imports.

Arrows point down, each outside thing has one door, and importing starts nothing.
All of it is read from the sources by `ast`, so a new module is held to it at once.
"""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]

LEVELS = {
    0: ("lb", "lb.errors", "lb.model", "lb.native", "lb.patching"),
    1: ("lb.config", "lb.http1", "lb.balance", "lb.shm", "lb.streams"),
    2: ("lb.upstream", "lb.plan", "lb.inforce"),
    3: ("lb.health", "lb.proxy"),
    4: (
        "lb.process",
        "lb.arbiter",
        "lb.rendering",
        "lb.operating",
        "lb.reloading",
    ),
    5: ("lb.report",),
    6: ("lb.worker", "lb.wsgi", "lb.cli", "lb.admin"),
    7: ("lb.__main__",),
}
"""Modules and packages; each imports from lower levels and its own package only."""

DOORS = {
    "gevent": {
        "lb.streams.hub",
        "lb.streams.crew",
        "lb.streams.race",
        "lb.worker",
        "lb.cli",
    },
    "greenlet": {"lb.streams.hub_stream", "lb.streams.crew"},
    "gunicorn": {"lb.worker", "lb.admin.worker"},
    "gunicorn_h1c": {"lb.http1"},
    "requests": {"lb.health", "lb.cli.reach.http"},
    "prometheus_client": {"lb.admin"},
    "textual": {"lb.cli.top"},
    "opentelemetry": {"lb.admin.otlp"},
    "urllib3": {"lb.health"},
    "flask": {"lb.wsgi", "lb.admin"},
    "werkzeug": {"lb.wsgi", "lb.admin"},
    # The arbiter only looks whether its addresses are free before anything starts.
    "socket": {
        "lb.streams",
        "lb.health",
        "lb.worker",
        "lb.arbiter",
        "lb.admin.worker",
        "lb.admin.streaming",
    },
    "_socket": {"lb.streams", "lb.health", "lb.worker"},
    "mmap": {"lb.shm"},
    # Locks on the shared file; the size of a pipe.
    "fcntl": {"lb.shm", "lb.streams.splice"},
    "tomllib": {"lb.config"},
}
"""Who may import what stands outside: a module, or a package for all its modules."""

ENVIRONMENT = {"lb.config", "lb.arbiter"}
"""Who reads the environment; the arbiter for gunicorn's own variables."""

MAY_SLEEP = {"lb.native", "lb.shm.locks"}
"""The door for real threads; and a lock of another process, which can only be tried
again if the wait for it is to have a deadline."""

MAX_FUNCTION_LINES = 50
MAX_MODULE_LINES = 400
MAX_POSITIONAL = 4
MEDIAN_FUNCTION_LINES = 8
NINETIETH_FUNCTION_LINES = 25
MAX_NESTING = 4
"""Most functions have 2, as the style asks; a loop that retries has more."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


SOURCES = {module_name(p): p for p in sorted((ROOT / "lb").rglob("*.py"))}
TREES = {name: ast.parse(path.read_text()) for name, path in SOURCES.items()}
MODULES = sorted(SOURCES)


def is_in(module: str, packages: object) -> bool:
    return any(module == p or module.startswith(f"{p}.") for p in packages)  # type: ignore[attr-defined]


def imports_of(name: str, *, at_import: bool = False) -> Iterator[tuple[str, int]]:
    """Every module that `name` imports, with the line; resolved to real modules.

    `at_import` leaves out what is imported in functions or for types only.
    """
    for node in nodes(TREES[name], at_import=at_import):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}:{node.lineno}: imports are absolute"
            assert node.module is not None
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield (inner if inner in SOURCES else node.module), node.lineno


def nodes(tree: ast.AST, *, at_import: bool) -> Iterator[ast.AST]:
    if not at_import:
        yield from ast.walk(tree)
        return
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, Function):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from nodes(child, at_import=True)


def level_of(module: str) -> int:
    for level, names in LEVELS.items():
        if module in names or is_in(module, (n for n in names if n != "lb")):
            return level
    raise AssertionError(f"{module} has no level: add it to LEVELS")


def package_of(module: str) -> str:
    return ".".join(module.split(".")[:2])


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_from_lower_levels_or_its_own_package(module: str) -> None:
    for imported, at in imports_of(module):
        if imported.split(".")[0] != "lb" or package_of(imported) == package_of(module):
            continue
        below = level_of(imported) < level_of(module)
        assert below, f"{SOURCES[module]}:{at} imports {imported}"


def test_modules_of_level_0_import_nothing_of_ours() -> None:
    for module in LEVELS[0]:
        ours = [name for name, _ in imports_of(module) if name.split(".")[0] == "lb"]
        assert ours == [], module


def test_balancer_and_tests_are_not_imported_by_each_other() -> None:
    for module in MODULES:
        tops = {name.split(".")[0] for name, _ in imports_of(module)}
        assert not tops & {"tests", "backend", "scripts", "bench", "trials"}, module


@pytest.mark.parametrize("outside", DOORS)
def test_each_outside_thing_has_its_doors(outside: str) -> None:
    for module in MODULES:
        for imported, at in imports_of(module):
            if is_in(imported, (outside,)):
                allowed = is_in(module, DOORS[outside])
                assert allowed, f"{SOURCES[module]}:{at} imports {imported}"


@pytest.mark.parametrize("module", MODULES)
def test_only_the_settings_read_the_environment(module: str) -> None:
    for node in ast.walk(TREES[module]):
        name = node.attr if isinstance(node, ast.Attribute) else None
        if name in {"environ", "environb", "getenv"} and not is_in(module, ENVIRONMENT):
            what = ast.unparse(node)
            assert not what.startswith("os."), f"{module}:{node.lineno}: {what}"  # type: ignore[attr-defined]


def test_no_imports_go_in_a_circle() -> None:
    """Modules that import each other have no order in which they can be read."""
    edges = {m: {i for i, _ in imports_of(m, at_import=True)} for m in MODULES}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path, module))
        if module in done or module not in edges:
            return
        for imported in edges[module] - {module}:
            visit(imported, (*path, module))
        done.add(module)

    for module in MODULES:
        visit(module, ())


def functions(module: str) -> Iterator[Function]:
    for node in ast.walk(TREES[module]):
        if isinstance(node, Function):
            yield node


def body_lines(function: Function) -> int:
    """Lines of a function's body, without its docstring."""
    body = function.body
    is_doc = isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
    left = body[1:] if is_doc else body
    return (left[-1].end_lineno or 0) - left[0].lineno + 1 if left else 0


def nesting(node: ast.AST, depth: int = 0) -> int:
    blocks = (ast.If, ast.For, ast.While, ast.With, ast.Try)
    deepest = depth
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (Function, ast.Lambda)):
            continue
        is_elif = isinstance(node, ast.If) and child in node.orelse
        deeper = isinstance(child, blocks) and not (
            is_elif and isinstance(child, ast.If)
        )
        deepest = max(deepest, nesting(child, depth + deeper))
    return deepest


@pytest.mark.parametrize("module", MODULES)
def test_modules_and_functions_keep_their_sizes(module: str) -> None:
    lines = len(SOURCES[module].read_text().splitlines())
    assert lines <= MAX_MODULE_LINES, f"{module} has {lines} lines"
    for function in functions(module):
        where = f"{module}:{function.lineno} {function.name}"
        assert body_lines(function) <= MAX_FUNCTION_LINES, where
        assert nesting(function) <= MAX_NESTING, where
        taken = [a for a in function.args.args if a.arg not in {"self", "cls"}]
        assert len(taken) <= MAX_POSITIONAL, where


def test_most_functions_are_short() -> None:
    sizes = sorted(body_lines(f) for m in MODULES for f in functions(m))
    assert statistics.median(sizes) <= MEDIAN_FUNCTION_LINES
    assert sizes[len(sizes) * 9 // 10] <= NINETIETH_FUNCTION_LINES


@pytest.mark.parametrize("module", MODULES)
def test_every_module_says_what_it_is_in_one_sentence_first(module: str) -> None:
    doc = ast.get_docstring(TREES[module])
    assert doc, module
    first = doc.split("\n\n")[0]
    assert first.endswith((".", ":", "?")), f"{module}: {first!r}"


@pytest.mark.parametrize("module", MODULES)
def test_nothing_is_called_utils_helpers_common_or_manager(module: str) -> None:
    vague = re.compile(r"(^|_)(utils?|helpers?|common|manager)(_|$)|(Utils?|Manager)$")
    made = (*Function.__args__, ast.ClassDef)  # type: ignore[attr-defined]
    names = [node.name for node in ast.walk(TREES[module]) if isinstance(node, made)]
    for name in (*module.split("."), *names):
        assert not vague.search(name), f"{module}: {name}"


@pytest.mark.parametrize("module", MODULES)
def test_nothing_is_left_to_do_and_nothing_sleeps(module: str) -> None:
    for number, line in enumerate(SOURCES[module].read_text().splitlines(), 1):
        assert not re.search(r"\b(TODO|FIXME|XXX)\b", line), f"{module}:{number}"
        if module not in MAY_SLEEP:
            sleeps = re.search(r"\btime\.sleep\(|from time import .*\bsleep\b", line)
            assert not sleeps, f"{module}:{number}: wait for a condition instead"


@pytest.mark.parametrize("module", MODULES)
def test_catching_everything_says_why_on_its_line(module: str) -> None:
    """Or right above it, where the line is full."""
    lines = ["", *SOURCES[module].read_text().splitlines()]
    for number, line in enumerate(lines):
        if re.search(r"except\s*(\(?(Base)?Exception\b.*)?:", line):
            if "BaseException" in line:
                continue  # cleans up and raises again; the next test looks at that
            above = lines[number - 1].strip()
            said = line.partition("#")[2].replace("noqa: BLE001", "").strip(" -#")
            assert said or above.startswith("#"), f"{module}:{number}: {line.strip()}"


@pytest.mark.parametrize("module", MODULES)
def test_what_catches_even_an_exit_raises_it_again(module: str) -> None:
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type else "BaseException"
            if "BaseException" in caught:
                last = node.body[-1]
                is_again = isinstance(last, ast.Raise) and last.exc is None
                assert is_again, f"{module}:{node.lineno}"


IMPORT_ALL = """
import importlib, os, signal, sys, threading
fds = set(os.listdir("/proc/self/fd"))
for name in sys.argv[1:]:
    importlib.import_module(name)
assert threading.active_count() == 1, threading.enumerate()
assert "gevent.monkey" not in sys.modules or not sys.modules["gevent.monkey"].saved
left = {fd for fd in os.listdir("/proc/self/fd") if fd not in fds}
kinds = [os.readlink(f"/proc/self/fd/{fd}") for fd in left
         if os.path.exists(f"/proc/self/fd/{fd}")]
# gevent keeps its own poll and event descriptors; nothing else is opened.
ours = [kind for kind in kinds if not kind.startswith("anon_inode:")]
assert ours == [], ours
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
assert len(os.listdir("/proc/self/task")) == 1, "a native thread was started"
"""


def test_importing_starts_nothing(tmp_path: Path) -> None:
    """No thread, no socket, no open file, no patch, no signal handler."""
    names = [module for module in MODULES if module != "lb.__main__"]
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
         + IMPORT_ALL, *names],
        cwd=tmp_path, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (done.stdout, done.stderr) == ("", "")
    assert list(tmp_path.iterdir()) == []
