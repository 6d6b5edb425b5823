"""The text of a model's card, and its file: made again from the model's file and tables of results at any time.

What belongs to the user is kept when a card is written anew: the licence at its head, and everything from the heading
`## Notes` on.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path

from worldmodel.files import write_atomically
from worldmodel.models.checkpoint import (
    REWARD_MODEL,
    Checkpoint,
    RewardCheckpoint,
    kind_of,
    load_model,
    load_reward_model,
)

from ..records.results import Row
from ..shell.overrides import command_line
from . import facts
from .measured import Measured, beside

logger = logging.getLogger(__name__)

SUFFIX = ".card.md"
_LICENCE = re.compile(r"\A---\n(?:.*\n)*?license: *(.+)\n", re.MULTILINE)
_NOTES = "## Notes\n"
_EMPTY = f"{_NOTES}\nYours: this section and the licence stay as they are when the card is written again.\n"


def card_file(model: str | Path) -> Path:
    """Path of the card of a model file."""
    return Path(model).with_suffix(SUFFIX)


def write_card(model: str | Path, tables: Sequence[Path] = ()) -> Path | None:
    """Write the card of a model file beside it; what goes wrong is logged, and None is returned.

    Args:
      model: the file.
      tables: of results, beside those that `jepa-mpc plan` wrote in the same folder.
    """
    path = card_file(model)
    try:
        before = text(path)
        if (card := made(model, [*beside(Path(model)), *tables], before)) != before:
            write_atomically(path, card)
    except Exception as error:
        logger.warning("%s could not be written (%s): `jepa-mpc card` writes it again", path, error)
        return None
    return path


def made(model: str | Path, tables: Sequence[Path], before: str = "") -> str:
    """Return the text of the card of a model file.

    Args:
      model: the file.
      tables: of results.
      before: an earlier card, whose licence and notes are kept.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it is no model.
    """
    model = Path(model)
    checkpoint = load_reward_model(model) if kind_of(model) == REWARD_MODEL else load_model(model)
    known = facts.robot(checkpoint)
    task, period = str(known.get("task") or "a robot without a name"), known.get("control_period")
    seen = ", ".join(f"`{each.name}`" for each in checkpoint.model.observation.sensors)
    licence = _LICENCE.match(before)
    notes = before[before.index(_NOTES) :] if _NOTES in before else _EMPTY
    does = "reaches goals" if isinstance(checkpoint, Checkpoint) else "earns rewards"
    parts = [
        f"---\nlicense: {licence.group(1) if licence else 'unknown'}\nlibrary_name: jepa-mpc\n"
        "tags: [world-model, jepa, model-predictive-control, robotics]\n---\n",
        f"# {model.stem}\n",
        f"A world model of `{task}` that {does} by planning: it observes {seen} and predicts in the space of its own "
        "representation. The file holds weights as safetensors and its description as JSON; nothing in it is code.\n",
        "## Robot\n",
        f"Control period: {facts.UNKNOWN if period is None else f'{1e3 * period:g} ms'}.\n",
        facts.sensors(checkpoint),
        facts.actuators(checkpoint),
        "## Training\n",
        facts.training(checkpoint),
        "## Measured\n",
        _measured(checkpoint, Measured.of(checkpoint, tables), model, task),
        "## Health at the end of the training\n",
        facts.health(checkpoint),
        "## Use and limits\n",
        _limits(checkpoint, task),
        "## How to load it\n",
        _loading(checkpoint, model),
        notes,
    ]
    return "\n".join(parts)


def _protocol(row: Row) -> str:
    return row.protocol if row.goal_offset is None else f"{row.protocol}, +{row.goal_offset}"


def _measured(checkpoint: Checkpoint | RewardCheckpoint, found: Measured, model: Path, task: str) -> str:
    if not found.successes and not found.returns:
        return f"Nothing yet: `{command_line('plan', {'task': task, 'checkpoint': model.name})}` measures it.\n"
    parts = list[str]()
    if found.successes:
        head = ["protocol", "policy", "planner", "variant", "reached", "95 % interval", "plan ms p50 / p99"]
        lines = [
            [_protocol(row), row.policy, row.planner, row.variant, f"{row.successes} of {row.episodes}",
             _interval(row.ci_low, row.ci_high, "{:.1%}"), _times(row.plan_ms_p50, row.plan_ms_p99)]
            for row in found.successes
        ]  # fmt: skip
        parts.append(facts.table(head, lines))
    if found.returns:
        head = ["policy", "planner", "variant", "episodes", "mean return", "95 % interval", "plan ms p50 / p99"]
        lines = [
            [row.policy, row.planner, row.variant, str(row.episodes), f"{row.mean_return:.4g}",
             _interval(row.ci_low, row.ci_high, "{:.4g}"), _times(row.plan_ms_p50, row.plan_ms_p99)]
            for row in found.returns
        ]  # fmt: skip
        parts.append(facts.table(head, lines))
    by = dict.fromkeys([*(row.command for row in found.successes), *(row.command for row in found.returns)])
    commands = "\n".join(f"- `{each}`" for each in by)
    return "\n".join([*parts, f"Held-out starts and goals, which no training saw, by:\n\n{commands}\n"])


def _limits(checkpoint: Checkpoint | RewardCheckpoint, task: str) -> str:
    lines = [
        f"- For `{task}` with these sensors, actuators and this control period. Another robot, load, camera, place or "
        "light is another model.",
        "- It knows what its training data show. Where they never went, its plans are guesses, and nothing says so by "
        "itself: the alarm for surprises needs `calibration=` at export.",
        "- Readings and goals far outside the ranges above are refused by the controllers of `planning.control`; a "
        "wrong value within them passes.",
        "- It promises no safety: limits of motion belong to the loop and to the robot (docs/safety.md).",
    ]
    if isinstance(checkpoint, Checkpoint) and checkpoint.model.heads.distance is None:
        lines.append("- It has no critic: plans follow the distance in its representation, which knows no walls.")
    return "\n".join(lines) + "\n"


def _loading(checkpoint: Checkpoint | RewardCheckpoint, model: Path) -> str:
    goal = "goal=goal, " if isinstance(checkpoint, Checkpoint) else ""
    lines = [
        "```python",
        "from experiments import build",
        "",
        f'controller = build.controller("{model.name}")',
        "controller.warmup()",
        f"controller.reset({goal}seed=0)",
        "action = controller.act(observation)",
        "```",
    ]
    return "\n".join(lines) + "\n"


def _interval(low: float | None, high: float | None, form: str) -> str:
    return "" if low is None or high is None else f"{form.format(low)} to {form.format(high)}"


def _times(*milliseconds: float | None) -> str:
    known = [each for each in milliseconds if each is not None]
    return " / ".join(f"{each:.2g}" for each in known) if len(known) == len(milliseconds) else ""


def text(path: Path) -> str:
    """An earlier card; empty where there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
