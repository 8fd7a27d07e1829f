# gpt2: one Makefile, no recursion. `make help` lists the targets.
PREFIX ?= /usr/local
DESTDIR ?=
BUILD ?= build
CXX ?= g++
OPT ?= -O2 -g1
WARN = -Wall -Wextra -Wshadow -Wconversion
WERROR ?=
VERSION := 0.1.0
DATE := 2026-11-25# of this version, for the manual pages
COMMIT := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
ARCH := $(shell $(CXX) -dumpmachine | cut -d- -f1)

# -ffp-contract=off: an fma stands where the text says fma, nowhere else. Never -ffast-math.
# CPPFLAGS, CXXFLAGS and LDFLAGS are the user's; what the promise of bits needs comes after them.
USER_FLAGS = $(if $(strip $(CPPFLAGS) $(CXXFLAGS)), $(CPPFLAGS) $(CXXFLAGS))
flags_with = -std=c++20 $(OPT)$(USER_FLAGS) $(WARN) $(1) -ffp-contract=off -fno-math-errno -fopenmp -fPIE \
        -fstack-protector-strong -D_FORTIFY_SOURCE=2 $(SANITIZE) -I. $(EXTRA)
FLAGS = $(call flags_with,$(WERROR))
LINK = $(SANITIZE) $(COVERAGE) -fopenmp -pie -Wl,-z,relro,-z,now $(LDFLAGS)
LIBS = -lsimdjson -ledit
# What runs a program of this build on this machine: an emulator where it is another machine's.
RUN ?=

# A tier's object has its own flags and no others' inline functions.
KERNEL_FLAGS = $(KERNEL_OPT) -fno-exceptions -fno-rtti -fno-stack-protector -U_FORTIFY_SOURCE
TIERS_x86_64 = avx2 avxvnni avx512 avx512vnni avx512bf16
FLAGS_avx2 = -mavx2 -mfma -mf16c
FLAGS_avxvnni = $(FLAGS_avx2) -mavxvnni
# GCC 12 warns of uninitialised values inside its own AVX-512 header.
FLAGS_avx512 = $(FLAGS_avx2) -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512 \
               -Wno-uninitialized -Wno-maybe-uninitialized
FLAGS_avx512vnni = $(FLAGS_avx512) -mavx512vnni
FLAGS_avx512bf16 = $(FLAGS_avx512vnni) -mavx512bf16
TIERS_aarch64 = neon dotprod i8mm
TIERS_arm64 = $(TIERS_aarch64)
# The texts load a line, then use it; GCC's scheduling before registers are given out spills accumulators of the widest tiles, and
# its replacement of temporaries takes the pairs of loads apart.
FLAGS_neon = $(if $(findstring clang,$(CXX)),,-fno-schedule-insns -fno-tree-ter)
FLAGS_dotprod = $(FLAGS_neon) -march=armv8.2-a+dotprod
FLAGS_i8mm = $(FLAGS_dotprod)+i8mm+bf16
TIERS = $(TIERS_$(ARCH))

