"""The docstrings of public functions and classes document each parameter, from four parameters on."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from .pages import ROOT

PACKAGES = ("worldmodel", "planning", "envs")
MANY = 4  # parameters

Function = ast.FunctionDef | ast.AsyncFunctionDef


def classes(package: str) -> dict[str, ast.ClassDef]:
    """The classes of a package by name."""
    trees = [ast.parse(file.read_text()) for file in (ROOT / package).rglob("*.py")]
    return {node.name: node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}


def method(owner: ast.ClassDef, name: str) -> Function | None:
    return next((node for node in owner.body if isinstance(node, Function) and node.name == name), None)


def inherited(owner: ast.ClassDef, name: str, known: dict[str, ast.ClassDef]) -> bool:
    """Whether a base class has the method, and so its documentation."""
    names = [ast.unparse(base).partition("[")[0] for base in owner.bases]
    bases = [known[base] for base in names if base in known]
    return any(method(base, name) is not None or inherited(base, name, known) for base in bases)


def public(package: str) -> Iterator[tuple[str, Function, str]]:
    """Name, function and docstring of every public function and method; a constructor has that of its class."""
    known = classes(package)
    for file in sorted((ROOT / package).rglob("*.py")):
        for node in ast.parse(file.read_text()).body:
            where = f"{file.relative_to(ROOT)} {getattr(node, 'name', '')}"
            if isinstance(node, Function) and not node.name.startswith("_"):
                yield where, node, ast.get_docstring(node) or ""
            if not isinstance(node, ast.ClassDef) or node.name.startswith("_"):
                continue
            for function in (each for each in node.body if isinstance(each, Function)):
                if function.name == "__init__":
                    yield where, function, ast.get_docstring(node) or ""
                elif not function.name.startswith("_") and not inherited(node, function.name, known):
                    yield f"{where}.{function.name}", function, ast.get_docstring(function) or ""


def parameters(function: Function) -> list[str]:
    """The parameters but for the object or class that the function belongs to."""
    found = function.args
    given = [*found.posonlyargs, *found.args, *found.kwonlyargs, *filter(None, (found.vararg, found.kwarg))]
    return [each.arg for each in given if each.arg not in ("self", "cls")]


def is_overload(function: Function) -> bool:
    return any(ast.unparse(each) == "overload" for each in function.decorator_list)


def many(package: str) -> list[tuple[str, Function, str]]:
    """The public functions with many parameters."""
    return [each for each in public(package) if len(parameters(each[1])) >= MANY and not is_overload(each[1])]


@pytest.mark.parametrize("package", PACKAGES)
def test_each_of_many_parameters_is_documented(package: str) -> None:
    functions = many(package)
    undocumented = {
        name: missing
        for name, function, text in functions
        if (missing := [each for each in parameters(function) if f"\n  {each}: " not in text.partition("Args:")[2]])
    }
    assert functions and not undocumented


@pytest.mark.parametrize("package", PACKAGES)
def test_errors_raised_in_a_function_of_many_parameters_are_documented(package: str) -> None:
    silent = [
        name
        for name, function, text in many(package)
        if any(isinstance(node, ast.Raise) and node.exc is not None for node in ast.walk(function))
        and not ("Raises:" in text or text.startswith("Raise "))
    ]
    assert not silent
