# Everything runs in .venv, made from the pinned versions in constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
PROSE := $(addprefix ../../,$(wildcard *.md docs/*.md infgen/assets/MODEL_CARD*.md) tests/oracles/README.md) help/*.md
PIP := $(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt
INSTALL := $(PIP) --quiet
# Where the default index has CUDA builds of PyTorch: make demo TORCH_INDEX=URL of PyTorch's index of CPU builds, which its
# installation page names. 200 MB instead of several GB.
TORCH_INDEX ?=

.PHONY: demo test quick gpu lint types wheel page web prose docs man clean

demo: .venv/base  ## render out/demo.png with the shipped model
	mkdir -p out
	$(BIN)/infgen render --w 2048 --h 1024 --seed 51 -o out/demo.png
	@echo "out/demo.png is ready. To open the canvas in a browser:"
	@echo "  $(BIN)/python -m pip install '.[serve]' && $(BIN)/infgen serve --open"

test: .venv/dev  ## run the test suite
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

quick: .venv/dev  ## geometry, oracles, command line and seams: a first answer in under two minutes
	$(BIN)/python -m pytest -n 2 --dist loadfile -q tests/test_geometry.py tests/test_words.py tests/test_public_names.py \
		tests/world tests/model/test_oracle_field.py tests/model/test_oracle_patch.py tests/model/test_config.py \
		tests/model/test_generator.py tests/model/test_fused.py tests/model/test_mixed_styles.py \
		tests/rendering/test_seams.py tests/cli/test_info.py tests/cli/test_scale.py tests/cli/test_schema.py

lint: .venv/dev  ## style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: wheel  ## type-check the installed wheel, which also shows that it is whole
	rm -rf build/types
	$(PYTHON) -m venv build/types
	build/types/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt mypy types-cachetools types-psutil "$$(ls dist/*.whl)[serve]"
	cd build/types && bin/mypy --config-file ../../pyproject.toml -p infgen

wheel: .venv/dev  ## build the wheel and check what is in it
	rm -rf dist build/lib build/bdist.*
	$(BIN)/python -m build --wheel --quiet
	$(BIN)/python tests/check_wheel.py dist/*.whl

page:  ## lint and type-check the canvas page; needs npm
	rm -rf build/page && mkdir -p build/page
	cp -r serve/static serve/package.json serve/tsconfig.json serve/eslint.config.js build/page
	cp -r export/page build/page/static/js/local
	cd build/page && npm install --silent --no-audit --no-fund && npm run --silent check

web: .venv/dev  ## write the canvas as static files to out/web, for any host; needs npm
	mkdir -p build/web out && rm -rf out/web
	cp export/page/package.json build/web
	cd build/web && npm install --silent --no-audit --no-fund
	$(BIN)/infgen export --web out/web --ort build/web/node_modules/onnxruntime-web
	@echo "Look at it: python3 -m http.server --directory out/web"

prose: .venv/dev  ## check the English of docs and help texts; needs npm
	rm -rf build/prose && mkdir -p build/prose
	cp -r docs/prose/. build/prose
	$(BIN)/python docs/prose/help_texts.py build/prose/help
	cd build/prose && npm install --silent --no-audit --no-fund && npm run --silent check -- $(PROSE)

docs: .venv/docs  ## build the documentation site, check its links, and execute the notebooks
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	$(BIN)/python docs/notebooks/execute.py
	@echo "the site is in build/site"

man: .venv/base  ## write a man page for every command into build/man
	$(BIN)/python docs/site/man_pages.py build/man

clean:
	rm -rf .venv build dist out *.egg-info

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/base: .venv/bin/python pyproject.toml constraints.txt
	@echo "Downloading PyTorch into .venv: 200 MB for a CPU build, several GB with CUDA."
	@echo "To choose the CPU build: make $(or $(MAKECMDGOALS),demo) TORCH_INDEX=URL, the index on PyTorch's installation page."
	$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch==2.13.0
	@echo "Downloading the other packages: about 150 MB."
	$(INSTALL) --editable .
	touch $@

.venv/dev: .venv/base
	$(INSTALL) --editable '.[dev]'
	touch $@

.venv/docs: .venv/base
	$(INSTALL) --editable '.[docs,serve,train]'
	touch $@

.venv/gpu: .venv/dev
	$(BIN)/python -m pip uninstall --quiet --yes onnxruntime
	$(INSTALL) --editable '.[gpu,kernels,trt]'
	touch $@
