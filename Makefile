# `make help` lists what there is to do. Everything runs in .venv, which the first command makes.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help demo test test-matrix test-stack test-faults test-spark test-compose test-mutants lint audit licences wheel sbom pictures bench bench-spark constraints clean

# The Python that makes .venv: the first that runs, since a version manager's shim can be there and fail.
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3.10 python3.14 python3; do \
	"$$python" -c "" 2>/dev/null && echo "$$python" && break; done)
ENVIRONMENT = @"$(or $(PYTHON),$(error No Python found; install Python 3.10 to 3.14))" scripts/environment.py
PORT ?= 8080

# Many container images set this. Without bytecode every process compiles all of Airflow again, four seconds each.
unexport PYTHONDONTWRITEBYTECODE

help:  ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-12s %s\n", $$1, $$2}' Makefile

demo:  ## Start Airflow, run the Dag, print the link to its chart (ONCE=1: stop after the run; PORT=8080)
	$(ENVIRONMENT)
	@exec .venv/bin/python scripts/demo.py --port "$(PORT)" $(if $(ONCE),--once)

test: lint  ## Lint, check types and run the whole test suite
	@.venv/bin/python -m pytest

test-matrix:  ## Test on every Airflow and Python supported (ONLY="3.1-py3.10 3.3-py3.13")
	$(ENVIRONMENT) test
	@.venv/bin/python scripts/matrix.py $(ONLY)

test-stack:  ## Run docker-compose.yaml's services and test them; needs PostgreSQL's and Redis's servers, and Java
	$(ENVIRONMENT) test s3 stack spark
	@.venv/bin/python -m pytest tests/stack

test-faults:  ## Kill tasks, take database and storage away, and look whether every run ends well (minutes)
	$(ENVIRONMENT) test s3 stack
	@.venv/bin/python -m pytest tests/faults

test-spark:  ## Run what runs on Spark on a cluster of this machine; needs Java 17 (minutes)
	$(ENVIRONMENT) test spark s3
	@.venv/bin/python -m pytest tests/spark

test-compose:  ## Run docker-compose.yaml itself; needs Docker, Compose 2 and the base images (minutes)
	$(ENVIRONMENT) test s3 stack
	@.venv/bin/python -m pytest tests/compose

test-mutants:  ## Count the faults, put in one by one, that tests notice (hours; ONLY="model", SAMPLE=200)
	$(ENVIRONMENT) test mutants
	@.venv/bin/python scripts/mutants.py $(if $(SAMPLE),--sample $(SAMPLE)) $(ONLY)

lint:  ## Check style, types, and which room imports which
	$(ENVIRONMENT) test
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@PYTHONPATH=plugins .venv/bin/lint-imports setup.cfg

audit:  ## Ask the Python advisory database about the pinned dependencies (needs the network)
	$(ENVIRONMENT) test
	@PATH="$(CURDIR)/.venv/bin:$$PATH" uv tool run pip-audit --strict --disable-pip --no-deps -r constraints.txt

licences:  ## List the licences of the runtime dependencies; fails if one does not go with Apache-2.0
	$(ENVIRONMENT) test
	@.venv/bin/python scripts/licences.py

wheel:  ## Build the wheel of the last commit in dist: the same bytes whoever builds it
	$(ENVIRONMENT) test
	@rm -f dist/*.whl
	@.venv/bin/python scripts/build_wheel.py dist

sbom: wheel  ## List in dist, as CycloneDX has it, what is installed with the wheel, and in the image (needs the network)
	@rm -rf build/sbom && PATH="$(CURDIR)/.venv/bin:$$PATH" && uv venv --quiet --python .venv/bin/python build/sbom \
		&& sed '/^ *--hash/d; s/ *\\$$//' constraints.txt > build/sbom/constraints.txt \
		&& uv pip install --quiet --python build/sbom/bin/python --constraint build/sbom/constraints.txt dist/*.whl \
		&& rm build/sbom/lib/python*/site-packages/airflow_segmentation-*/direct_url.json \
		&& uv tool run --from cyclonedx-bom cyclonedx-py environment build/sbom --output-reproducible \
			--output-file dist/airflow-segmentation.cdx.json
	@.venv/bin/python scripts/image_sbom.py dist/airflow-segmentation-image.cdx.json

pictures:  ## Take all pictures of the documents anew, of what the example Dags find; needs Chromium (minutes)
	$(ENVIRONMENT) test
	@.venv/bin/python scripts/pictures.py

bench:  ## Compare the sweep with its peers and print the table
	$(ENVIRONMENT) bench
	@.venv/bin/python benchmarks/sweep.py

bench-spark:  ## Compare the sweep on Spark with MLlib's and with none of it; needs Java 17 (an hour)
	$(ENVIRONMENT) test spark
	@.venv/bin/python benchmarks/spark.py

# The last cryptography with wheels for Intel Macs, where a newer one would need Rust to build.
INTEL_MAC = 'cryptography<46; sys_platform == "darwin" and platform_machine == "x86_64"' \
	'cryptography>=46; sys_platform != "darwin" or platform_machine != "x86_64"'

# Not gcs and azure: some hundred packages, and older versions of ours, for what no test here runs on.
PINNED = --extra dip --extra test --extra s3 --extra stack --extra mutants --extra bench --extra spark --extra spark-cluster --extra mlflow

constraints:  ## Pin the newest versions that setup.cfg allows, for every Python and platform
	$(ENVIRONMENT) test
	@printf '%s\n' $(INTEL_MAC) | PATH="$(CURDIR)/.venv/bin:$$PATH" uv pip compile pyproject.toml \
		$(PINNED) --upgrade --quiet --constraint /dev/stdin --universal --python-version 3.10 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate \
		--custom-compile-command "make constraints" --output-file constraints.txt
	@rm -rf *.egg-info

clean:  ## Remove everything that these commands made, but for the models
	rm -rf .venv .demo .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
