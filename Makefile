# Aliases of the command line, and what gets a fresh machine to the point where it works.
MAKEFLAGS += --no-print-directory --no-builtin-rules
.DEFAULT_GOAL := help
.PHONY: help setup preview up destroy test cluster lint format bench requirements environment-dev setup-dev failover failback status

# Any Python of 3.11 or newer: `make preview PYTHON=python3.13`.
PYTHON ?= python3
# One stack instead of both: `make preview stack=prod`.
stack ?=
# What a command is given besides: `make failover options=--dry-run`.
options ?=
one_stack = $(if $(stack),--stack $(stack))
# What is not committed yet is linted as well, so that CI finds nothing new.
shell_files = git ls-files -z --cached --others --exclude-standard \
	| xargs -0 awk 'FNR == 1 && (FILENAME ~ /\.sh$$/ || /^\#!.*[ \/](ba|da|k)?sh( |$$)/) { print FILENAME }'

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' Makefile

setup: ## get what preview, up and destroy need: the virtual environment and the Pulumi engine
	@$(PYTHON) toolchain/setup.py

preview: setup ## show what would be deployed, both stacks or stack=prod|dr; needs no AWS account
	@.venv/bin/mlops-ha preview $(one_stack)

up: setup ## deploy into the offline cloud (stack=prod|dr)
	@.venv/bin/mlops-ha up $(one_stack)

destroy: setup ## delete from the offline cloud (stack=prod|dr)
	@.venv/bin/mlops-ha destroy $(one_stack)

failover: setup ## the primary region is lost: switch to the other one (docs/runbooks/region-lost.md)
	@.venv/bin/mlops-ha failover $(options)

failback: setup ## go home to the primary region, planned (docs/runbooks/failback.md)
	@.venv/bin/mlops-ha failback $(options)

status: setup ## both regions, the failover switch, what is replicated
	@.venv/bin/mlops-ha status

# Four workers on two cores: one has the region of tests/cluster and waits for it, and a run of the engine waits for a
# third of its time, for the engine or the program.
test: setup-dev ## run all tests; ends with what was skipped and why, and the counts
	@.venv/bin/pytest -n 4 -rs

cluster: setup-dev ## run only the tests of a whole region, booted on this machine
	@.venv/bin/pytest -rs tests/cluster

lint: environment-dev ## check style, types and shell files
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check
	@.venv/bin/pyright
	@$(shell_files) | xargs .venv/bin/shellcheck

format: environment-dev ## rewrite the Python files in the project's style
	@.venv/bin/ruff check --fix
	@.venv/bin/ruff format

bench: setup-dev ## measure the preview, see bench/README.md
	@.venv/bin/python bench/preview.py

# The commands are part of the files they write.
requirements: environment-dev ## pin the dependencies in pyproject.toml, with hashes
	@.venv/bin/uv pip compile --quiet --python-version 3.11 --generate-hashes pyproject.toml -o requirements.txt
	@.venv/bin/uv pip compile --quiet --python-version 3.11 --generate-hashes --extra dev -c requirements.txt \
		pyproject.toml -o requirements-dev.txt

environment-dev:
	@$(PYTHON) toolchain/setup.py --dev --environment-only

setup-dev:
	@$(PYTHON) toolchain/setup.py --dev
