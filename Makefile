# What a fresh clone needs is Python 3.11 or 3.12, git and make. `make demo` and `make test` do the rest.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.complete

# The first Python that runs and is in range; choose another with `make PYTHON=/path/to/python demo`.
IN_RANGE := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))
PYTHON ?= $(firstword $(foreach python,python3.12 python3.11 python3,$(shell $(python) -c '$(IN_RANGE)' 2>/dev/null && echo $(python))))

.PHONY: demo test slow check site reference notebooks media venv constraints

demo: venv
	$(BIN)/jepa-mpc demo

# Files stay whole on one worker, because a file's tests share what JAX compiled. They keep their order: otherwise files
# with few tests come last, which are the longest.
test: venv
	$(BIN)/pytest -n 2 --dist loadscope --no-loadscope-reorder

# The others, which take minutes each: before a release, and after a change in what they are about.
slow: venv
	$(BIN)/pytest -n 2 --dist loadscope --no-loadscope-reorder -m slow

check: venv
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# The documentation, into build/site; a dead link fails. To read it with its search: python -m http.server -d build/site
site: venv
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

# The configuration reference, from the comments in configs.
reference: venv
	$(BIN)/jepa-mpc --help all > docs/configuration.md

# The sources in experiments/notebooks, run for some minutes and kept with their outputs.
notebooks: venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable '.[baselines,notebooks]'
	$(BIN)/python experiments/notebooks/render.py

# The moving picture of README, drawn from episodes of a published model.
media: venv
	$(BIN)/python -m experiments.examples.planning_video docs/planning.webp

venv: $(STAMP)

# Done again when the dependencies change. The stamp comes last, so an interrupted installation is simply continued.
# Modules compile as they are imported: most never are, and compiling all takes as long as the rest.
$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "jepa-mpc needs Python 3.11 or 3.12, and none was found: install one, or say where it is with make PYTHON=..." >&2; exit 1; }
	@"$(PYTHON)" -c '$(IN_RANGE)' || { echo "jepa-mpc needs Python 3.11 or 3.12, and $(PYTHON) is another one" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments: install its venv package (on Debian and Ubuntu: apt-get install python3-venv)" >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV) || { echo "$(PYTHON) could not make $(VENV): remove that folder and try again" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --upgrade pip setuptools hatchling editables
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --no-compile --editable . --group dev
	@touch $@
	@echo "installed: run 'source $(VENV)/bin/activate', and then jepa-mpc; or call it as $(BIN)/jepa-mpc"

# Resolves the bounds anew; needs both Pythons.
constraints:
	.ci/constraints
