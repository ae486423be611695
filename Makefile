# make demo: base install (no PyTorch) in .venv-demo, then a clip segmented with the weights that ship.
# make test: everything pinned in .venv-test, then lint, types, tests.

PYTHON ?= python3
SOURCES := $(shell find src -type f -not -path '*/__pycache__/*' -not -path '*.egg-info/*' -not -name '*.so')

.PHONY: demo test clean
.DELETE_ON_ERROR:

demo: .venv-demo/.installed
	@echo "== installed size: $$(du -sh .venv-demo | cut -f1), of which bcpnet and its weights $$(du -shc .venv-demo/lib/python3*/site-packages/bcpnet | tail -1 | cut -f1)"
	.venv-demo/bin/bcpnet predict examples/streets.mp4 --out demo-out --save overlay classmap sheet

test: .venv-test/.installed
	.venv-test/bin/ruff check
	.venv-test/bin/ruff format --check
	.venv-test/bin/mypy
	.venv-test/bin/python -m pytest

.venv-demo/.installed: pyproject.toml constraints.txt $(SOURCES)
	@echo "== base install into .venv-demo"
	@$(call install,.venv-demo,.)

.venv-test/.installed: pyproject.toml constraints.txt
	@echo "== install with all extras and the development tools into .venv-test"
	@$(call install,.venv-test,-e .[dev])

# $(1): folder of the environment; $(2): what to install
define install
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	|| { echo "bcpnet needs Python 3.10 or later; name one: make PYTHON=python3.12 $@" >&2; exit 1; }; \
$(PYTHON) -m venv $(1) \
	|| { echo "cannot make a virtual environment with $(PYTHON) (on Debian: apt install python3-venv)" >&2; exit 1; }; \
$(1)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $(2) \
	|| { echo "installing failed; pip says why above" >&2; exit 1; }; \
touch $@
endef

clean:
	rm -rf .venv-demo .venv-test demo-out build
