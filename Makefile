# make demo    install, run the quickstart on real data, print how to open the notebook
# make lab     JupyterLab on the quickstart notebook
# make test    everything: checks, tests, browser tests, front-end tests
# make check   ruff, mypy --strict, vulture, tsc --strict
# make bench   the benchmarks (BENCH="--case get --rounds 5")
# make mutation   mutants of the code that must not lose data (MUTATION="--target commit")
# make clean   remove what the other targets made
#
# Works on a bare Debian or Ubuntu with Python 3.11+, as root or not. PYTHON=... names an
# interpreter, CHROMIUM=... a browser. pip and npm fetch packages as they are configured.

VENV   ?= .venv
ORACLE ?= .oracle
ORACLE_V1 ?= .oracle-v1
ORACLE_1_0 ?= .oracle-1.0
ORACLE_2_0 ?= .oracle-2.0
NEWEST ?= .newest
LOWEST ?= .lowest
COSMIC ?= .mutation
JOBS   ?= 2
PYTEST ?=
RUN    := $(VENV)/bin/python

export PYTHON CHROMIUM

# An editable install copies the lab extension: it is repeated when a file of the extension changed.
INSTALL_INPUTS := pyproject.toml hatch_build.py icechunk/_version.py \
	$(shell find jupyterlab_extension/labextension -type f 2>/dev/null)

.PHONY: help demo lab test check env test-env oracle servers newest browser front test-python test-newest lowest test-lowest test-lab test-front bench mutation clean
.DELETE_ON_ERROR:
.NOTPARALLEL:

help:
	@sed -n 's/^# //p; /^$$/q' Makefile

# A development environment serves the demo too: `make demo` after `make test` installs nothing.
$(VENV)/.installed-lab: $(INSTALL_INPUTS)
	@if test -e $(VENV)/.installed-dev; then extra=dev; else extra=lab; fi; \
	    scripts/env.sh $(VENV) $$extra
	@touch $@

$(VENV)/.installed-dev: $(INSTALL_INPUTS)
	@scripts/env.sh $(VENV) dev
	@touch $@ $(VENV)/.installed-lab

env: $(VENV)/.installed-lab

test-env: $(VENV)/.installed-dev

demo: env
	$(RUN) examples/quickstart.py
	@printf '\nThe same in a notebook:  make lab\n'

lab: env
	$(VENV)/bin/jupyter lab examples/quickstart.ipynb

oracle:
	@scripts/oracle.sh $(ORACLE) 2.3.0
	@scripts/oracle.sh $(ORACLE_V1) 1.1.21
	@scripts/oracle.sh $(ORACLE_1_0) 1.0.3
	@scripts/oracle.sh $(ORACLE_2_0) 2.0.5

# Without a browser, the tests that need one are skipped with the reason; TESTS_REQUIRE=browser makes
# them fail.
browser:
	@scripts/browser.sh --install >/dev/null || true

front:
	@scripts/front.sh install

check: test-env front
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/vulture
	@scripts/front.sh check

servers:
	@scripts/servers.sh

# Ceph's S3 server takes 290 MB: `scripts/servers.sh --ceph` adds it.
test-python: test-env oracle servers
	$(RUN) -m pytest -n $(JOBS) --dist loadfile -m "not lab" $(PYTEST)

newest: oracle
	@scripts/newest.sh $(NEWEST) $(ORACLE)

# Again with a newer zarr, which has synchronous stores; slow tests run once only.
test-newest: newest
	@if test -x $(NEWEST)/bin/python; then set -x; \
	    $(NEWEST)/bin/python -m pytest -n $(JOBS) --dist loadfile -p no:cacheprovider \
	    -m "not lab and not slow and not node" $(PYTEST); fi

lowest:
	@scripts/lowest.sh $(LOWEST)

# Again with the oldest releases that pyproject.toml allows, for code that uses their interfaces.
test-lowest: lowest
	@if test -x $(LOWEST)/bin/python; then set -x; \
	    $(LOWEST)/bin/python -m pytest -n $(JOBS) --dist loadfile -p no:cacheprovider \
	    -m "not slow and not lab and not oracle" $(PYTEST) \
	    tests/store tests/session tests/cli tests/integrations tests/storage/test_objects.py::TestMoto \
	    tests/storage/test_fsspec.py; fi

# One JupyterLab and one browser at a time: these tests wait for clicks and repaints.
test-lab: test-env browser
	$(RUN) -m pytest -m lab $(PYTEST) tests/lab

test-front: front
	@scripts/front.sh test

# Every part runs, also after another one failed, so that one run reports all failures.
test:
	@$(MAKE) --no-print-directory --keep-going check test-python test-newest test-lowest test-lab test-front

bench: test-env newest
	@if test -x $(NEWEST)/bin/python; then python=$(NEWEST)/bin/python; else python=$(RUN); fi; \
	    set -x; $$python benchmarks/run.py --reference $(ORACLE)/bin/python $(BENCH)

# Not part of `make test`: each mutant runs the tests of its part, minutes to hours in all.
mutation: test-env
	@test -x $(COSMIC)/bin/cosmic-ray || { $(RUN) -m venv $(COSMIC) && $(COSMIC)/bin/pip install -q cosmic-ray; }
	$(COSMIC)/bin/python scripts/mutation.py --python $(abspath $(RUN)) $(MUTATION)

clean:
	rm -rf $(COSMIC) $(VENV) $(ORACLE) $(ORACLE_V1) $(ORACLE_1_0) $(ORACLE_2_0) $(NEWEST) $(LOWEST) .servers dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	rm -rf tests/lab/artifacts benchmarks/results examples/output
	rm -rf jupyterlab_extension/node_modules jupyterlab_extension/lib
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
