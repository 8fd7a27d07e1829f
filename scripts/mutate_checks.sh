#!/usr/bin/env bash
# mutate_checks.sh BUILD [WORD]: changes a copy of the sources, one place at a time, and runs the unit tests: bounds checks of the parsers
# are taken out, choices of the engine are made otherwise, and an architecture is read as its neighbour is (the traps). A mutant that no
# test notices makes the status 1, as does one that changes nothing or does not build. BUILD's objects are reused; WORD: only the mutants
# with it in their file's name or their description ("trap:").
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
declare -A passes_unchanged

targets=(build/gpt2-tests build/gpt2)
build_all() { make -s CXX="${CXX:-g++}" COMMIT=mutant "${targets[@]}" >"$copy/log" 2>&1; }

# run_tests [SCRIPT]: the unit tests, or a script of the command line's. The shell's own "Segmentation fault" goes nowhere.
run_tests() {
  if [ -n "${1:-}" ]; then GPT2=$copy/tree/build/gpt2 timeout 300 bash "$1" >"$copy/log" 2>&1; return; fi
  { (cd /tmp && timeout 300 "$copy/tree/build/gpt2-tests" -tc="$tests" -aa=1) >"$copy/log" 2>&1; } 2>/dev/null
}

# sees_no_fault [SCRIPT]: the tests pass without any change, once for each choice of them.
sees_no_fault() {
  [ -z "${passes_unchanged[$tests${1:-}]:-}" ] || return 0
  build_all && run_tests "${1:-}" || { echo "the tests fail without any change"; tail -n 3 "$copy/log"; exit 1; }
  passes_unchanged[$tests${1:-}]=yes
}

