# `make help` lists the targets. Each one installs what it needs, which is quick once installed.

.DEFAULT_GOAL := help
LINTERS := lint-format lint-code lint-types lint-imports lint-templates
.PHONY: help demo demo-schedules demo-campaign demo-edit test test-computing test-waiting check lint \
	$(LINTERS) test-domain local down deploy go-back delete-versions docs machines locks sbom dev emulator \
	sam supply chromium faults browser screenshots bench
MAKEFLAGS += --no-print-directory
# Containers often set it. Then each of pytest's workers compiles every module, at each run.
unexport PYTHONDONTWRITEBYTECODE

STACK ?= jobyard
PARAMETERS ?=
TO ?= screenshots
# `make locks UV=NEW/bin/uv` where the lock of .venv-supply itself lacks hashes.
UV ?= .venv-supply/bin/uv
SAM := SAM_CLI_TELEMETRY=0 PATH="$(CURDIR)/.venv-sam/bin:$$PATH" \
	WHEELS="$(CURDIR)/.venv-sam/wheels" .venv-sam/bin/sam
WORKERS := --numprocesses auto --maxprocesses 5
PYTEST := .venv/bin/pytest $(WORKERS)
# Tests that wait for processes, servers and browsers. They run beside the others with workers of
# their own: none has to collect all tests.
WAITERS := 2
WAITING := tests/browser tests/cli/local tests/faults/test_load.py tests/live
# Runs several targets at once. GNU make 4 and later keeps the output of each together.
AT_ONCE = $(MAKE) --jobs 3 $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)
say = @printf '\033[1m%s\033[0m\n' "$(1)"

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile

demo: dev emulator ## Show three manifests from upload to mail, on this laptop
	@.venv/bin/python -m cli.demo

demo-schedules: dev emulator ## Show a schedule that sweeps a table, on this laptop
	@.venv/bin/python -m cli.demo_schedules

demo-campaign: dev emulator ## Show a campaign on simulated devices, on this laptop
	@.venv/bin/python -m cli.demo_campaign

demo-edit: dev emulator ## Show how people repair a border of two counties, on this laptop
	@.venv/bin/python -m cli.demo_edit

local: dev emulator ## Start the stack on this laptop and leave it running
	@.venv/bin/jobyard local up

down: dev ## Stop the local stack; its data is kept
	@.venv/bin/jobyard local down

test: lint emulator sam chromium ## Run all linters and tests, live tests included
	@$(MAKE) --jobs 2 test-computing test-waiting
	$(call say,coverage with branches)
	@.venv/bin/python -m tests.coverage .coverage.json

check: dev ## Run the linters, and the tests of domain and infrastructure
	@$(AT_ONCE) test-domain $(LINTERS)

lint: dev ## Run the linters only
	@$(AT_ONCE) $(LINTERS)

test-computing:
	$(call say,tests; beside them those that wait: live ones and browsers and processes)
	@$(PYTEST) -p tests.coverage_plugin $(WAITING:%=--ignore=%)

test-waiting: # shown as a whole, or it would be among the dots of the others
	@.venv/bin/pytest --numprocesses $(WAITERS) $(WAITING) >.waiting.log 2>&1; waited=$$?; \
		cat .waiting.log; exit $$waited

test-domain:
	$(call say,tests of domain and infrastructure)
	@$(PYTEST) -q tests/domain tests/infra --ignore tests/infra/test_sam.py

lint-format:
	$(call say,formatting)
	@.venv/bin/ruff format --check .

lint-code:
	$(call say,lint)
	@.venv/bin/ruff check .

lint-types:
	$(call say,types)
	@.venv/bin/mypy layers/jobyard/jobyard functions cli infra examples

lint-imports:
	$(call say,import contracts)
	@.venv/bin/lint-imports --no-cache

lint-templates:
	$(call say,templates)
	@.venv/bin/cfn-lint template.yaml infra/monitoring.yaml

faults: dev emulator ## Inject every fault at every AWS call, and kill workers under load; an hour
	@$(PYTEST) tests/faults tests/services/test_recovery.py tests/domain/test_lifecycle_machines.py \
		tests/functions/api/test_fuzz.py --points all --load full

browser: dev chromium ## Open every page in a real browser, at every width and in both schemes
	@$(PYTEST) tests/browser --points all

screenshots: dev chromium ## Write a picture of every page, empty and full, to the folder TO
	@.venv/bin/python -m tests.browser.screenshots $(TO)

bench: dev emulator chromium ## Measure every figure of docs/performance.md against its peer; forty minutes
	@.venv/bin/python -m benchmarks

docs: dev ## Generate the lifecycle diagrams and the OpenAPI document
	@.venv/bin/python -m cli.docs
	@.venv/bin/python -m api.openapi > docs/openapi.json

machines: dev ## Generate the state machines' definitions from infra/statemachines/*.yaml
	@.venv/bin/python -m infra.state_machines

locks: $(if $(filter .venv-supply/%,$(UV)),supply) ## Write the hashes of all files into the locks
	@for lock in requirements/*.txt layers/*/requirements.txt; do \
		{ grep '^#' $$lock; $(UV) pip compile --quiet --no-config --no-deps --no-header --no-annotate \
			--universal --python-version 3.11 --generate-hashes $$lock; } >$$lock.new \
			&& mv $$lock.new $$lock || exit 1; \
	done

# What Lambda gets: the versions of the layers, installed for this machine.
sbom: supply ## Write the software bill of materials (CycloneDX) of what is deployed to sbom.json
	@rm -rf .venv-shipped && .venv-supply/bin/python -m venv --without-pip .venv-shipped
	@.venv-supply/bin/python -m pip --python .venv-shipped install --quiet --no-deps --require-hashes \
		--requirement layers/vendor/requirements.txt --requirement layers/geometry/requirements.txt
	@.venv-supply/bin/cyclonedx-py environment .venv-shipped --pyproject pyproject.toml \
		--mc-type application --output-reproducible --output-format JSON --output-file sbom.json

deploy: sam ## Deploy to AWS: STACK=name PARAMETERS="MailFrom=… MailTo=…"
	@$(SAM) build --cached
	@$(SAM) deploy --stack-name $(STACK) --resolve-s3 \
		--capabilities CAPABILITY_IAM CAPABILITY_AUTO_EXPAND \
		--parameter-overrides UpdateId=$$(date -u +%Y%m%dT%H%M%S) $(PARAMETERS)

go-back: dev ## Make the versions before the last update live again: STACK=name
	@.venv/bin/python -m cli.versions go-back $(STACK)

delete-versions: dev ## Delete versions of a stack on AWS that nothing runs: STACK=name DAYS=30
	@.venv/bin/python -m cli.versions delete-old $(STACK) $(DAYS)

dev emulator sam supply chromium:
	@requirements/install $@
