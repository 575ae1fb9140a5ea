# Antinomy: one Makefile, read top to bottom. `make help` lists the targets.
#
#   make            the program build/antinomy (with CUDA where nvcc is found; CUDA=0 leaves it out)
#   make demo       everything from a fresh Debian 12: packages, build, sample set, answers, contradiction report
#   make test       everything that can be tested on this machine
#
# Objects of the build with and without CUDA lie apart; the configuration stamp relinks the programs when it changes.

BUILD ?= build
CC ?= gcc
NVCC ?= nvcc
CUDA ?= $(if $(shell command -v $(NVCC) 2>/dev/null),1,0)
CUDA_ARCH ?= 90a
SAN ?=
OPT ?= -O2

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror
CFLAGS := -std=c11 -D_GNU_SOURCE -I. $(OPT) -g -ffp-contract=off -fno-omit-frame-pointer -pthread $(WARN) -MMD -MP $(SAN) $(EXTRA_CFLAGS)
LDFLAGS := -pthread $(SAN)
O := $(BUILD)/obj$(if $(filter 1,$(CUDA)),-cuda)

ifeq ($(CUDA),1)
CFLAGS += -DANTINOMY_CUDA
CUDA_HOME ?= $(patsubst %/bin/nvcc,%,$(realpath $(shell command -v $(NVCC))))
NVCCFLAGS := -std=c++17 -O3 -I. -gencode=arch=compute_$(CUDA_ARCH),code=sm_$(CUDA_ARCH) -Xcompiler -Wall --threads 2
CUDA_LIBS := -L$(CUDA_HOME)/lib64 -L$(CUDA_HOME)/targets/x86_64-linux/lib -Wl,-rpath,$(CUDA_HOME)/lib64 -lcublasLt -lcublas -lcudart_static -lrt -ldl -lstdc++
endif

