"""Types and ranges of the settings, checked before a command begins: errors must not surface after hours of training.

A setting is identified by the last part of its key, or by the whole key where one name has several meanings. Names that
are not listed belong to a user's own cost, constraint or planner, whose class checks them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from .kinds import Flag, Group, Kind, Named, Number, Places, Several, Whole, Word

_SHARE = Number(0, 1, below=True)
_PART = Number(0, 1, above=True)
_BETWEEN = Number(0, 1, above=True, below=True)
_POSITIVE = Number(0, above=True)
_SEED = Whole(0, 2**32 - 1)

# By kind, then by name, the last part of the setting's key.
_BY_NAME: tuple[tuple[Kind, str], ...] = (
    (Whole(2), "bins critics train_blocks"),
    (
        Whole(1),
        "action_block action_repeat at batch calibration_episodes changes count critic_batch critic_width cycles "
        "depth descent_evaluations devices draws encoder_width ensemble environments episodes evaluate_episodes "
        "evaluate_every every features files foreign_goals head_width disturbed_changes held_out hindsight_goals "
        "history hops horizon iterations latent_dim latent_size length longest members num_best num_elites num_samples "
        "num_starts policy_batch policy_width processes repeats replan_every sample representation_size round run "
        "save_every seed_decisions sigreg_projections simplex simulated_changes simulated_episodes size slots steps "
        "successes undisturbed_episodes updates updates_per_call width within workers",
    ),
    (
        Whole(0),
        "belief belief_updates critic_updates disturbed_at doubt_updates dwell filling_updates frozen_updates "
        "kills landmarks latency_plans latent_action leap leap_updates learning_starts num_keep offline_updates "
        "patience plan plans policy_updates preview process shift suggestions video_episodes",
    ),
    (
        Whole(1),
        "belief_batch calibration_clips clips collection_shards copies evaluation_shards goal_offset leap_size pairs "
        "renew spans",
    ),
    (Whole(0), "context retries"),
    (Whole(4), "belief_moments"),
    (Whole(1, 64), "goal_solutions"),
    (Whole(0, 16), "memory"),
    (Whole(1, 100), "memory_stride"),
    (_SEED, "changes_seed seed"),
    (Whole(0, 65535), "port"),
    (
        _POSITIVE,
        "ahead alarms_a_minute bin_limit clip_norm control_period deadline_ms encoder_rate false_alarms_per_minute "
        "init_std deepest highest learning_rate longest_distance max_std rate_limit reach seconds spread spread_rate "
        "std_decay memory_gib temperature turn",
    ),
    (
        Number(0),
        "alignment cloning consistency decoding delay_ms descent detached_prediction distance entropy fault_at "
        "furthest goal_probe gpus hold_seconds inverse latent_noise latent_norm min_free_gib min_std miss near "
        "penalty prediction reconstruction reward scale sigreg slant suggestion_noise termination value weight_decay",
    ),
    (Number(), "beta moment noise_beta running terminal weight"),
    (_SHARE, "asked_goals contact_share dropout keep masked momentum partial_goals"),
    (Number(0, 1), "hidden least_trust"),
    (Number(0, 1), "grasps random wander"),
    (_PART, "alpha bootstrap gamma gentlest labels slowest tau tight_share"),
    (_BETWEEN, "expectile false_alarm_rate target_rate"),
    (
        Flag(),
        "apart dry_run lossless steady "
        "compensate decoder episodic filling learned_encoder own_settings policy rate redo shipped view view_dark",
    ),
    (
        Word(),
        "_target_ baseline before bundle calibration checkpoint data fault host log method name of ours out pictures "
        "address coordinator instruction pictures_of planner results runs task telemetry variant start_from what",
    ),
    (Word(("body", "mild_texture", "strong_texture", "light", "noise", "camera")), "distractor"),
    (Word(("table", "json")), "format"),
    (Word(("shared", "store")), "artifacts"),
    (Word(("ppo", "sac")), "algorithm"),
    (Word(("policy", "planner")), "actor"),
    (Word(("zero", "linear", "cubic")), "order"),
    (Word(("float32", "bfloat16", "auto")), "precision"),
    (Word(("ideal", "delay", "wallclock")), "timing"),
    (Word(("max", "mean")), "clip_reduce pair_reduce"),
    (Several(Word(("cpu", "cuda")), 1), "platforms"),
    (Several(Word()), "evaluation properties smoke visibilities"),
    (Word(), "export"),
    (Several(Word(), 1), "policies"),
    (Several(_SEED, 1), "seeds"),
    (Several(_SEED), "before_seeds"),
    (Several(Whole(1), 1), "budgets"),
    (Several(Whole(1)), "goal_offsets machines"),
    (Several(_POSITIVE, 1), "penalties"),
    (Several(Number(), 1), "rest"),
    (Several(Number(0)), "shares"),
    (Several(Whole(0), 2), "onset priorities"),
    (Several(Group()), "parts proposals"),
    (Several(Named()), "watch"),
    (
        Several(Word()),
        "asked ceiling conditions curves faults methods observations only overrides planners protocols published rows "
        "sensors simulated start_parts tasks",
    ),
    (
        Group(),
        "base behaviour baselines cases checkpoints collection constraint cost distributed early_stop entries gcbc "
        "grid model objective observation online parameterization recipes risk settings suite sweeps tight training "
        "variants engine where",
    ),
)
_KINDS = {name: kind for kind, names in _BY_NAME for name in names.split()}
# By the whole key, where its last part has another meaning elsewhere.
_EXACTLY: dict[str, Kind] = {
    "behaviour.actor": Word(("planner", "reflex")),
    "behaviour.near": Number(0, 1),
    "cost.set_point.weights": Several(Number(0)),
    "data": Places(),
    "demonstrations": Places(),
    "baseline": Word(),  # of `compare`; of `train` a group with keys
    "delay_ms": Number(0),
    "engine.cores": Whole(1),
    "goal": Word(),  # or a group of them, by sensor
    "goal_at": Several(Number(), 1),
    "objective.decay": _PART,
    "online.curves": Word(),
    "online.steps": Whole(0),
    "online.updates": Whole(0),
    "planner": Group(),
    "planner.decay": _POSITIVE,
    "seconds": _POSITIVE,
    "suite.settings": Several(Word()),
    "task": Group(),
}
_LISTS_TOO = frozenset({"beta", "init_std", "max_std", "min_std", "noise_beta"})  # one number for each action
# Groups with names and values that the user defines.
FREE: tuple[str, ...] = (
    "constraint.",
    "suite.cases.",
    "suite.checkpoints",
    "suite.entries.",
    "suite.iterations",
    "suite.mix",
    "suite.mutants",
    "suite.promises",
    "suite.tight",
)
FREE += ("where", "suite.recipes", "suite.settings", "suite.variants", "suite.reference", "baseline.settings")
# Settings that may be null.
_OPTIONAL_NAMES = (
    "action_repeat baseline bundle calibration checkpoint control_period curves data deadline_ms "
    "delay_ms demonstrations distractor episodes episodic every fault features goal goal_at members methods moment "
    "instruction only ours out goal_offset pictures_of plan "
    "planners preview rate_limit rest results run seconds seeds sensors of start_from start_parts tasks telemetry what "
    "watch where export workers cores address devices coordinator processes process "
)
OPTIONAL = frozenset(_OPTIONAL_NAMES.split())


def check(cfg: DictConfig) -> DictConfig:
    """Check all settings; return them with each single value in place of a list wrapped in a list.

    Raises:
      ValueError: a setting has a wrong type, is out of range, or is none of its choices; the message names it.
    """
    optional = OPTIONAL - _required(cfg)
    settings: Any = OmegaConf.to_container(cfg, resolve=True)
    for key, value in list(leaves(settings)):
        kind, name = kind_of(key, value), key.rpartition(".")[2]
        if key in ("episodes", "simulated_episodes") and "held_out" in cfg and "policies" not in cfg:
            kind = Whole(0)  # `diagnose` also judges a model without episodes
        if key == "suite.updates" and isinstance(value, list) and "recipes" in cfg.suite:
            kind = Several(Whole(1), 1)  # of the suite representation: a model each
        if kind is None or value == "???" or (value is None and name in optional):
            continue
        if value == [] and isinstance(kind, Several) and kind.fewest:
            raise ValueError(f"{key} is empty: name at least one")
        for each in value if isinstance(value, list) and name in _LISTS_TOO else [value]:
            if fault := kind.fault(each):
                raise ValueError(f"{key} must {fault}; got {_shown(value)}")
        if isinstance(kind, Several) and not isinstance(value, list):
            with open_dict(cfg):
                OmegaConf.update(cfg, key, [value], merge=False)
    return cfg


def kind_of(key: str, value: Any = None) -> Kind | None:
    """The kind of the setting `key`, or None; `value` decides for names that are a group here and a value there."""
    group, _, name = key.rpartition(".")
    if group in ("cost", "constraint"):
        return Group()
    if key == "goal" and isinstance(value, dict):
        return Group()
    if group == "grid.sweeps":
        return Several(Whole(1), 1)
    kind = _EXACTLY.get(key) or _KINDS.get(name)
    if isinstance(value, dict) and (group == "suite" or key == "baseline"):
        return None
    return kind


def _required(cfg: DictConfig) -> frozenset[str]:
    """Settings that other commands accept as null and this one does not."""
    needed = {"episodes": "timing" not in cfg, "out": "at" in cfg or "where" in cfg, "results": "suite" in cfg}
    return frozenset(name for name, always in needed.items() if always)


def leaves(tree: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting with its whole key, groups before their members; fields of a user's own class are left out."""
    for name, value in tree.items():
        key = f"{prefix}{name}"
        yield key, value
        if isinstance(value, dict) and not _is_foreign(key, value):
            yield from leaves(value, f"{key}.")


def _is_foreign(key: str, group: Mapping[str, Any]) -> bool:
    ours = str(group.get("_target_", "planning.")).startswith(("planning.", "envs."))
    return not ours or key.startswith(FREE)


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value) if isinstance(value, str) else str(value)