# mutant FILE "WHAT" SED [SCRIPT]: the check that SED takes out of FILE.
mutant() {
  local file=$1 what=$2 status
  [[ "$file $what" == *"$only"* ]] || return 0
  sees_no_fault "${4:-}"
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
# Traps of the family: each is a neighbour's rule, a default or a key that is not read. Hashes of bits would notice any of them; these
# tests know what is right.
tests='family: converted*,family: each key*,family: a head*,family: what*,family: every architecture?s logits*,family traps*,gguf models: each*,checkpoints*'
targets=(-o build/books.gpt2 build/gpt2-tests)  # the built-in model stays as it is
neighbour() { mutant "src/$1" "trap: $2" "$3"; }
neighbour convert/gguf_formats.cpp "Llama's pairs of a GGUF file as a directory has them" 's/(\{"llama", "llama", .*)Move::unpair/\1Move::none/'
neighbour convert/architecture.cpp "Llama's pairs of a directory as a GGUF file has them" 's/q_proj", Part::queries\}/q_proj", Part::queries, Move::unpair}/'
neighbour convert/arch_gptj.cpp "GPT-J's pairs half a head apart" 's/, Move::unpair\}/}/'
neighbour convert/row_move.cpp "GPT-J's pairs in a whole head" 's/half = c\.rotary_dims \/ 2;/half = c.d_head \/ 2;/'
neighbour model/row_map.h "pairs half a head apart where a part of it turns" 's/pairs = config_\.rotary_dims \/ 2, i/pairs = half, i/'
neighbour convert/arch_gpt_neox.cpp "NeoX's q, k and v as GPT-2's" 's/, Part::all, Move::by_group\}/}/'
neighbour convert/arch_gpt_bigcode.cpp "StarCoder's heads as GPT-2's" 's/, Part::all, Move::by_group\}/}/'
neighbour convert/arch_gpt_bigcode.cpp "several heads of keys by default" 's/"multi_query", true/"multi_query", false/'
neighbour convert/row_move.cpp "k and v the other way round" 's/n_rep \+ part\) \* d/n_rep + 1 - part) * d/'
neighbour convert/arch_gpt_neox.cpp "NeoX's GELU is the tanh form" 's/Activation::gelu_erf\)/Activation::gelu_tanh)/'
neighbour convert/arch_gemma.cpp "Gemma's GELU is not" 's/named == Activation::gelu_erf \? Activation::gelu_tanh : named/named/'
neighbour convert/arch_gemma.cpp "Gemma's norms as Llama's" 's/llama_tensors\(Move::add_one\)/llama_tensors()/'
neighbour convert/arch_gemma.cpp "Gemma's scale of embeddings in full" 's/if \(type == "bfloat16"\) return .*//'
neighbour convert/arch_gemma.cpp "Gemma's heads as wide as Llama's" 's/if \(in\.value\("head_dim"\) == nullptr\) c\.d_head = 256;//'
neighbour convert/architecture.cpp "an RMS epsilon of 1e-5" 's/"rms_norm_eps", 1e-6f/"rms_norm_eps", 1e-5f/'
neighbour convert/architecture.cpp "an epsilon that is not read" 's/epsilon = in\.number\(key, double\{otherwise\}\);/epsilon = 0 * in.number(key, 0) + double{otherwise};/'
neighbour convert/arch_stablelm.cpp "the older name of an epsilon" 's/read_epsilon\(in, "norm_eps", 1e-5f\)/1e-5f/'
neighbour convert/arch_stablelm.cpp "the older name of a part of a head" 's/in\.number\("rope_pct", 0\.25\)/0.25/'
neighbour convert/family_source.cpp "biases of q, k and v are left out" 's/if \(piece\.tensor != nullptr\) (piece\.tensor->read\(source_row\(piece, first)/if (piece.tensor != nullptr \&\& name.find("c_attn") == name.npos) \1/'
neighbour convert/family_source.cpp "biases of Llama's other layers are left out" 's/if \(piece\.tensor != nullptr\) (piece\.tensor->read\(source_row\(piece, first)/if (piece.tensor != nullptr \&\& name.find("mlp") == name.npos) \1/'
neighbour convert/arch_gpt_neo.cpp "GPT-Neo's scores are scaled" 's/c\.scale_attn_weights = false/c.scale_attn_weights = true/'
neighbour convert/arch_gpt_neo.cpp "a window beside the row's own position" 's/"local" \? window : 0/"local" ? window + 1 : 0/'
neighbour convert/arch_gpt_neo.cpp "windows in the other layers" 's/i % 2 == 1 \? window/i % 2 == 0 ? window/'
neighbour convert/arch_mistral.cpp "Mistral sees everything" 's/if \(window \&\& .*//'
neighbour convert/arch_qwen2.cpp "Qwen2's window where it is switched off" 's/if \(windowed \&\& window/if (window/'
neighbour convert/arch_qwen2.cpp "Qwen2's window begins a layer later" 's/: i >= first;/: i > first;/'
neighbour convert/arch_qwen2.cpp "the kinds of Qwen2's layers" 's/types != nullptr \? types->array.*: i >= first;/i >= first;/'
neighbour convert/arch_mistral.cpp "no window of Mistral's by default" 's/std::optional<uint32_t>\(4096\)/std::nullopt/'
neighbour convert/row_move.cpp "OPT's positions from its first row" 's/case Move::skip_two: return row \+ 2;/case Move::skip_two: return row;/'
neighbour convert/tokenizer_files.cpp "nothing before OPT's texts" 's/set_before_text\(is_true\(config_\.find\("add_bos_token"\)\), std/set_before_text(false, std/'
neighbour convert/architecture.cpp "heads as wide as n_embd / n_head" 's/if \(own_width\) \{/if (own_width \&\& *own_width * c.n_head == c.n_embd) {/'
neighbour convert/config_reader.cpp "one token that ends a text" 's/( +)ids\.push_back\(/\1if (ids.empty()) ids.push_back(/'
neighbour convert/config_json.cpp "generation_config.json's ends" 's/if \(!eos\.empty\(\)\) c\.eos_token_ids = std::move\(eos\);//'
neighbour convert/family_source.cpp "a tied head, whatever the tensors are" 's/head == nullptr \|\| same_values\(\*wte, \*head\)\) return;/true) return;/'
neighbour convert/architecture.cpp "a base inside rope_parameters" 's/rope_parameter\(in, "rope_theta"\)\.value_or\((in\.number\(base_key, 10000\))\)/\1/'
neighbour convert/architecture.cpp "a part of a head inside rope_parameters" 's/rope_parameter\(in, "partial_rotary_factor"\)\.value_or\((in\.number\(key, otherwise\))\)/\1/'
neighbour convert/rope.cpp "Llama 3's long waves as its short ones" 's/(scaling\.low\) return plain) \/ scaling\.factor;/\1;/'
neighbour convert/rope.cpp "Llama 3's scaling without its middle" 's/^  const double smooth = .*/  const double smooth = 0;/'
neighbour convert/rope.cpp "linear scaling that is not done" 's/(Kind::linear\) return plain) \/ scaling\.factor;/\1;/'
neighbour convert/gguf_config.cpp "Llama 3's divisors in a GGUF file" 's/^      file\.frequencies\[i\] \/= values\[i\];//'
neighbour convert/arch_gptj.cpp "a whole head of GPT-J's turns by default" 's/value_or\(c\.d_head\) : 64;/value_or(c.d_head) : c.d_head;/'
neighbour convert/arch_phi.cpp "a whole head of Phi's turns by default" 's/"partial_rotary_factor", 0\.5/"partial_rotary_factor", 1/'
neighbour convert/arch_gptj.cpp "GPT-J's head without its bias" 's/c\.head_bias = !c\.tied_lm_head;//'
neighbour convert/arch_gpt_neox.cpp "NeoX beside each other always" 's/in\.flag\("use_parallel_residual", true\) \?/in.flag("use_parallel_residual", true) || true ?/'
neighbour convert/arch_stablelm.cpp "StableLM one behind the other always" 's/in\.flag\("use_parallel_residual", false\) \?/in.flag("use_parallel_residual", false) \&\& false ?/'
neighbour model/forward.cpp "the MLP reads x behind attention always" 's/if \(parallel\) mlp\(op, h\);//; s/if \(!parallel\) mlp/mlp/'
neighbour model/row_map.h "heads that share keys go round" 's/\? group \* n_rep \+ part :/? part * config_.n_kv_head + group :/'
neighbour model/attention.cpp "angles in double" 's/static_cast<float>\(position\) \* frequencies/static_cast<double>(position) * frequencies/'
neighbour model/kv_cache.cpp "a cache for every head of queries" 's/n_kv_head\(config\.n_kv_head\)/n_kv_head(config.n_head)/'
echo "$noticed of $total noticed"
((noticed == total))