# ---- sources: a folder's files are its library ----
src = $(sort $(wildcard $(1)/*.c))
KERNELS_C := $(call src,kernels) $(call src,kernels/cpu)
KERNELS_CU := $(if $(filter 1,$(CUDA)),$(sort $(wildcard kernels/cuda/*.cu)))
# engine/jamba/cuda*.c are the device side: only in the build with CUDA
JAMBA_C := $(if $(filter 1,$(CUDA)),$(call src,engine/jamba),$(filter-out engine/jamba/cuda%,$(call src,engine/jamba)))
INGEST_C := $(call src,ingest)
STORE_C := $(call src,store)
ANALYSIS_C := $(call src,engine) $(call src,engine/analysis)
API_C := $(filter-out api/main.c,$(call src,api))

obj = $(patsubst %,$(O)/%.o,$(1))
WEB := $(sort $(wildcard api/web/*.html api/web/*.css api/web/*.js api/web/*.json))
WEB_O := $(patsubst %,$(O)/%.o,$(WEB))
KERNELS_O := $(call obj,$(KERNELS_C) $(KERNELS_CU))
JAMBA_O := $(call obj,base.c $(JAMBA_C))
LIB_O := $(KERNELS_O) $(JAMBA_O) $(call obj,$(INGEST_C) $(STORE_C) store/schema.sql $(ANALYSIS_C) $(API_C)) $(WEB_O)

JAMBA_LIBS := -ljansson -lm $(CUDA_LIBS)
LIBS := -lsqlite3 -lcurl -lpcre2-8 -lzip -lexpat -lxml2 -lseccomp -lmicrohttpd $(JAMBA_LIBS)

TESTS := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(sort $(wildcard tests/unit/test_*.c)))

.PHONY: all cuda demo test test-unit check-includes asan tsan fuzz bench eval test-mutants test-browser clean help packages format
all: $(BUILD)/antinomy $(BUILD)/jamba-bench

help:
	@sed -n 's/^##  *//p' $(MAKEFILE_LIST)

# ---- compile ----
$(O)/%.c.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(ISA) $(INC) -c $< -o $@
$(O)/%.cu.o: %.cu
	@mkdir -p $(@D)
	$(NVCC) $(NVCCFLAGS) -MMD -MP -MF $(@:.o=.d) -c $< -o $@

# A kernel file says in its name which instructions it may use; the rest of the program runs on any x86-64.
$(O)/kernels/cpu/%_avx2.c.o: ISA := -mavx2 -mfma -mf16c -O3
$(O)/kernels/cpu/%_avx512.c.o: ISA := -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mavx2 -mfma -mf16c -O3
$(O)/kernels/cpu/%_avx512bf16.c.o: ISA := -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mavx512bf16 -mavx2 -mfma -mf16c -O3
$(O)/kernels/cpu/%_amx.c.o: ISA := -mamx-tile -mamx-int8 -mamx-bf16 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mavx512bf16 -mavx2 -mfma -mf16c -O3
$(O)/ingest/%.c.o $(O)/tests/%.c.o: INC := $(shell xml2-config --cflags 2>/dev/null)

# The page (HTML, CSS, JS) and the API's description become bytes of the program (ld -r -b binary keeps them as they are).
$(O)/api/web/%.o: api/web/%
	@mkdir -p $(@D)
	ld -r -b binary -z noexecstack $< -o $@
SCHEMA_O := $(O)/store/schema.sql.o
$(SCHEMA_O): store/schema.sql
	@mkdir -p $(@D)
	ld -r -b binary -z noexecstack $< -o $@

# ---- link; the stamp changes when the configuration does ----
CONFIG := CUDA=$(CUDA) SAN=$(SAN) OPT=$(OPT)
$(shell mkdir -p $(BUILD); echo '$(CONFIG)' | cmp -s - $(BUILD)/config || echo '$(CONFIG)' > $(BUILD)/config)

$(O)/libjamba.a: $(KERNELS_O) $(JAMBA_O)
	@rm -f $@
	ar rcs $@ $^
$(O)/libantinomy.a: $(LIB_O)
	@rm -f $@
	ar rcs $@ $^
$(BUILD)/libjamba.a: $(O)/libjamba.a $(BUILD)/config
	cp $< $@

$(BUILD)/antinomy: $(O)/api/main.c.o $(O)/libantinomy.a $(BUILD)/config
	$(CC) $(LDFLAGS) -o $@ $< $(O)/libantinomy.a $(LIBS)
$(BUILD)/jamba-bench: $(O)/tests/bench/jamba_bench.c.o $(O)/libjamba.a $(BUILD)/config
	$(CC) $(LDFLAGS) -o $@ $< $(O)/libjamba.a $(JAMBA_LIBS)
# This one needs the engine alone, so it runs (make test-long) on machines where the other libraries are not.
$(BUILD)/tests/test_session: $(O)/tests/unit/test_session.c.o $(O)/libjamba.a $(BUILD)/config
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $< $(O)/libjamba.a $(JAMBA_LIBS) -lcmocka
$(BUILD)/tests/%: $(O)/tests/unit/%.c.o $(O)/libantinomy.a $(BUILD)/config
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $< $(O)/libantinomy.a $(LIBS) -lcmocka
$(BUILD)/eval/%: $(O)/tests/eval/%.c.o $(O)/libantinomy.a $(BUILD)/config
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $< $(O)/libantinomy.a $(LIBS)
$(BUILD)/bench/%: $(O)/tests/bench/%.c.o $(O)/libantinomy.a $(BUILD)/config
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $< $(O)/libantinomy.a $(LIBS)
# Fuzzers link the library as clang builds it, with coverage and sanitizers (kernels as gcc builds them: clang 14 lacks some of their names); run: build/fuzz/fuzz_gguf -max_total_time=600 CORPUS
ifdef FUZZING
$(O)/kernels/%.c.o: override CC := gcc
$(O)/kernels/%.c.o: override CFLAGS := $(filter-out -fsanitize% -Wno-everything,$(CFLAGS))
endif
FUZZ_BUILD := $(BUILD)/fuzz-objects
FUZZ_SAN := -fsanitize=address,undefined
.PHONY: fuzz-library
fuzz-library:
	$(MAKE) CUDA=0 CC=clang-14 BUILD=$(FUZZ_BUILD) OPT=-O1 SAN="-fsanitize=fuzzer-no-link $(FUZZ_SAN)" WARN=-Wno-everything FUZZING=1 $(FUZZ_BUILD)/obj/libantinomy.a
$(BUILD)/fuzz/%: tests/fuzz/%.c fuzz-library
	@mkdir -p $(@D)
	clang-14 -std=c11 -D_GNU_SOURCE -I. -g -O1 -fsanitize=fuzzer $(FUZZ_SAN) -pthread -o $@ $< $(FUZZ_BUILD)/obj/libantinomy.a $(LIBS)

# The engine's readers of foreign files, SECONDS each, one after another; logs and corpora under build/fuzz.
SECONDS ?= 600
FUZZERS := config gguf safetensors tokenizer vocabulary snapshot quantize constraint chat
fuzz: $(FUZZERS:%=$(BUILD)/fuzz/fuzz_%)
	tests/fuzz/engine.sh $(BUILD) $(SECONDS) $(FUZZERS)

# ---- what people type; a line that begins with two hash marks is a line of `make help` ----
##  make                everything for this machine: build/antinomy, build/jamba-bench (CUDA=0: without CUDA)
##  make demo           from a fresh Debian 12: packages, build, the sample set read, three answers, the contradiction report
##  make packages       install what is missing of the Debian packages that the build and the tests need
##  make test           all that can be tested on this machine: includes, unit tests, the program from outside, the browser
##  make test-unit      unit tests only; ONLY=test_name for one
##  make test-e2e       the program from outside: commands, server, crashes, abuse
##  make test-browser   the page in headless Chromium, screenshots into build/browser
##  make asan, tsan     unit tests under AddressSanitizer + UBSan, those where threads meet under ThreadSanitizer
##  make test-mutants   breaks the code in known ways, one at a time, and demands that a named test fails
##  make fuzz           libFuzzer (clang-14) on what the engine reads from files, ten minutes each; SECONDS=60 for less
##  make test-long      the unit tests' long versions: 1,000 random chunkings of a 3,000-token text (hours on two cores);
##                      CHUNKINGS=72 SEED=1 is one process's share, each SEED another one
##  make eval           how good answers and judgements are: model, random weights, no model; EVAL="--limit 100 --task pairs", data in
##                      $ANTINOMY_EVAL_DATA or ../shared/data/eval (an hour or more without --limit)
##  make check-includes who may include whom
##  make format         clang-format over our C files
##  make clean          remove build/
TEST_RUN := tests/run.sh $(if $(ONLY),--only $(ONLY))
E2E := $(sort $(wildcard tests/e2e/test_*.py tests/e2e/test_*.sh))
BROWSER := $(sort $(wildcard tests/browser/test_*.py))
export ANTINOMY := $(abspath $(BUILD)/antinomy)
export ANTINOMY_BUILD := $(abspath $(BUILD))

test: check-includes all $(TESTS)
	$(TEST_RUN) $(TESTS) $(E2E) $(BROWSER)
test-unit: $(TESTS)
	$(TEST_RUN) $(TESTS)
test-e2e: $(BUILD)/antinomy
	$(TEST_RUN) $(E2E)
test-browser: $(BUILD)/antinomy
	$(TEST_RUN) $(BROWSER)
test-mutants:
	$(MAKE) CUDA=0 $(TESTS)
	tests/mutants.sh $(BUILD)
CHUNKINGS ?= 1000
SEED ?= 1
test-long: $(BUILD)/tests/test_session
	SEED=$(SEED) CHUNKINGS=$(CHUNKINGS) TEST_FILTER=test_chunks_mates_and_threads_do_not_change_a_bit $(BUILD)/tests/test_session
.PHONY: test-long
check-includes:
	tests/check-includes.sh
.PHONY: test-e2e

# Sanitizers build apart, without CUDA. TSan runs where threads meet; leaks of the test programs are ASan's business.
SAN_TESTS = $(patsubst tests/unit/%.c,$(1)/tests/%,$(if $(ONLY),tests/unit/$(ONLY).c,$(2)))
asan:
	$(MAKE) BUILD=build-asan CUDA=0 OPT=-O1 SAN="-fsanitize=address,undefined -fno-sanitize-recover=undefined" $(call SAN_TESTS,build-asan,$(wildcard tests/unit/test_*.c))
	tests/run.sh $(call SAN_TESTS,build-asan,$(sort $(wildcard tests/unit/test_*.c)))
THREADED := $(wildcard tests/unit/test_api_*.c tests/unit/test_store_threads.c tests/unit/test_session.c tests/unit/test_snapshot.c tests/unit/test_cuda_stages.c)
tsan:
	$(MAKE) BUILD=build-tsan CUDA=0 OPT=-O1 SAN="-fsanitize=thread" $(call SAN_TESTS,build-tsan,$(THREADED))
	tests/run.sh $(call SAN_TESTS,build-tsan,$(sort $(THREADED)))

eval: $(BUILD)/eval/eval
	$(BUILD)/eval/eval $(EVAL)

packages:
	tests/packages.sh core test
# A second make, so that what the packages bring is seen. No CUDA: the demo is for any machine.
demo:
	tests/packages.sh core
	$(MAKE) -j2 CUDA=0 $(BUILD)/antinomy $(BUILD)/eval/score
	tests/demo.sh $(BUILD)/antinomy $(BUILD)/eval/score $(BUILD)/demo
format:
	clang-format -i $(shell git ls-files '*.c' '*.h' | grep -v -e unicode_tables -e nfc_table)

.SECONDARY:

clean:
	rm -rf $(BUILD)

-include $(shell find $(O) -name '*.d' 2>/dev/null)
