"""Environments by their Gymnasium id, those of a user's own file among them.

Besides a registered id, `MODULE:ID` imports a module first, as in Gymnasium itself, so that a file in the current
folder is enough: `my_arm:ReachArm-v0`. An environment that the module does not register goes by the name of its class,
or of a function that returns one: `my_arm:ReachArm`.
"""

from __future__ import annotations

import difflib
import importlib
import warnings
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec


def registered(suite: str, name: str, **settings: Any) -> gymnasium.Env:
    """Return the environment registered as `name`, without Gymnasium's passive checker (see `check_reward_task`).

    Args:
      suite: prefix of the name in error messages.
      name: the id, or `MODULE:ID`.
      settings: of `gymnasium.make`.

    Raises:
      ValueError: an id that is not registered, or a module without it.
      ImportError: the environment's package, or the module, is not installed.
    """
    module, colon, inner = name.rpartition(":")
    source: str | EnvSpec = _of_module(suite, module, inner) if colon else name
    try:
        with warnings.catch_warnings(record=True) as raised:  # deprecated versions, which the error also mentions
            warnings.simplefilter("always")
            env = gymnasium.make(source, disable_env_checker=True, **settings)
    except (gymnasium.error.DependencyNotInstalled, ImportError) as error:
        if newest := _newest(name):
            raise ValueError(f"{suite}/{name} is no longer part of Gymnasium: take {suite}/{newest}") from error
        raise ImportError(f"{suite}/{name} needs a package that is not installed: {error}") from error
    except gymnasium.error.Error as error:
        close = [f"{suite}/{match}" for match in [_newest(name)] if match]
        close = close or [f"{suite}/{match}" for match in difflib.get_close_matches(name, gymnasium.registry, n=3)]
        hint = (
            f"did you mean {' or '.join(close)}?"
            if close
            else f"name the module that registers it, as in {suite}/my_module:{name}"
        )
        raise ValueError(f"Gymnasium has no environment {name!r} here: {hint}") from error
    for each in raised:
        warnings.warn(each.message, each.category, stacklevel=2)
    return env


def _of_module(suite: str, module: str, name: str) -> str | EnvSpec:
    """Import a module; return the id that it registers, or the specification of its class or function `name`."""
    whole = f"{suite}/{module}:{name}"
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and (module == error.name or module.startswith(f"{error.name}.")):
            raise ImportError(
                f"{whole} names the module {module!r}, and there is none: start in the folder of {module}.py, or "
                "install its package"
            ) from error
        raise ImportError(f"{whole} needs a package that is not installed: {error}") from error
    except Exception as error:
        raise ValueError(f"importing {module!r} for {whole} raised {type(error).__name__}: {error}") from error
    if name in gymnasium.registry:
        return name
    if callable(getattr(found, name, None)):
        return EnvSpec(f"{module}:{name}", entry_point=f"{module}:{name}")
    own = [spec.id for spec in gymnasium.registry.values() if str(spec.entry_point).startswith(f"{module}:")]
    kinds = [key for key, value in vars(found).items() if isinstance(value, type) and issubclass(value, gymnasium.Env)]
    offered = ", ".join(f"{module}:{each}" for each in (*own, *kinds) if each != "Env") or "no environment"
    raise ValueError(
        f"{whole}: the module {module} has neither registered {name!r} nor a class of that name; it has {offered}"
    )


def _newest(name: str) -> str | None:
    """Return the newest version of the environment, if it is not this one."""
    base, dash, _ = name.rpartition("-v")
    known = [
        spec
        for spec in gymnasium.registry.values()
        if dash and f"{spec.namespace or ''}/{spec.name}".strip("/") == base
    ]
    newest = max(known, key=lambda spec: spec.version or 0, default=None)
    return None if newest is None or newest.id == name else newest.id
