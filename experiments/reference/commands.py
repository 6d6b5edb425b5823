"""What commands are for: the order in which help shows them, and examples of each."""

from __future__ import annotations

# By what a user wants to do. A command that is missing here is shown at the end.
PURPOSES: dict[str, tuple[str, ...]] = {
    "Look around": ("list", "doctor", "check"),
    "Learn a world model": ("demo", "collect", "train", "convert"),
    "Plan and control": ("plan", "drive", "picture"),
    "Measure and compare": ("diagnose", "compare", "bench", "report", "card"),
    "Put it on a robot": ("export", "replay"),
}

# What to type, and what it does; each is run or composed by the tests.
FIRST: tuple[tuple[str, str], ...] = (
    ("jepa-mpc plan task=umaze checkpoint=published", "plan with a model that ships with jepa-mpc"),
    ("jepa-mpc drive task=umaze checkpoint=published view=true", "steer it from a web page"),
    ("jepa-mpc demo task=two_room", "collect, train and plan, with a page of results"),
    ("jepa-mpc list tasks", "what there is to plan in"),
)
EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    "demo": (
        ("jepa-mpc demo", "the whole pipeline on two_room"),
        ("jepa-mpc demo task=umaze runs=runs/umaze", "on another task, in another folder"),
        ("jepa-mpc demo budget=smoke", "a quick run that learns next to nothing"),
    ),
    "collect": (
        ("jepa-mpc collect task=umaze", "the data of the recipe"),
        ("jepa-mpc collect task=reacher behaviour=coloured_noise out=noise", "other behaviour, in the folder noise"),
        ("jepa-mpc collect task=two_room collection.episodes=100", "fewer episodes"),
    ),
    "convert": (
        ("jepa-mpc convert data=my_logs out=my_lerobot", "a robot's logs, with their videos"),
        ("jepa-mpc convert data=my_logs out=my_pictures lossless=true", "pictures bit for bit, in larger files"),
    ),
    "picture": (
        ("jepa-mpc picture task=two_room goal_at=[0.5,0.5] out=goal.png", "the goal at these coordinates"),
        ("jepa-mpc picture task=fetch_reach seed=3", "the goal of a held-out pair, one file for each camera"),
    ),
    "train": (
        ("jepa-mpc train task=umaze", "collect if needed, then train"),
        ("jepa-mpc train task=custom data=my_logs", "from logs of your own robot"),
        ("jepa-mpc train task=two_room observation=pixels", "from pictures"),
        ("jepa-mpc train method=td task=dmc/walker-walk", "from rewards, while acting"),
    ),
    "plan": (
        ("jepa-mpc plan task=umaze checkpoint=published", "with a model that ships with jepa-mpc"),
        ("jepa-mpc plan task=umaze seeds=[0,1,2]", "with three models of your own, trained if missing"),
        ("jepa-mpc plan task=reacher checkpoint=published planner=icem", "with another planner"),
        ("jepa-mpc plan task=umaze checkpoint=published format=json", "one JSON document, for scripts"),
    ),
    "compare": (
        ("jepa-mpc compare", "the learning curves that ship with jepa-mpc"),
        ("jepa-mpc compare tasks=[dmc/walker-walk] at=50000", "one task, at another number of steps"),
    ),
    "diagnose": (
        ("jepa-mpc diagnose task=umaze checkpoint=published", "a model that ships with jepa-mpc"),
        ("jepa-mpc diagnose task=two_room episodes=0", "your own model, without episodes"),
    ),
    "drive": (
        ("jepa-mpc drive task=umaze checkpoint=published view=true", "with a page to watch and steer"),
        ("jepa-mpc drive task=reacher checkpoint=published timing=delay delay_ms=40", "with a delay, in virtual time"),
    ),
    "replay": (
        ("jepa-mpc replay log=run.jsonl bundle=reacher.bundle", "every plan of the newest run"),
        ("jepa-mpc replay log=run.jsonl moment=12.5", "what the camera showed at 12.5 s"),
    ),
    "bench": (
        ("jepa-mpc bench suite=goal shipped=true", "the rows that ship with jepa-mpc"),
        ("jepa-mpc bench suite=latency grid=quick", "latency of every planner on this machine"),
        ("jepa-mpc bench suite=goal --help", "the settings of a suite"),
    ),
    "report": (
        ("jepa-mpc report", "your rows in runs/bench, or else those that ship with jepa-mpc"),
        ("jepa-mpc report 'where={task: two_room}' out=two_room.html", "the rows of one task"),
    ),
    "card": (
        ("jepa-mpc card checkpoint=runs/umaze-seed0.safetensors", "beside a model of your own"),
        ("jepa-mpc card task=umaze checkpoint=published out=umaze.card.md", "of a model that ships with jepa-mpc"),
    ),
    "export": (
        ("jepa-mpc export task=reacher checkpoint=published out=reacher.bundle", "one file for the robot"),
        ("jepa-mpc export task=umaze checkpoint=published planner.num_samples=32", "with a smaller planner"),
    ),
    "list": (
        ("jepa-mpc list", "what can be listed"),
        ("jepa-mpc list tasks", "every task, with sensors and published models"),
        ("jepa-mpc list sensors task=reacher", "what a task can be observed by"),
        ("jepa-mpc list models runs=runs format=json", "trained models, for scripts"),
    ),
    "check": (
        ("jepa-mpc check task=goal/FetchPush-v4", "an environment, before an hour is spent on it"),
        ("jepa-mpc check data=my_logs", "recorded data"),
    ),
    "doctor": (
        ("jepa-mpc doctor", "check everything"),
        ("jepa-mpc doctor runs=/data/runs min_free_gib=50", "for a long run on another disk"),
    ),
}
