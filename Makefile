# `make demo` and `make test` are all that a newcomer needs; the rest is for those who stay.

export PYTHON ?= python3
RUN := .venv/bin/python
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test check lint types coverage format server client clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' Makefile | column -t -s '|' 2>/dev/null || grep '##' Makefile

demo: ## play a real conversation: server, two people, a message to somebody offline
	@sh tools/bootstrap.sh requirements.txt
	@$(RUN) tests/demo.py

test: ## run the tests
	@sh tools/bootstrap.sh requirements-dev.txt
	$(RUN) -m pytest $(ARGS)

check: lint types coverage ## what CI runs: lint, types, tests with branch coverage

lint:
	@sh tools/bootstrap.sh requirements-dev.txt
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check

types:
	@sh tools/bootstrap.sh requirements-dev.txt
	$(RUN) -m mypy

coverage:
	@sh tools/bootstrap.sh requirements-dev.txt
	$(RUN) -m pytest --cov --cov-report=term-missing:skip-covered $(ARGS)

format: ## put the source into its form
	@sh tools/bootstrap.sh requirements-dev.txt
	$(RUN) -m ruff check --fix-only
	$(RUN) -m ruff format

server: ## run the server; options in ARGS="--port 0"
	@sh tools/bootstrap.sh requirements.txt
	@$(RUN) server.py $(ARGS)

client: ## run a client; options in ARGS="--user alice"
	@sh tools/bootstrap.sh requirements.txt
	@$(RUN) client.py $(ARGS)

clean: ## remove the environment and what tests leave; keys/ and data/ stay
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*
