#!/usr/bin/env bash
# mutate_checks.sh BUILD [WORD]: changes a copy of the sources, one place at a time, and runs the unit tests: bounds checks of the parsers
# are taken out, and choices of the engine are made otherwise. A mutant that no test notices makes the status 1, as does one that changes
# nothing or does not build. BUILD's objects are reused; WORD: only the mutants of files whose name has it.
set -uo pipefail
cd "$(dirname "$0")/.."
build=$(realpath "${1:-build}")
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
mkdir "$copy/tree"
cp -r --preserve=timestamps Makefile kernels src tools tests bench scripts models README.md "$copy/tree/"
cp -r --preserve=timestamps "$build" "$copy/tree/build"
cd "$copy/tree" || exit 1
tests='*alformed*,*ostile*,*safetensors*,*hole file*,*tokenizer*,*config*,fuzz*,json*,bounds*,mapped file*,sampler*,noise*,int8*,prefix cache*,gguf*,family*,engine*,batcher*,worlds*'
only=${2:-}
noticed=0 total=0

build_all() { make -s CXX="${CXX:-g++}" COMMIT=mutant build/gpt2-tests build/gpt2 >"$copy/log" 2>&1; }

# run_tests [SCRIPT]: the unit tests, or a script of the command line's. The shell's own "Segmentation fault" goes nowhere.
run_tests() {
  if [ -n "${1:-}" ]; then GPT2=$copy/tree/build/gpt2 timeout 300 bash "$1" >"$copy/log" 2>&1; return; fi
  { (cd /tmp && timeout 300 "$copy/tree/build/gpt2-tests" -tc="$tests" -aa=1) >"$copy/log" 2>&1; } 2>/dev/null
}

build_all && run_tests && run_tests tests/cli/speculation.sh && run_tests tests/cli/outputs.sh ||
  { echo "the tests fail without any change"; tail -n 3 "$copy/log"; exit 1; }

# mutant FILE "WHAT" SED [SCRIPT]: the check that SED takes out of FILE.
mutant() {
  local file=$1 what=$2 status
  [[ $file == *"$only"* ]] || return 0
  total=$((total + 1))
  cp "$file" "$copy/saved"
  sed -i -E "$3" "$file"
  if cmp -s "$file" "$copy/saved"; then
    echo "NO SUCH CHECK: $file: $what"
    return
  fi
  if ! build_all; then
    echo "DOES NOT BUILD: $file: $what"; grep -m 3 error "$copy/log"
  else
    run_tests "${4:-}"
    status=$?
    if ((status != 0)); then
      noticed=$((noticed + 1))
      echo "noticed (status $status): $file: $what"
    else
      echo "NOT NOTICED: $file: $what"
    fi
  fi
  cp "$copy/saved" "$file"
}

