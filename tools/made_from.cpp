#include "tools/made_from.h"

#include "src/base/hash.h"
#include "src/engine/prompt_cache.h"

namespace gpt2 {
namespace {

void add_arguments(const RequestArguments& a, HashedValues& values) {
  values.add_all(a.stops).add(uint64_t{a.max_new_tokens}).add(uint64_t{a.n_samples}).add(uint64_t{a.keep});
  values.add(uint64_t{a.logprobs ? 1u + *a.logprobs : 0u}).add(static_cast<uint64_t>(a.overflow));
  values.add(uint64_t{a.special}).add(uint64_t{a.ignore_eos}).add(uint64_t{a.include_stop});
}

void add_sampling(const SamplingOptions& s, HashedValues& values) {
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

uint64_t HashedValues::hash() const { return xxh3(std::as_bytes(std::span(text_))); }

std::string run_basis(const Model& model, const EngineOptions& engine, const SpeculationOptions& speculation) {
  HashedValues values;
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
  HashedValues values;
  values.add(basis);
  add_arguments(record.arguments, values);
  if (record.failure) {
    values.add(line);
  } else {
    values.add_all(record.prompt).add(uint64_t{record.n_dropped});
    add_sampling(record.request.sampling, values);
    if (!record.request.sampling.greedy) values.add(record.request.seed);
  }
  return values.hash();
}

}  // namespace gpt2
