# make demo     train Breakout, see the curve, watch a game, get a GIF (two minutes after the install)
# make test     the fast tests        make test-slow   the long ones too
# make lint     format, style, types  make bench       speed, measured against peers
# Each makes .venv first where there is none.

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
BENCH_INSTALLED := $(VENV)/.installed-bench

.PHONY: install demo test test-slow lint bench clean

install: $(INSTALLED)

# torch first and alone: it is the largest, and pip then resolves the rest around it.
$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || python3.11 -m venv $(VENV) 2>/dev/null || python3 -m venv $(VENV)
	$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11) and "move37 needs Python 3.11 or newer")'
	@echo "Installing torch, then the rest: some minutes, once."
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch $@

$(BENCH_INSTALLED): $(INSTALLED)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[bench]'
	touch $@

demo: $(INSTALLED)
	rm -rf runs/demo
	$(BIN)/move37 train configs/train/demo.yaml --out runs/demo
	$(BIN)/move37 watch runs/demo --gif runs/demo/game.gif --speed 3

test: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-slow: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m 'slow or not slow'

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(BENCH_INSTALLED)
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
