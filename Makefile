# make demo: base install (no PyTorch) in .venv-demo, then a clip segmented with the weights that ship.
# make test: everything pinned in .venv-test, then lint, types and all tests, in two processes.
# make test-slow: the tests that `make test` leaves out, some minutes each.
# make test-matrix: the base install with every Python here, with the lowest and the highest versions it allows.
# make fuzz: damaged images, labels, videos, weights and YAML files by the thousand; make soak: an hour of video and
#   streams, and segmenters opened again and again. Both write results/reliability.json.
# make quick: as make test, but only the quick tests.
# make docs: the documentation site into build/docs; warnings and dead links are errors. It needs no network
#   once .venv-docs is there.
# make web: the page into web/dist, for any static server, and into the package, for `bcpnet serve`. It needs Node 20
#   or later with npm.
# make wheels: every wheel and the source distribution into dist/, checked and, where they run here, run. It needs Linux and
#   Python 3.11 or later, and writes results/wheels.json.

PYTHON ?= python3
QUICK := $(addprefix tests/,backends data drawing evaluation frames media prediction weights) \
	$(filter-out tests/test_make_camvid.py,$(wildcard tests/test_*.py))
SOURCES := $(shell find src -type f -not -path '*/__pycache__/*' -not -path '*.egg-info/*' -not -name '*.so')

PAGE := web/dist/index.html
PACKAGED_PAGE := src/bcpnet/serving/page/index.html
PAGE_SOURCES := $(wildcard web/src/*.ts web/*.mjs web/*.html web/*.css web/style/*.css web/*.svg web/tsconfig.json src/bcpnet/weights/*.onnx)

# Where npm is missing, or cannot fetch, the tests of the page skip.
BUILD_PAGE = @$(MAKE) --no-print-directory $(PAGE) || echo "== the page was not built: its tests skip"

.PHONY: demo test test-slow test-matrix fuzz soak quick docs web wheels clean
.DELETE_ON_ERROR:

demo: .venv-demo/.installed
	@echo "== installed size: $$(du -sh .venv-demo | cut -f1), of which bcpnet and its weights $$(du -shc .venv-demo/lib/python3*/site-packages/bcpnet | tail -1 | cut -f1)"
	.venv-demo/bin/bcpnet predict examples/streets.mp4 --out demo-out --save overlay classmap sheet

test: .venv-test/.installed
	$(BUILD_PAGE)
	.venv-test/bin/ruff check
	.venv-test/bin/ruff format --check
	.venv-test/bin/mypy
	OMP_NUM_THREADS=1 .venv-test/bin/python -m pytest -n 2 --dist worksteal -m "not slow"

test-slow: .venv-test/.installed
	$(BUILD_PAGE)
	OMP_NUM_THREADS=1 .venv-test/bin/python -m pytest -n 2 --dist worksteal -m slow

test-matrix: .venv-test/.installed
	.venv-test/bin/python tools/test_matrix.py

fuzz: .venv-test/.installed
	OMP_NUM_THREADS=1 .venv-test/bin/python tools/measure_reliability.py fuzz

soak: .venv-test/.installed
	.venv-test/bin/python tools/measure_reliability.py soak
	.venv-test/bin/python tools/measure_reliability.py opens

quick: .venv-test/.installed
	.venv-test/bin/ruff check
	OMP_NUM_THREADS=1 .venv-test/bin/python -m pytest -n 2 --dist worksteal -m "not slow" $(QUICK)

docs: .venv-docs/.installed
	.venv-docs/bin/python -m sphinx --fail-on-warning --keep-going --quiet -d build/doctrees docs build/docs
	@echo "== open build/docs/index.html"

web: $(PAGE) $(PACKAGED_PAGE)
	@echo "== the page is web/dist, $$(du -sh web/dist | cut -f1); bcpnet serve has it, too, with $$(du -sh $(dir $(PACKAGED_PAGE)) | cut -f1)"

$(PAGE): web/node_modules/.installed $(PAGE_SOURCES) src/bcpnet/drawing/clear_colours.py
	cd web && PYTHON=$(PYTHON) npm run --silent build

$(PACKAGED_PAGE): $(PAGE)
	cd web && node package-page.mjs

wheels: .venv-wheels/.installed
	@$(MAKE) --no-print-directory $(PACKAGED_PAGE) || echo "== the page was not built: bcpnet serve has none in these wheels"
	.venv-wheels/bin/python tools/make_wheels.py

web/node_modules/.installed: web/package.json web/package-lock.json
	@command -v npm > /dev/null || { echo "the page needs Node 20 or later with npm (on Debian: apt install nodejs npm)" >&2; exit 1; }
	cd web && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

.venv-demo/.installed: pyproject.toml constraints.txt $(SOURCES)
	@echo "== base install into .venv-demo"
	@$(call install,.venv-demo,.)

.venv-test/.installed: pyproject.toml constraints.txt
	@echo "== install with all extras and the development tools into .venv-test"
	@$(call install,.venv-test,-e .[dev])

.venv-docs/.installed: pyproject.toml constraints.txt
	@echo "== install with the documentation's tools into .venv-docs"
	@$(call install,.venv-docs,-e .[docs])

.venv-wheels/.installed: pyproject.toml constraints.txt
	@echo "== install with what builds wheels into .venv-wheels"
	@$(call install,.venv-wheels,-e .[wheels])

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
	rm -rf .venv-demo .venv-test .venv-docs .venv-wheels demo-out build dist web/dist web/node_modules src/bcpnet/serving/page
