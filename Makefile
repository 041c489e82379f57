# Every target makes the environment that it needs; only Python 3.11+ and make must be there first.
PYTHON ?= python3
BIN := .venv/bin
MACHINES := tests/core/test_honest_network.py tests/core/test_solvency_properties.py tests/contracts/test_machine.py

.PHONY: setup demo test foundry mutation million model lint bench soak simulate clean
setup: .venv/.done

.venv/.done: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if (3,11) <= sys.version_info < (3,15) else "channeld needs Python 3.11 to 3.14, this is " + sys.version)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

demo: setup
	$(BIN)/channeld demo

# A process for each core; the tests of a file stay together.
test: setup
	$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile

# The contract's second harness; skips where npm is absent.
foundry: setup
	$(BIN)/python -m tests.foundry.run

# How many faults in the contract the tests find: a random sample, of a quarter of an hour.
mutation: setup
	$(BIN)/python -m tests.contracts.mutation.run

# The contract values a million groups of options as the core does; prints its seed. Two minutes.
million: setup
	$(BIN)/python -m tests.contracts.million

# The protocol's model, also the configurations that take minutes: every state, its count, every lost variant's story.
model: setup
	$(BIN)/python -m tests.model $(MODEL)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup
	$(BIN)/python -m bench all

# The state machines for ever, each round with another seed, until one of them finds something.
soak: setup
	@seed=$${CHANNELD_SEED:-$$(date +%s)}; while echo "seed $$seed"; do \
	  CHANNELD_SOAK=$${CHANNELD_SOAK:-5} $(BIN)/python -m pytest --hypothesis-seed=$$seed $(MACHINES) || exit 1; \
	  $(BIN)/python -m tests.simulator --lives 1000 --seed $$((seed * 1000)) || exit 1; \
	  seed=$$((seed + 1)); \
	done

# Lives of simulated nodes alone; `python -m tests.simulator --help` for one life, step by step.
LIVES ?= 300
SEED ?= 1
simulate: setup
	$(BIN)/python -m tests.simulator --lives $(LIVES) --seed $(SEED)

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
