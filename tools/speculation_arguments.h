// The options of speculation, for the tables of commands that generate, and what it did, for --stats.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "src/engine/speculation.h"
#include "tools/load_model.h"
#include "tools/options.h"

namespace gpt2 {

class SpeculationArguments {
 public:
  // Returns the options; their values are stored in this object.
  std::vector<Option> options();
  // Returns whether a draft is named and not switched off.
  bool wanted() const noexcept { return policy_ != DraftPolicy::off && (draft_ || lookup_ > 0); }
  // Opens the draft model, if one is named, and says where its tokenizer has other rules than the target's. Throws
  // Error (exit 3), also where it has other tokens.
  std::optional<Model> load_draft(const Model& target, Verbosity verbosity) const;
  void add_inputs(InputFiles& inputs) const;
  // `draft`: what load_draft gave.
  SpeculationOptions resolve(const Model* draft) const;
  // Returns tokens that may be proposed for a step.
  uint32_t max_draft() const noexcept { return max_draft_; }

 private:
  std::optional<std::string> draft_;
  uint32_t lookup_ = 0;  // shortest match; 0: no look-up
  uint32_t max_draft_ = kMaxDraft;
  DraftPolicy policy_ = DraftPolicy::automatic;
  Verification verification_ = Verification::coupled;
};

// Returns how many tokens of a step's proposal were accepted on average.
double mean_accepted(const SpeculationStats& stats);
// Returns one JSON object.
std::string speculation_json(const SpeculationStats& stats);
// Returns names and texts of a table's rows.
std::vector<std::pair<std::string, std::string>> speculation_rows(const SpeculationStats& stats);

}  // namespace gpt2