KERNELS = $(filter-out $(wildcard kernels/isa_*.cpp),$(wildcard kernels/*.cpp)) $(TIERS:%=kernels/isa_%.cpp)
LIBRARY = $(KERNELS) $(wildcard src/*/*.cpp)
TOOLS = $(wildcard tools/*.cpp)
TESTS = $(filter-out $(if $(filter x86_64,$(ARCH)),,tests/sister_%),$(wildcard tests/*.cpp)) $(filter-out tests/fuzz/libfuzzer.cpp,$(wildcard tests/fuzz/*.cpp))
BENCH = $(wildcard bench/*.cpp)
object = $(1:%.cpp=$(BUILD)/obj/%.o)
LIBRARY_O = $(call object,$(LIBRARY)) $(BUILD)/obj/src/serve/page_files.o
TOOLS_O = $(call object,$(TOOLS))
TESTS_O = $(call object,$(TESTS))
BENCH_O = $(call object,$(BENCH))
BUILTIN = $(BUILD)/books.gpt2
HEADERS = $(filter-out kernels/simd_%,$(wildcard kernels/*.h src/*/*.h tools/*.h tests/*.h tests/fuzz/*.h)) $(wildcard $(TIERS:%=kernels/simd_%.h))

.PHONY: all help test check sanitize tsan install uninstall clean bench
.DELETE_ON_ERROR:

all: $(BUILD)/gpt2 $(BUILD)/pages/made  ## build build/gpt2 and its pages (the default)

help:  ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24
	@echo "  Variables: CXX CPPFLAGS CXXFLAGS LDFLAGS OPT BUILD PREFIX DESTDIR RUN (what runs a program of a cross build)"

# Objects are rebuilt when the flags change, and only then. WERROR changes no object, so it is left out here.
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CXX) $(call flags_with) $(VERSION)' | cmp -s - $@ || echo '$(CXX) $(call flags_with) $(VERSION)' > $@
$(BUILD)/commit: FORCE
	@mkdir -p $(@D)
	@echo '$(COMMIT)' | cmp -s - $@ || echo '$(COMMIT)' > $@
.PHONY: FORCE

$(BUILD)/obj/%.o: %.cpp $(BUILD)/flags
	@mkdir -p $(@D)
	$(CXX) $(FLAGS) $(FILE_FLAGS) -MMD -MP -c $< -o $@

$(call object,$(KERNELS)): FILE_FLAGS = $(KERNEL_FLAGS)
$(foreach t,$(TIERS),$(eval $(BUILD)/obj/kernels/isa_$(t).o: FILE_FLAGS = $(KERNEL_FLAGS) $(FLAGS_$(t)) $(TIER_EXTRA)))
$(BUILD)/obj/tools/version.o: $(BUILD)/commit
$(BUILD)/obj/tools/version.o: FILE_FLAGS = -DGPT2_VERSION='"$(VERSION)"' -DGPT2_DATE='"$(DATE)"' -DGPT2_COMMIT='"$(COMMIT)"'
# AVX-VNNI's text under AVX-512 VL's encoding, which machines at hand can run.
$(BUILD)/obj/tests/sister_avxvnni.o: FILE_FLAGS = $(KERNEL_FLAGS) $(FLAGS_avx512vnni)
# -O1 and plain assertions halve the time that the compiler takes for the tests.
TEST_OPT = -O1
TEST_FLAGS = $(TEST_OPT) -DDOCTEST_CONFIG_SUPER_FAST_ASSERTS -Wno-conversion -Wno-shadow
$(filter-out %/sister_avxvnni.o,$(TESTS_O)): FILE_FLAGS = $(TEST_FLAGS)
$(BUILD)/obj/tests/support.o: FILE_FLAGS = $(TEST_FLAGS) -DGPT2_SOURCE_DIR='"$(CURDIR)"'
$(BENCH_O): FILE_FLAGS = -Wno-conversion -Wno-shadow

# tests/precompiled.h saves a third of a test's compilation. The program does without, so that a missing include is an error
# somewhere; what PRECOMPILE=all builds does not. ccache keeps what uses it with this sloppiness only.
export CCACHE_SLOPPINESS ?= pch_defines,time_macros
PRECOMPILE ?= tests
PRECOMPILED_O = $(filter-out $(call object,tests/main.cpp tests/sister_avxvnni.cpp),$(TESTS_O)) \
                $(if $(filter all,$(PRECOMPILE)),$(TOOLS_O) $(call object,$(wildcard src/*/*.cpp)))
$(PRECOMPILED_O): FILE_FLAGS += -include $(BUILD)/precompiled.h -Winvalid-pch -fpch-preprocess
$(PRECOMPILED_O): $(BUILD)/precompiled.h.gch
$(BUILD)/precompiled.h.gch: tests/precompiled.h $(BUILD)/flags
	@mkdir -p $(@D)
	echo '#include "$<"' > $(BUILD)/precompiled.h
	$(CXX) $(FLAGS) $(TEST_OPT) -x c++-header $(BUILD)/precompiled.h -o $@

