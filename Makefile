# `make help` lists what there is. All of it sets up by itself, and quickly when that is done.

.DEFAULT_GOAL := help
.PHONY: help demo demo-schedules test check look local down deploy docs machines dev emulator sam faults bench
MAKEFLAGS += --no-print-directory

STACK ?= jobyard
PARAMETERS ?=
SAM := SAM_CLI_TELEMETRY=0 PATH="$(CURDIR)/.venv-sam/bin:$$PATH" \
	WHEELS="$(CURDIR)/.venv-sam/wheels" .venv-sam/bin/sam
say = @printf '\033[1m%s\033[0m\n' "$(1)"

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile

demo: dev emulator ## Three manifests from upload to mail, on this laptop
	@.venv/bin/python -m cli.demo

demo-schedules: dev emulator ## A schedule that sweeps a table, before and after, on this laptop
	@.venv/bin/python -m cli.demo_schedules

local: dev emulator ## Start the stack on this laptop and leave it running
	@.venv/bin/jobyard local up

down: dev ## Stop it; what it holds is kept
	@.venv/bin/jobyard local down

test: look emulator sam ## Everything that is checked, live tests included
	$(call say,all tests but the live ones)
	@.venv/bin/pytest --numprocesses auto --maxprocesses 4 --dist loadfile --ignore tests/live
	$(call say,live tests)
	@.venv/bin/pytest tests/live

check: look ## The fast half: formatting, lint, types, imports, template, domain
	$(call say,tests of domain and infrastructure)
	@.venv/bin/pytest -q tests/domain tests/infra --ignore tests/infra/test_sam.py

look: dev
	$(call say,formatting)
	@.venv/bin/ruff format --check .
	$(call say,lint)
	@.venv/bin/ruff check .
	$(call say,types)
	@.venv/bin/mypy layers/jobyard/jobyard functions cli infra
	$(call say,import contracts)
	@.venv/bin/lint-imports --no-cache
	$(call say,template)
	@.venv/bin/cfn-lint template.yaml infra/monitoring.yaml

faults: dev emulator ## Every fault at every call, and the load with killed workers; an hour
	@.venv/bin/pytest tests/faults tests/scenarios/test_recovery.py tests/domain/test_lifecycle_machines.py \
		tests/functions/api/test_api_fuzz.py --points all --load full \
		--numprocesses auto --maxprocesses 4

bench: dev emulator ## Every figure of docs/performance.md, each beside its peer; forty minutes
	@.venv/bin/python -m benchmarks

docs: dev ## Generate the lifecycle diagrams and the OpenAPI document
	@.venv/bin/python -m cli.docs
	@.venv/bin/python -m api.openapi > docs/openapi.json

machines: dev ## Generate the state machines' definitions from infra/statemachines/*.yaml
	@.venv/bin/python -m infra.state_machines

deploy: sam ## Deploy to AWS: STACK=name PARAMETERS="MailFrom=… MailTo=…"
	@$(SAM) build --cached
	@$(SAM) deploy --stack-name $(STACK) --resolve-s3 \
		--capabilities CAPABILITY_IAM CAPABILITY_AUTO_EXPAND \
		$(if $(PARAMETERS),--parameter-overrides $(PARAMETERS))

dev emulator sam:
	@requirements/install $@