mutant src/io/safetensors.cpp "a header longer than the file" 's/length < 2 \|\| length > most/length < 2/'
mutant src/io/safetensors.cpp "a file shorter than the length's bytes" 's/bytes_\.size\(\) < kLengthBytes\)/false)/'
mutant src/io/safetensors.cpp "offsets past the end" 's/tensor\.begin > tensor\.end \|\| tensor\.end > data_bytes/tensor.begin > tensor.end/'
mutant src/io/safetensors.cpp "a product that overflows" 's/if \(size\) size = checked_mul\(\*size, dimension\);/if (size) size = *size * dimension;/'
mutant src/io/safetensors.cpp "holes and overlaps" 's/if \(tensor\.begin != at\)/if (false)/'
mutant src/io/safetensors.cpp "a shape that is not the span" 's/if \(tensor\.end - tensor\.begin != \*size\)/if (false)/'
mutant src/model/model_file.cpp "a stored tensor of another size" 's/if \(stored\.data\.size\(\) != bytes\)/if (bytes == 1)/'
mutant src/model/config.cpp "hyper-parameters out of range" 's/value < 1 \|\| value > most/value > most/'
mutant src/model/config.cpp "an end-of-text id past the vocabulary" 's/id < 0 \|\| static_cast<uint32_t>\(id\) >= n_vocab/id < 0 \&\& n_vocab > 0/'
mutant src/text/tokenizer.cpp "a token's offsets past the bytes" 's/begin > end \|\| end > tables_\.bytes\.size\(\)/begin > end/'
mutant src/text/tokenizer_builder.cpp "a token id past the vocabulary" 's/if \(id < n_vocab_\) return false;/if (id < UINT32_MAX) return false;/'
mutant src/text/merger.cpp "a merge whose result is no token" 's/merge\.result < n_tokens_ \? &merge : nullptr/\&merge/'
mutant src/text/tokenizer.cpp "a token's text of any length" 's/ \|\| end - begin > kMaxTokenBytes//'
mutant src/text/tokenizer.cpp "probes without end" 's/std::min\(n, kMaxProbes\)/n + 1/'
mutant src/io/json.cpp "a tree of any size" 's/if \(count\.bytes\(\) > .*/if (false) {/'
mutant src/io/json.cpp "values that stand in strings" "s/if \\(c == '\"'\\) \\{/if (false) {/"
mutant src/io/mapped_file.cpp "a file that stays in the table" 's/^  leave_range\(data_\);//'
mutant src/convert/tokenizer_files.cpp "merges without end" 's/^    check_merge_count\(.*//'
mutant src/model/workspace.cpp "rows of any width" 's/return static_cast<uint32_t>\(std::clamp.*/return static_cast<uint32_t>(wanted + 0 * bytes);/'
mutant src/engine/sampler.cpp "top-k's bound at half of k" 's/lower_bound_of_top\(logits, options\.top_k\) :/lower_bound_of_top(logits, (options.top_k + 1) \/ 2) :/'
mutant src/engine/noise.cpp "another constant in the noise" 's/0x94D049BB133111EBu/0x94D049BB133111EDu/'
mutant src/engine/prefix_cache.cpp "first in, first out" 's/^  for \(auto node = path\.rbegin\(\).*//'
mutant src/engine/prefix_cache.cpp "eviction of what a sequence holds" 's/ \|\| pool_\.references\(node->block\) > 1\) continue/) continue/'
mutant src/io/gguf.cpp "a tensor that ends past the data" 's/ \|\| tensor\.bytes > room - tensor\.begin//'
mutant src/io/gguf.cpp "two tensors in one place" 's/if \(before\.begin \+ before\.bytes > after\.begin\)/if (false)/'
mutant src/io/gguf.cpp "a count that the file has no room for" 's/if \(count > most\)/if (count > most + left())/'
mutant src/io/gguf.cpp "a text past the end" 's/if \(length > std::min\(most, left\(\)\)\)/if (length > most)/'
mutant src/convert/architecture.cpp "angles without a cosine" 's/if \(!\(frequency \* c\.n_ctx <= kMaxAngle\)\)/if (frequency < 0)/'
mutant src/engine/engine.cpp "log-probabilities off by 0.7" 's/\[static_cast<size_t>\(token\)\] - total\)/[static_cast<size_t>(token)] - total + 0.7)/'
mutant src/engine/sequence.cpp "slide: the first tokens are not kept" 's/kept = request\.slide_keep;/kept = 0;/'
mutant src/engine/sequence.cpp "slide: a quarter goes" 's/ \/ 2 \+ 1;/ \/ 4 + 1;/'
mutant src/engine/scheduler.cpp "drafts in a pool that has no room for them" 's/part\.n_draft = n - 1;/part.n_draft = counts.draft_room;/'
mutant src/engine/batcher.cpp "a cancelled text that stays in the batch" 's/^    engine_\.remove\(sample\.slot\);//'
mutant src/engine/batcher.cpp "a preempted text that keeps its blocks" 's/^  sample\.waiting->kv\.truncate\(0\);//'
mutant tools/prompt_run.cpp "tokens behind a stop in one step" 's/if \(event\.token && !builder\.stopped\(\)\)/if (event.token)/' tests/cli/speculation.sh
mutant tools/record_run.cpp "a record that goes on behind its stop" 's/if \(!builder\.stopped\(\) && event\.finish ==/if (event.finish ==/' tests/cli/speculation.sh
mutant tools/result_file.cpp "failed records are forgotten" 's/^  finished\.whole = whole;/  finished.whole = false;/' tests/cli/outputs.sh
mutant tools/result_file.cpp "failed records are not counted" 's/^    if \(error != nullptr\) \+\+n_failed_;//' tests/cli/outputs.sh
mutant kernels/pack.cpp "int8 scales that are too small" 's/^  while \(scale < 0x7BFF.*//'
echo "$noticed of $total noticed"
((noticed == total))