# `make coverage` counts the lines of everything that reads a file.
PARSERS = $(wildcard src/io/*.cpp src/text/*.cpp) $(addprefix src/model/,config.cpp model_file.cpp) \
          $(addprefix src/convert/,config_json.cpp tokenizer_files.cpp)
ifneq ($(COVERAGE),)
$(call object,$(PARSERS)): FILE_FLAGS = $(COVERAGE) -O0 -U_FORTIFY_SOURCE
endif

$(BUILD)/obj/src/serve/page_files.o: src/serve/page_files.S $(wildcard src/serve/page.*) $(BUILD)/flags
	@mkdir -p $(@D)
	$(CXX) -c $< -o $@

# Two stages: the program without a model converts the model that the second stage links in.
$(BUILD)/obj/models/none.o: models/builtin.S $(BUILD)/flags
	@mkdir -p $(@D)
	$(CXX) -c $< -o $@
$(BUILD)/gpt2-stage1: $(LIBRARY_O) $(TOOLS_O) $(BUILD)/obj/models/none.o
	$(CXX) $(LINK) $^ $(LIBS) -o $@
$(BUILTIN): $(BUILD)/gpt2-stage1 $(wildcard models/books/*) Makefile
	$(RUN) $(BUILD)/gpt2-stage1 convert --force --dtype int8 models/books $@
$(BUILD)/obj/models/builtin.o: models/builtin.S $(BUILTIN)
	$(CXX) -DGPT2_BUILTIN_FILE='"$(BUILTIN)"' -c $< -o $@
$(BUILD)/gpt2: $(LIBRARY_O) $(TOOLS_O) $(BUILD)/obj/models/builtin.o
	$(CXX) $(LINK) $^ $(LIBS) -o $@

TOOLS_LIB_O = $(filter-out $(BUILD)/obj/tools/gpt2.o,$(TOOLS_O))
$(BUILD)/gpt2-tests: $(TESTS_O) $(LIBRARY_O) $(TOOLS_LIB_O) $(BUILD)/obj/models/builtin.o
	$(CXX) $(LINK) $^ $(LIBS) -o $@
$(BUILD)/gpt2-bench: $(BENCH_O) $(LIBRARY_O) $(BUILD)/obj/models/none.o
	$(CXX) $(LINK) $^ $(LIBS) -lbenchmark -o $@

test: $(BUILD)/gpt2 $(BUILD)/gpt2-tests  ## run all tests
	BUILD=$(BUILD) scripts/run_tests.sh

bench: $(BUILD)/gpt2-bench  ## kernel benchmarks, percent of the machine's limit in each row (FILTER=int8: some)
	$(BUILD)/gpt2-bench $(FILTER:%=--benchmark_filter=%)

.PHONY: bench-spec spec-proof score-proof serve-proof serve-soak serve-load
score-proof: $(BUILD)/gpt2 $(BUILD)/gpt2-tests  ## 500 texts scored together and alone, and values beside float64 (numpy, ../shared; minutes)
	GPT2_SCORE_TEXTS=500 $(BUILD)/gpt2-tests -tc='score: a text*'
	scripts/score_against_numpy.py $(BUILD)/gpt2 models/books ../shared/data/books-valid.txt

serve-proof: $(BUILD)/gpt2  ## 64 clients x 200 requests of mixed kinds, each answer against that of the request alone (python3; minutes)
	scripts/serve_proof.py $(BUILD)/gpt2 64 200

serve-soak: $(BUILD)/gpt2  ## 10 minutes of clients that come and go: memory and descriptors of gpt2 serve (python3)
	scripts/serve_proof.py $(BUILD)/gpt2 32 0 600

serve-load: $(BUILD)/gpt2  ## tokens/s of 1, 8 and 32 streams beside the engine's, time to first token, start (python3; MODEL=gpt2-int8)
	scripts/serve_load.py $(BUILD)/gpt2 $(MODEL)

bench-spec: $(BUILD)/gpt2  ## speculation against none, each case beside the figure that it is to reach (numpy, ../shared)
	BUILD=$(BUILD) scripts/bench_spec.sh

spec-proof: $(BUILD)/gpt2 $(BUILD)/gpt2-tests  ## 7200 texts with speculation against those without (numpy, ../shared; minutes)
	BUILD=$(BUILD) scripts/bench_spec.sh prepare
	GPT2_SPEC_TARGET=$(BUILD)/spec/wide.gpt2 GPT2_SPEC_DRAFT=$(BUILD)/spec/draft.gpt2 $(BUILD)/gpt2-tests -tc='speculation proof*'
	GPT2_REJECTION_SEEDS=20 $(BUILD)/gpt2-tests -tc='rejection: 100,000*'

# The result of each check is a file, so that an unchanged tree is not checked again. Warnings are errors where objects are made
# anew, as scripts/test.sh makes all of them.
check:  ## warnings as errors, include direction, headers that compile alone, symbols of the kernel objects
	scripts/check_layers.sh
	$(MAKE) WERROR=-Werror header-check objects
	scripts/check_symbols.sh $(BUILD) $(TIERS)

.PHONY: objects header-check
objects: $(LIBRARY_O) $(TOOLS_O)
# A header that its own source includes first compiles alone when that does; check_layers.sh sees that each such source does.
header-check: $(patsubst %,$(BUILD)/headers/%.ok,$(filter-out $(patsubst %.cpp,%.h,$(wildcard $(HEADERS:.h=.cpp))),$(HEADERS)))
$(BUILD)/headers/%.ok: % $(BUILD)/flags
	@mkdir -p $(@D)
	$(CXX) $(FLAGS) $(FILE_FLAGS) -Wno-unused-function -Wno-unused-const-variable -x c++ -fsyntax-only -include $< /dev/null
	@touch $@
$(foreach t,$(TIERS),$(eval $(BUILD)/headers/kernels/simd_$(t).h.ok: FILE_FLAGS = $(FLAGS_$(t))))

sanitize:  ## all tests with the sanitizers of addresses, leaks and undefined behaviour and the library's assertions, in build-sanitize
	$(MAKE) BUILD=$(BUILD)-sanitize OPT="-O1 -g" EXTRA="-U_FORTIFY_SOURCE -D_GLIBCXX_ASSERTIONS" \
	  SANITIZE="-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer" test

# What shares memory between threads; a team's threads meet in WaitWord only, which the sanitizer understands.
TSAN_TESTS = *team*,*batcher*,*engine*,*worlds*,*forward*,*speculation*,*scheduler*,*prefix cache*,serve*
tsan:  ## the tests of threads with ThreadSanitizer, in build-tsan
	$(MAKE) BUILD=$(BUILD)-tsan OPT="-O1 -g" EXTRA=-U_FORTIFY_SOURCE SANITIZE=-fsanitize=thread $(BUILD)-tsan/gpt2-tests
	GPT2_WORLDS=20 TSAN_OPTIONS=halt_on_error=1 $(BUILD)-tsan/gpt2-tests -tc='$(TSAN_TESTS)'

# Debian's package of simdjson's headers exists for one architecture at a time; its shared object does for all.
ARM64_CXX ?= aarch64-linux-gnu-g++
ARM64_SIMDJSON = $(notdir $(firstword $(wildcard /usr/lib/aarch64-linux-gnu/libsimdjson.so.*)))
# Those tests that scripts/test_arm64.sh runs, and what they stand on: an emulator is no place for all. Only the kernels are
# compiled as they are shipped; the rest has no reason to be, and compiles in two thirds of the time.
ARM64_TESTS = $(filter-out tests/test_% tests/sister_%,$(wildcard tests/*.cpp)) $(wildcard tests/test_kernels*.cpp) \
              tests/test_family.cpp tests/test_golden_bits.cpp
ARM64_BUILD = $(MAKE) BUILD=$(BUILD)-arm64 CXX="$(ARM64_CXX)" LIBS="-l:$(ARM64_SIMDJSON) -l:libedit.so.2" RUN=qemu-aarch64 \
              OPT="-O1 -g0" KERNEL_OPT=-O2 PRECOMPILE=all TESTS="$(ARM64_TESTS)"

.PHONY: arm64 arm64-build
arm64-build:
	+$(ARM64_BUILD) all $(BUILD)-arm64/gpt2-tests
arm64: all arm64-build  ## cross-build for 64-bit Arm in build-arm64 and test each tier under qemu-user
	scripts/check_symbols.sh $(BUILD)-arm64 $(TIERS_aarch64)
	BUILD=$(BUILD)-arm64 GPT2=$(CURDIR)/$(BUILD)/gpt2 scripts/test_arm64.sh

# libFuzzer needs clang; the corpus of each target stays in the build folder.
FUZZ_SECONDS ?= 30
FUZZ_TARGETS = safetensors gguf json config tokenizer_files protobuf sentencepiece model_file gguf_model tokenizer utf8 arguments sampler record http openai kserve tasks golden export
FUZZ_O = $(call object,$(wildcard tests/fuzz/*.cpp) tests/hostile.cpp tests/gguf_files.cpp tests/fixtures.cpp tests/support.cpp \
         $(addprefix tools/,escapes.cpp options.cpp plain_text.cpp record.cpp request_arguments.cpp sampling_arguments.cpp token_ids.cpp))
$(call object,tests/fuzz/libfuzzer.cpp): FILE_FLAGS = -Wno-conversion -Wno-shadow
$(BUILD)/gpt2-fuzz: $(FUZZ_O) $(LIBRARY_O) $(BUILD)/obj/models/none.o
	$(CXX) $(LINK) -fsanitize=fuzzer $^ $(LIBS) -o $@

.PHONY: fuzz fuzz-run fuzz-long
# The tiers are left as they are: clang takes ten minutes for each with sanitizers, and no byte of a file decides where they read.
fuzz:  ## libFuzzer with clang-14, FUZZ_SECONDS=30 for each of FUZZ_TARGETS, in build-fuzz
	$(MAKE) BUILD=$(BUILD)-fuzz CXX=clang++-14 OPT="-O1 -g" SANITIZE="-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all" \
	  WARN="-Wno-unknown-warning-option" EXTRA="-U_FORTIFY_SOURCE" TIER_EXTRA=-fno-sanitize=all fuzz-run
fuzz-run: $(BUILD)/gpt2-fuzz
	BUILD=$(BUILD) FUZZ_SECONDS=$(FUZZ_SECONDS) scripts/fuzz.sh $(FUZZ_TARGETS)

fuzz-long: $(BUILD)/gpt2-tests  ## the mutation driver of the tests, FUZZ_SECONDS=30 for each target
	GPT2_FUZZ_SECONDS=$(FUZZ_SECONDS) $(BUILD)/gpt2-tests -tc='fuzz*'

.PHONY: coverage mutants sigint
coverage:  ## lines of the parsers that the unit tests reach (gcov), in build-coverage
	$(MAKE) BUILD=$(BUILD)-coverage COVERAGE=--coverage $(BUILD)-coverage/gpt2-tests
	scripts/coverage.sh $(BUILD)-coverage $(PARSERS)

mutants: $(BUILD)/gpt2-tests $(BUILD)/gpt2  ## takes bounds checks out, one at a time, and sees that the tests notice
	scripts/mutate_checks.sh $(BUILD)

sigint: $(BUILD)/gpt2  ## 100 SIGINTs at random moments of a text
	GPT2=$(CURDIR)/$(BUILD)/gpt2 scripts/sigint.sh 100

.PHONY: soak
soak: $(BUILD)/gpt2  ## 100000 records through generate --jsonl: memory, order, SIGINT and SIGKILL with --resume
	GPT2=$(CURDIR)/$(BUILD)/gpt2 scripts/soak_records.sh 100000

.PHONY: records-proof
records-proof: $(BUILD)/gpt2  ## 200 prompts together, in batches of 1, 3 and 16, against each in a process of its own
	GPT2=$(CURDIR)/$(BUILD)/gpt2 scripts/records_proof.sh 200

.PHONY: worlds
worlds: $(BUILD)/gpt2-tests  ## 10000 random small worlds of records, each against what its records give alone (minutes)
	GPT2_WORLDS=10000 $(BUILD)/gpt2-tests -tc='worlds*'

.PHONY: faults
faults: $(BUILD)/gpt2  ## convert with each system call failing or killed at it (strace; about 10 minutes)
	GPT2=$(CURDIR)/$(BUILD)/gpt2 scripts/faults.sh

.PHONY: out-of-memory
out-of-memory: $(BUILD)/gpt2  ## commands that are refused memory, at 400 of their requests for it each
	GPT2=$(CURDIR)/$(BUILD)/gpt2 scripts/out_of_memory.sh 400

# The program prints its manual pages and completions. They are made with the build, so that install runs nothing.
PAGES = $(BUILD)/pages
COMMANDS = detokenize $(patsubst tools/cmd_%.cpp,%,$(wildcard tools/cmd_*.cpp))
$(PAGES)/made: $(BUILD)/gpt2
	@rm -rf $(PAGES)
	@mkdir -p $(PAGES)
	@for page in gpt2 $(COMMANDS:%=gpt2-%); do $(RUN) $(BUILD)/gpt2 __manual $$page > $(PAGES)/$$page.1 || exit 1; done
	@for shell in bash zsh fish; do $(RUN) $(BUILD)/gpt2 completions $$shell > $(PAGES)/gpt2.$$shell || exit 1; done
	@touch $@

PREFIX_DIR = $(DESTDIR)$(PREFIX)
MAN_DIR = $(PREFIX_DIR)/share/man/man1
BASH_COMPLETION = $(PREFIX_DIR)/share/bash-completion/completions/gpt2
ZSH_COMPLETION = $(PREFIX_DIR)/share/zsh/site-functions/_gpt2
FISH_COMPLETION = $(PREFIX_DIR)/share/fish/vendor_completions.d/gpt2.fish

install: $(BUILD)/gpt2 $(PAGES)/made  ## install program, manual pages and shell completions to $(DESTDIR)$(PREFIX)
	install -d $(PREFIX_DIR)/bin $(MAN_DIR) $(dir $(BASH_COMPLETION) $(ZSH_COMPLETION) $(FISH_COMPLETION))
	install -m 755 $(BUILD)/gpt2 $(PREFIX_DIR)/bin/gpt2
	install -m 644 $(PAGES)/*.1 $(MAN_DIR)
	install -m 644 $(PAGES)/gpt2.bash $(BASH_COMPLETION)
	install -m 644 $(PAGES)/gpt2.zsh $(ZSH_COMPLETION)
	install -m 644 $(PAGES)/gpt2.fish $(FISH_COMPLETION)

uninstall:  ## remove what install put there
	rm -f $(MAN_DIR)/gpt2.1 $(COMMANDS:%=$(MAN_DIR)/gpt2-%.1)
	rm -f $(PREFIX_DIR)/bin/gpt2 $(BASH_COMPLETION) $(ZSH_COMPLETION) $(FISH_COMPLETION)

clean:  ## remove all build folders
	rm -rf $(BUILD) $(BUILD)-*

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
