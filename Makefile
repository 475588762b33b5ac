# `make demo` and `make test` are all that a newcomer needs; the rest is for those who stay.

export PYTHON ?= python3
unexport PYTHONDONTWRITEBYTECODE # without bytecode every start compiles all it imports
RUN := .venv/bin/python
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test check lint types format man soak fuzz bench bench-client bench-peers model server client clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | column -t -s '|' 2>/dev/null || grep '##' Makefile

demo: ## play a real conversation: server, two people, a message to somebody offline
	@sh tools/bootstrap.sh requirements.txt
	@$(RUN) tests/demo.py

test: ## run the tests
	@sh tools/bootstrap.sh requirements-dev.txt
	$(RUN) -m pytest --cov --cov-report=term-missing:skip-covered $(ARGS)

check: lint types test ## what must be clean before a change lands

soak: ## the fault tests at length, at most 15 minutes; one JSON line a test in soak.jsonl
	@sh tools/bootstrap.sh requirements-dev.txt
	$(RUN) -m pytest --soak --dist load --maxschedchunk 1 $(ARGS)

lint:
	@sh tools/bootstrap.sh requirements-dev.txt
	$(RUN) -m ruff check --quiet
	$(RUN) -m ruff format --check --quiet

types:
	@sh tools/bootstrap.sh requirements-dev.txt
	$(RUN) -m mypy

format: ## put the source into its form
	@sh tools/bootstrap.sh requirements-dev.txt
	$(RUN) -m ruff check --fix-only
	$(RUN) -m ruff format

man: ## write the manual pages in docs/man anew, from the command lines
	@sh tools/bootstrap.sh requirements.txt
	@$(RUN) -m tools.man

bench: ## measure all, beside the peers that are installed, 40 to 60 minutes; results in bench/results/
	@sh tools/bootstrap.sh requirements.txt
	@$(RUN) -m bench.run $(ARGS)

bench-client: ## measure the client's side only: what a message costs, and a start
	@sh tools/bootstrap.sh requirements.txt
	@$(RUN) -m bench.client
	@$(RUN) -m bench.suite2

bench-peers: ## install those peers, from Debian's packages
	apt-get install -y mosquitto nats-server ejabberd prosody

fuzz: ## fuzz what reads bytes from outside, a minute each with atheris; ARGS="frames 600" for one and longer
	@sh tools/bootstrap.sh requirements-fuzz.txt
	$(RUN) -m fuzz.run $(ARGS)

model: ## check the model of the delivery contract with spin, and that the check can fail
	@sh model/check.sh $(ARGS)

server: ## run the server; options in ARGS="--port 0"
	@sh tools/bootstrap.sh requirements.txt
	@$(RUN) server.py $(ARGS)

client: ## run a client; options in ARGS="--user alice"
	@sh tools/bootstrap.sh requirements.txt
	@$(RUN) client.py $(ARGS); code=$$?; [ $$code -gt 128 ] || exit $$code # by Ctrl-C one leaves, which is no failure

clean: ## remove the environment and what tests leave; keys/ and data/ stay
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*
