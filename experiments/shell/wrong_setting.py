"""Search for the invalid override in a command line that Hydra rejects as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .did_you_mean import did_you_mean
from .folders import config_dir
from .shadowing import PROGRAM


def first_rejected(command: str, words: Sequence[str]) -> str | None:
    """A sentence on the first override that the command rejects; None if each is accepted.

    Choices of groups are tested first, since another planner or method has other settings.
    """
    from hydra import initialize_config_dir

    with initialize_config_dir(version_base="1.3", config_dir=str(config_dir())):
        words = [_first_value(word) for word in words if "=" in word and not word.startswith("-")]
        groups = [word for word in words if (config_dir() / _key(word)).is_dir()]
        culprit = _culprit(command, groups, words)
        if culprit is None:
            return None
        chosen = [word for word in groups if word != culprit and _composes(command, word)]
        known = sorted({*_settings(command, chosen)})
        owners = _owners(command, [word for word in chosen if _key(word) != "method"], culprit)
    key = _key(culprit)
    if key in known:
        return None
    if owners:
        return f"{culprit} belongs to another method: add {' or '.join(owners)}"
    fix = f"`{PROGRAM} {command} --help` lists its settings"
    return f"{key} is not a setting of `{PROGRAM} {command}`{did_you_mean(key, known)}; {fix}"


def invalid_choice(words: Sequence[str]) -> str | None:
    """A sentence on the first group whose value, a number or a truth value, is none of its choices."""
    for word in words:
        folder = config_dir() / _key(word)
        choices = sorted(file.stem for file in folder.glob("*.yaml"))
        if choices and word.partition("=")[2] not in choices:
            return f"{word} is not known: {_key(word)} can be {', '.join(choices)}"
    return None


def _culprit(command: str, groups: Sequence[str], words: Sequence[str]) -> str | None:
    if not _composes(command, *groups):
        for word in groups:
            if _composes(command, *(other for other in groups if other != word)):
                return word
        return next((word for word in groups if not _composes(command, word)), None)
    return next((word for word in words if word not in groups and not _composes(command, *groups, word)), None)


def _composes(command: str, *words: str) -> bool:
    from hydra import compose
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        compose(command, list(words))
    except (HydraException, OmegaConfBaseException):
        return False
    return True


def _owners(command: str, chosen: Sequence[str], culprit: str) -> list[str]:
    """The methods that have the setting."""
    if command != "train":
        return []
    methods = [f"method={file.stem}" for file in sorted((config_dir() / "method").glob("*.yaml"))]
    return [each for each in methods if _composes(command, *chosen, each, culprit)]


def _settings(command: str, chosen: Sequence[str]) -> Iterator[str]:
    """Every valid key of an override: the groups, and the settings of the chosen members."""
    from hydra import compose
    from omegaconf import OmegaConf

    cfg = compose(command, list(chosen), return_hydra_config=True)
    yield from (group for group in cfg.hydra.runtime.choices if not group.startswith("hydra/"))
    yield from _dotted(OmegaConf.to_container(OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])))


def _dotted(tree: Any, prefix: str = "") -> Iterator[str]:
    """Every key of a nested dictionary, dotted as on the command line."""
    for key, value in tree.items():
        yield f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{key}.")


def _key(word: str) -> str:
    return word.partition("=")[0].partition("@")[0].lstrip("+~")


def _first_value(word: str) -> str:
    """The override; for a sweep, with the first of its values."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        parsed = OverridesParser.create().parse_override(word)
        return f"{parsed.key_or_group}={next(parsed.sweep_string_iterator())}" if parsed.is_sweep_override() else word
    except (HydraException, StopIteration):
        return word
