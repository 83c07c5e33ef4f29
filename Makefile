# Two commands do all set-up: `make demo` runs the main job, `make test` proves the project.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
NODE   := tests/integration/node

.PHONY: demo test check soak format docs clean

demo: $(VENV)/.ready
	$(BIN)/bsim demo

test: check $(NODE)/node_modules/.ready
	$(BIN)/pytest -m "not soak" --numprocesses auto --dist loadfile --max-worker-restart 2 --cov --cov-report=term

check: $(VENV)/.ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/gen_docs.py --check

soak: $(VENV)/.ready
	$(BIN)/pytest -m soak

format: $(VENV)/.ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.ready
	$(BIN)/python tools/gen_docs.py

# The PC/SC extra compiles against the pcsc-lite headers; without them the demo runs in process and `bsim doctor` says why.
$(VENV)/.ready: pyproject.toml constraints.txt tools/setup-system tools/build_native.py $(wildcard bsim/crypto/ecdsa/*.[ch])
	tools/setup-system
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev,web,ble]"
	$(BIN)/python -m compileall -q bsim # pip compiles wheels and no checkouts: without this a start takes twice as long where PYTHONDONTWRITEBYTECODE is set
	if tools/setup-system --has pcsc; then \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[pcsc]"; fi
	touch $@

# Libraries in JavaScript that the integration suite checks with: pinned, without install scripts. Where there is no
# npm the suite says so; in CI that is a failure.
$(NODE)/node_modules/.ready: $(NODE)/package.json $(NODE)/package-lock.json $(VENV)/.ready
	if tools/setup-system --has node; then cd $(NODE) && npm ci --silent && touch node_modules/.ready; fi

clean:
	rm -rf $(VENV) build dist bsim/crypto/ecdsa/*.so $(NODE)/node_modules
	rm -rf .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis
