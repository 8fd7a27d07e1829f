#include "src/convert/config_reader.h"

#include <algorithm>
#include <span>

#include "src/base/error.h"

namespace gpt2 {
namespace {

// Keys that say nothing about the arithmetic of one forward pass: dropout, heads for other tasks, generation defaults
// and book-keeping of the transformers library.
constexpr std::string_view kInert[] = {
    "_attn_implementation", "_name_or_path", "architectures", "attention_dropout", "attention_softmax_in_fp32",
    "attn_implementation", "attn_pdrop", "bad_words_ids", "begin_suppress_tokens", "chunk_size_feed_forward",
    "classifier_dropout", "decoder_start_token_id", "diversity_penalty", "do_sample", "dropout", "dtype",
    "early_stopping", "embd_pdrop", "embed_dropout", "encoder_no_repeat_ngram_size",
    "exponential_decay_length_penalty", "finetuning_task", "forced_bos_token_id", "forced_eos_token_id",
    "gradient_checkpointing", "hidden_dropout", "id2label", "inference_runner", "init_std", "initializer_range",
    "is_decoder", "label2id", "layerdrop", "length_penalty", "max_length", "min_length", "n_ctx", "n_special",
    "no_repeat_ngram_size", "num_beam_groups", "num_beams", "num_labels", "num_return_sequences", "output_attentions",
    "output_hidden_states", "output_past", "output_scores", "pad_key_length", "pad_token_id",
    "predict_special_tokens", "prefix", "pretraining_tp", "problem_type", "remove_invalid_values",
    "reorder_and_upcast_attn", "repetition_penalty", "resid_dropout", "resid_pdrop", "return_dict",
    "return_dict_in_generate", "scale_attention_softmax_in_fp32", "sep_token_id", "suppress_tokens",
    "task_specific_params", "temperature", "tie_encoder_decoder", "tokenizer_class", "top_k", "top_p", "torch_dtype",
    "torchscript", "transformers_version", "typical_p", "unk_token_id", "use_bfloat16", "use_cache"};

bool is_inert(std::string_view key) {
  return key.starts_with("summary_") || std::find(std::begin(kInert), std::end(kInert), key) != std::end(kInert);
}

}  // namespace

std::optional<double> number_of(const Json& json) {
  if (json.kind == Json::Kind::integer) return static_cast<double>(json.integer);
  if (json.kind == Json::Kind::real) return json.real;
  return std::nullopt;
}

std::string_view ConfigReader::name(std::string_view key) const {
  const auto found = std::find_if(names_.begin(), names_.end(), [&](const auto& name) { return name.first == key; });
  return found == names_.end() ? key : std::string_view(found->second);
}

const Json* ConfigReader::value(std::string_view key) {
  known_.push_back(key);
  const Json* found = json_.find(key);
  return found == nullptr || found->kind == Json::Kind::null ? nullptr : found;
}

void ConfigReader::refuse(std::string_view key, std::string_view expected, const Json& found) const {
  fail_model(file_, name(key), expected, found.describe());
}

std::optional<uint32_t> ConfigReader::size(std::string_view key) {
  const Json* found = value(key);
  if (found == nullptr) return std::nullopt;
  if (found->kind != Json::Kind::integer || found->integer < 1 || found->integer > INT32_MAX) {
    refuse(key, "a whole number from 1", *found);
  }
  return static_cast<uint32_t>(found->integer);
}

uint32_t ConfigReader::required_size(std::string_view key) {
  const auto found = size(key);
  if (!found) fail_model(file_, name(key), "a whole number from 1", "none");
  return *found;
}

bool ConfigReader::flag(std::string_view key, bool otherwise) {
  const Json* found = value(key);
  if (found == nullptr) return otherwise;
  if (found->kind != Json::Kind::boolean) refuse(key, "true or false", *found);
  return found->boolean;
}

double ConfigReader::number(std::string_view key, double otherwise) {
  const Json* found = value(key);
  if (found == nullptr) return otherwise;
  const auto number = number_of(*found);
  if (!number) refuse(key, "a number", *found);
  return *number;
}

void ConfigReader::refuse_if_used(std::string_view key, std::string_view expected) {
  const Json* found = value(key);
  if (found == nullptr) return;
  const bool unused = (found->kind == Json::Kind::boolean && !found->boolean) ||
                      (found->kind == Json::Kind::array && found->array.empty()) ||
                      (found->kind == Json::Kind::object && found->object.empty());
  if (!unused) refuse(key, expected, *found);
}

void ConfigReader::require_flag(std::string_view key, bool wanted) {
  if (flag(key, wanted) != wanted) fail_model(file_, name(key), wanted ? "true" : "false", wanted ? "false" : "true");
}

std::vector<int32_t> ConfigReader::tokens(std::string_view key, uint32_t n_vocab, std::vector<std::string>& warnings) {
  std::vector<int32_t> ids;
  const Json* found = value(key);
  if (found == nullptr) return ids;
  const bool list = found->kind == Json::Kind::array;
  for (const Json& id : list ? std::span(found->array) : std::span(found, 1)) {
    const bool whole = id.kind == Json::Kind::integer || id.kind == Json::Kind::unsigned_integer;
    if (!whole) refuse(key, "a token id", id);
    if (id.kind == Json::Kind::integer && id.integer < 0) continue;
    if (id.kind == Json::Kind::integer && id.integer < n_vocab) {
      ids.push_back(static_cast<int32_t>(id.integer));
    } else {
      warnings.push_back(printable(file_, 400) + ": " + std::string(name(key)) +
                         ": expected an id below vocab_size = " + std::to_string(n_vocab) +
                         ", found " + id.describe() + ": left out");
    }
  }
  return ids;
}

std::vector<std::string> ConfigReader::unknown_keys() const {
  std::vector<std::string> warnings;
  for (const auto& [key, unused, place] : json_.object) {
    const bool known = std::find(known_.begin(), known_.end(), key) != known_.end();
    if (!known && !is_inert(key))
      warnings.push_back(printable(file_, 400) + ": unknown key \"" + printable(name(key)) + "\" ignored");
  }
  return warnings;
}

}  // namespace gpt2
