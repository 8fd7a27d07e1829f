#include "tools/speculation_arguments.h"

#include "src/base/error.h"
#include "src/engine/model_drafter.h"
#include "src/io/json_object.h"
#include "tools/format.h"
#include "tools/terminal.h"

namespace gpt2 {
namespace {

constexpr uint32_t kShortestMatch = 2, kLongestMatch = 64;

double share(uint64_t part, uint64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

template <class Text>
std::string join(size_t n, std::string_view between, Text text) {
  std::string all;
  for (size_t i = 0; i < n; ++i) all += (i > 0 ? std::string(between) : "") + text(i);
  return all;
}

// Positions at which anything was proposed.
size_t positions(const SpeculationStats& s) {
  size_t n = s.proposed_at.size();
  while (n > 0 && s.proposed_at[n - 1] == 0) --n;
  return n;
}

}  // namespace

std::vector<Option> SpeculationArguments::options() {
  OptionValue lookup = whole_value(lookup_, 1, kLongestMatch);
  lookup.metavar = "N";
  lookup.expected = "--draft-lookup or --draft-lookup=N, N from 1 to " + std::to_string(kLongestMatch);
  lookup.presence = OptionValue::Presence::optional;
  lookup.set = [this, number = std::move(lookup.set)](std::string_view text) {
    if (!text.empty()) return number(text);
    lookup_ = kShortestMatch;
    return true;
  };
  return {
      {"--draft-model", "--model-draft",
       "A small model with the same tokenizer that proposes tokens; the model verifies several of them in one step. "
       "The text is the same, only sooner.",
       name_value("FILE|DIR", draft_)},
      {"--draft-lookup", "",
       "Propose what followed the last tokens where they stood before, in prompt or text, if at least N (default 2) of "
       "them match; before the draft model is asked.",
       std::move(lookup)},
      {"--draft-max", "", "Tokens proposed for one step at most (default 15).", whole_value(max_draft_, 1, kMaxDraft)},
      {"--spec", "",
       "auto (default where a draft is named): as many tokens as measured costs and acceptance make worth while, none "
       "where that is fastest; by rejection as many as the draft is sure of, whatever they cost, so that a seed "
       "repeats its text; force: as many as may be; off.",
       choice_value(policy_,
                    {{"off", DraftPolicy::off}, {"auto", DraftPolicy::automatic}, {"force", DraftPolicy::force}})},
      {"--spec-verify", "",
       "coupled (default): a proposed token stays where it is the one that would be drawn anyway; rejection: where the "
       "rule of Leviathan et al. 2023 accepts it, the distribution is the same and the text another.",
       choice_value(verification_, {{"coupled", Verification::coupled}, {"rejection", Verification::rejection}})}};
}

std::optional<Model> SpeculationArguments::load_draft(const Model& target, Verbosity verbosity) const {
  if (!wanted() || !draft_) return std::nullopt;
  Model draft = load_any_model({draft_, verbosity});
  const std::string differences = check_draft_tokenizer(target, draft);
  if (!differences.empty() && verbosity != Verbosity::quiet) {
    say("warning: " + printable(draft.name(), 400) +
        ": the draft has the model's tokens, but its tokenizer has other rules: " + differences);
  }
  return draft;
}

void SpeculationArguments::add_inputs(InputFiles& inputs) const {
  if (draft_) gpt2::add_inputs({draft_, Verbosity::quiet}, "--draft-model", inputs);
}

SpeculationOptions SpeculationArguments::resolve(const Model* draft) const {
  SpeculationOptions options;
  options.draft = draft;
  options.lookup = lookup_ > 0;
  if (lookup_ > 0) options.lookup_match = lookup_;
  options.max_draft = max_draft_;
  options.policy = policy_;
  options.verification = verification_;
  return options;
}

double mean_accepted(const SpeculationStats& s) {
  return share(s.accepted[0] + s.accepted[1], s.sequence_steps - s.lengths[0]);
}

std::string speculation_json(const SpeculationStats& s) {
  const auto counts = [](const auto& values, size_t n) {
    return "[" + join(n, ",", [&](size_t i) { return std::to_string(values[i]); }) + "]";
  };
  const auto source = [&](DraftSource which) {
    const auto i = static_cast<size_t>(which);
    return JsonObject().whole("drafted", s.drafted[i]).whole("accepted", s.accepted[i]).text();
  };
  return JsonObject()
      .whole("steps", s.steps)
      .whole("tokens", s.tokens)
      .whole("drafted", s.drafted[0] + s.drafted[1])
      .whole("accepted", s.accepted[0] + s.accepted[1])
      .raw("lookup", source(DraftSource::lookup))
      .raw("model", source(DraftSource::model))
      .raw("proposed_by_position", counts(s.proposed_at, positions(s)))
      .raw("accepted_by_position", counts(s.accepted_at, positions(s)))
      .real("mean_accepted", mean_accepted(s))
      .raw("steps_by_length", counts(s.lengths, s.lengths.size()))
      .real("draft_ms", 1e3 * s.draft_seconds)
      .real("verify_ms", 1e3 * s.verify_seconds)
      .real("predicted_speedup", s.predicted_speedup())
      .real("measured_speedup", s.measured_speedup())
      .text();
}

std::vector<std::pair<std::string, std::string>> speculation_rows(const SpeculationStats& s) {
  const auto source = [&](DraftSource which) {
    const auto i = static_cast<size_t>(which);
    return std::to_string(s.accepted[i]) + " of " + std::to_string(s.drafted[i]);
  };
  const auto percent = [&](size_t i) { return fixed(100 * share(s.accepted_at[i], s.proposed_at[i]), 0); };
  std::vector<std::pair<std::string, std::string>> rows;
  rows.emplace_back("drafted", "accepted " + source(DraftSource::model) + " by model, " + source(DraftSource::lookup) +
                                   " by look-up, " + fixed(mean_accepted(s), 2) + " per proposal");
  rows.emplace_back("acceptance", join(positions(s), " ", percent) + " % by position");
  rows.emplace_back("lengths", join(s.lengths.size(), " ", [&](size_t i) { return std::to_string(s.lengths[i]); }) +
                                   " steps with 0, 1, 2, .. tokens proposed");
  rows.emplace_back("speculation", "draft " + fixed(1e3 * s.draft_seconds, 1) + " ms, verify " +
                                       fixed(1e3 * s.verify_seconds, 1) + " ms, speed-up " +
                                       fixed(s.measured_speedup(), 2) + " (predicted " +
                                       fixed(s.predicted_speedup(), 2) + ")");
  return rows;
}

}  // namespace gpt2
