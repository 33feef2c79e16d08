# Every target sets up .venv first; nothing but Python 3.11, make and a C++ compiler has to be there.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

# What `make luts`, `make codesign` and `make cocotb` work on; override on the command line:
#   make luts DESIGNS="rtl/multipliers.toml mine.toml"      make codesign DATA=shapes MAX_DROP=0.5
DESIGNS ?= rtl/multipliers.toml
CATALOG ?= build/catalog
MODEL ?= resnet8
DATA ?= digits
MAX_DROP ?= 1.0
SIM ?= verilator
RUN ?= runs/$(MODEL)-$(DATA)
IMAGES ?= 100

# What the native kernels are built of, and the sanitized ones for `make sanitize`.
LIBRARY := agn_hw/kernels/libagn_kernels.so
NATIVE := CMakeLists.txt $(wildcard agn_hw/kernels/csrc/*)
SANITIZED := build/sanitize/libagn_kernels.so

.PHONY: help setup luts codesign verify cocotb test quick lint bench bench-catalog fuzz sanitize test-cuda sanitize-cuda \
  bench-cuda doctor clean

help:
	@echo "make codesign   Verilog -> catalog -> network -> plan   (DATA=digits|shapes MAX_DROP=1.0)"
	@echo "make luts       the catalog of multipliers only         (DESIGNS=... CATALOG=...)"
	@echo "make verify     the plan's network on the array's Verilog, every sum against the tables   (RUN=... IMAGES=100)"
	@echo "make cocotb     all RTL, multipliers and array, against tables (SIM=verilator|icarus)"
	@echo "make test       lint, types and all tests               make quick: without the slow ones"
	@echo "make bench      the table kernels and networks against plain torch (a quarter of an hour; reports/kernels)"
	@echo "make bench-catalog   what a catalog costs to build, energy under real operands (reports/catalog)"
	@echo "make fuzz       10,000 damaged inputs for each reader of foreign files   (TRIES=10000)"
	@echo "make sanitize   the kernels' tests under the address and undefined-behaviour sanitizers (GCC)"
	@echo "make test-cuda  what only a GPU can show, with PYTHON as it is: no .venv   also: sanitize-cuda, bench-cuda"
	@echo "make doctor     tools found and missing"

setup: $(READY)

$(READY): pyproject.toml constraints.txt $(NATIVE)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "agn-hw needs Python 3.11 or newer: make PYTHON=python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "setting up .venv (about a minute the first time)"
	@PIP_BUILD_CONSTRAINT=constraints.txt PIP_CONSTRAINT=constraints.txt \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

luts: $(READY)
	$(BIN)/agn-hw luts $(DESIGNS) -o $(CATALOG)

codesign: luts
	$(BIN)/agn-hw codesign --model $(MODEL) --data $(DATA) --catalog $(CATALOG) --max-drop $(MAX_DROP) -o $(RUN)

verify: $(if $(wildcard $(RUN)/plan.json),$(READY),codesign)
	$(BIN)/agn-hw verify $(RUN) --catalog $(CATALOG) --images $(IMAGES)

cocotb: luts
	AGN_HW_DESIGNS="$(DESIGNS)" AGN_HW_CATALOG="$(CATALOG)" AGN_HW_SIM="$(SIM)" \
	  $(BIN)/python -m pytest tests/sim tests/rtl/test_accelerator.py -v --durations=3

# A file's tests stay together: some share a simulation. Waiting threads sleep, or the two halves would slow each other.
IN_PARALLEL := --numprocesses=auto --maxprocesses=4 --dist=loadfile

test: $(READY) lint luts
	OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest $(IN_PARALLEL) --durations=10

quick: $(READY) lint luts
	OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest $(IN_PARALLEL) -m "not slow"

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/mypy

# BENCH=--quick: half a minute each, and one line of JSON at the end.
bench: $(READY)
	$(BIN)/python -m benchmarks.kernels $(BENCH)
	$(BIN)/python -m benchmarks.network $(BENCH)

bench-catalog: luts
	$(BIN)/python -m benchmarks.catalog $(BENCH)
	$(BIN)/python -m benchmarks.operand_energy --catalog $(CATALOG)

# Designs, netlists, Liberty files, catalogs: damaged ones may raise the documented error, and nothing else.
TRIES ?= 10000
fuzz: $(READY)
	AGN_HW_FUZZ=$(TRIES) $(BIN)/python -m pytest tests/fuzz -q --durations=0

# Python itself is not sanitized, so the sanitizer has to be loaded first; with it libstdc++, whose exceptions it
# watches. CMake comes from PyPI, for a machine that has none.
sanitize: $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt cmake
	$(BIN)/cmake -S . -B build/sanitize -DAGN_SANITIZE=ON -DCMAKE_CXX_COMPILER=$(CXX)
	$(BIN)/cmake --build build/sanitize --parallel
	AGN_HW_LIBRARY=$(SANITIZED) AGN_SANITIZE=1 ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 \
	  LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so) $$($(CXX) -print-file-name=libstdc++.so)" \
	  OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest $(IN_PARALLEL) -s -q tests/agn_hw/kernels --ignore=tests/agn_hw/kernels/cuda/test_compile.py

# On a machine with a CUDA device: PYTHON as it is, no .venv, nothing is installed or fetched, no catalog. Plugins of
# pytest that happen to be there stay out. CUDA_TESTS: other files, or -k.
CUDA_TESTS ?= tests/cuda
ON_CUDA := AGN_HW_WANT_CUDA=1 PYTEST_DISABLE_PLUGIN_AUTOLOAD=1
PYTEST_CUDA := $(PYTHON) -m pytest --confcutdir=tests/cuda -W default
test-cuda:
	$(ON_CUDA) $(PYTEST_CUDA) --durations=5 $(CUDA_TESTS)

# Small operands, for every access is checked. torch's cache of memory would hide what lies beyond a tensor.
# Errors of calls are not asked for: the bindings look for functions that a driver may lack.
# The gradients' test runs libraries' matrix products too, whose races are not ours to judge.
WATCHED := $(PYTEST_CUDA) -q tests/cuda/test_every_kernel.py
sanitize-cuda:
	@command -v compute-sanitizer >/dev/null || { \
	  echo "wanted compute-sanitizer, which is not on the PATH; it comes with the CUDA toolkit, in its bin folder" >&2; exit 1; }
	$(ON_CUDA) PYTORCH_NO_CUDA_MEMORY_CACHING=1 compute-sanitizer --tool memcheck --report-api-errors no --error-exitcode 9 $(WATCHED)
	$(ON_CUDA) compute-sanitizer --tool racecheck --error-exitcode 9 $(WATCHED) -k "not gradients"

# BENCH=--quick: a minute each. All of it: eight.
bench-cuda:
	@failed=0; for part in kernels networks; do $(PYTHON) -m benchmarks.cuda.$$part $(BENCH) || failed=1; done; exit $$failed

doctor: $(READY)
	$(BIN)/agn-hw doctor

clean:
	rm -rf $(READY) $(LIBRARY) build .pytest_cache .mypy_cache .ruff_cache .hypothesis
