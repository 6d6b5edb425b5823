"""What users call says what its parameters are: `Args:` from four parameters on."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from collections.abc import Iterator
from typing import Any

import pytest

PACKAGES = ("worldmodel", "planning", "planning.control", "envs")
MANY = 4  # parameters


def public(package: str) -> Iterator[tuple[str, Any, Any]]:
    """Name, documented object and callable of every public function, class and method that a package exports."""
    module = importlib.import_module(package)
    for name in module.__all__:
        found = getattr(module, name)
        if inspect.isfunction(found):
            yield name, found, found
        if not inspect.isclass(found):
            continue
        # A dataclass documents its fields one by one.
        if "__init__" in vars(found) and not dataclasses.is_dataclass(found):
            yield name, found, found.__init__
        for method, value in vars(found).items():
            function = inspect.unwrap(getattr(value, "__func__", value))
            if not method.startswith("_") and inspect.isfunction(function):
                yield f"{name}.{method}", function, function


def parameters(function: Any) -> list[str]:
    """The parameters of a function but for the object that it belongs to."""
    names = list(inspect.signature(inspect.unwrap(function)).parameters)
    return [name for name in names if name not in ("self", "cls")]


@pytest.mark.parametrize("package", PACKAGES)
def test_functions_of_many_parameters_document_each(package: str) -> None:
    undocumented = {}
    for name, documented, function in public(package):
        text, wanted = inspect.getdoc(documented) or "", parameters(function)
        if len(wanted) >= MANY:
            missing = [each for each in wanted if f"\n  {each}: " not in text.partition("Args:")[2]]
            if missing:
                undocumented[name] = missing
    assert not undocumented


@pytest.mark.parametrize("package", PACKAGES)
def test_functions_of_many_parameters_name_the_errors_they_raise(package: str) -> None:
    """Those that raise in their own body; what they call may raise more."""
    silent = []
    for name, documented, function in public(package):
        if len(parameters(function)) >= MANY:
            raises = "raise ValueError(" in inspect.getsource(inspect.unwrap(function))
            if raises and "Raises:" not in (inspect.getdoc(documented) or ""):
                silent.append(name)
    assert not silent
