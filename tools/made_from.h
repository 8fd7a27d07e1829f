// What a result was made from, as one short key in its line: so that a run that goes on with results knows that they
// are its own.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "src/engine/speculation.h"
#include "src/model/model.h"
#include "tools/record.h"

namespace gpt2 {

// Returns what all results of a run have in common, as text: the model's hash, the class of arithmetic, and speculation
// where it draws other texts (Verification::rejection).
std::string run_basis(const Model& model, const EngineOptions& engine, const SpeculationOptions& speculation);

// Returns a hash of the basis, the prompt, the options and, unless the most likely token is always taken, the seed.
// Neither the id nor the index is in it. Of a record that failed: of its text `line`, as far as its options were read.
uint64_t made_from(std::string_view basis, const Record& record, std::string_view line);

}  // namespace gpt2
