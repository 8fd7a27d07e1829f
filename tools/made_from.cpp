#include "tools/made_from.h"

#include <bit>

#include "src/base/hash.h"
#include "src/engine/prompt_cache.h"

namespace gpt2 {
namespace {

// Values one after the other, each with its length where that varies, so that no two sequences of values are the same
// text.
class Values {
 public:
  Values& add(uint64_t value) {
    text_ += std::to_string(value) + ' ';
    return *this;
  }
  Values& add(float value) { return add(uint64_t{std::bit_cast<uint32_t>(value)}); }
  Values& add(std::string_view value) {
    add(uint64_t{value.size()});
    text_ += value;
    return *this;
  }
  template <class Range>
  Values& add_all(const Range& range) {
    add(uint64_t{range.size()});
    for (const auto& value : range) add_one(value);
    return *this;
  }
  const std::string& text() const noexcept { return text_; }

 private:
  void add_one(int32_t value) { add(static_cast<uint64_t>(value)); }
  void add_one(const TokenBias& value) { add(static_cast<uint64_t>(value.token)).add(value.bias); }
  void add_one(const std::string& value) { add(std::string_view(value)); }

  std::string text_;
};

void add_arguments(const RequestArguments& a, Values& values) {
  values.add_all(a.stops).add(uint64_t{a.max_new_tokens}).add(uint64_t{a.n_samples}).add(uint64_t{a.keep});
  values.add(uint64_t{a.logprobs ? 1u + *a.logprobs : 0u}).add(static_cast<uint64_t>(a.overflow));
  values.add(uint64_t{a.special}).add(uint64_t{a.ignore_eos}).add(uint64_t{a.include_stop});
}

void add_sampling(const SamplingOptions& s, Values& values) {
  values.add_all(s.logit_bias)
      .add(s.repetition_penalty)
      .add(s.frequency_penalty)
      .add(s.presence_penalty)
      .add(uint64_t{s.no_repeat_ngram})
      .add(uint64_t{s.min_new_tokens});
  values.add_all(s.forbidden).add(uint64_t{s.greedy});
  if (s.greedy) return;
  values.add(s.temperature).add(uint64_t{s.top_k}).add(s.top_p).add(s.min_p).add(s.typical_p);
}

}  // namespace

std::string run_basis(const Model& model, const EngineOptions& engine, const SpeculationOptions& speculation) {
  Values values;
  values.add(model.file().header_hash)
      .add(static_cast<uint64_t>(engine.kv_type))
      .add(class_of_arithmetic(model, engine));
  if (speculation.wanted() && speculation.verification == Verification::rejection) {
    values.add(uint64_t{speculation.draft != nullptr ? speculation.draft->file().header_hash : 0});
    values.add(uint64_t{speculation.lookup ? speculation.lookup_match : 0}).add(uint64_t{speculation.max_draft});
    values.add(static_cast<uint64_t>(speculation.policy));
  }
  return values.text();
}

uint64_t made_from(std::string_view basis, const Record& record, std::string_view line) {
  Values values;
  values.add(basis);
  add_arguments(record.arguments, values);
  if (record.failure) {
    values.add(line);
  } else {
    values.add_all(record.prompt).add(uint64_t{record.n_dropped});
    add_sampling(record.request.sampling, values);
    if (!record.request.sampling.greedy) values.add(record.request.seed);
  }
  return xxh3(std::as_bytes(std::span(values.text())));
}

}  // namespace gpt2
