// Models of every architecture of the family at small odd sizes with weights made from their names, and the plain loops in double
// that say what their logits are. The loops share no code with the program: no packing, no moved rows, no blocks.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "src/model/model.h"

namespace gpt2::test {

struct FamilyCase {
  std::string name;
  Config config;
};
std::vector<FamilyCase> family_cases();

// A .gpt2 file of this configuration, and the model that it is.
std::string family_file(const Config& config, DType dtype = DType::f32);
Model make_family_model(const Config& config, DType dtype = DType::f32);

// Element `index` of a tensor's or bias's weights, row-major in the logical order.
float family_element(std::string_view name, uint64_t index);

// Element `index` of a tensor of the goldens' checkpoints, as scripts/make_family_goldens.py makes it: weights need not
// be stored.
float golden_element(std::string_view name, uint64_t index, bool is_vector);

// Logits of every token [tokens, n_vocab].
std::vector<double> expected_logits(const Config& config, const std::vector<int32_t>& tokens);

}  // namespace gpt2::test
