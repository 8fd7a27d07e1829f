// GPT-2's own checkpoints: which tensor is which, and how it is stored. Another architecture of the family is another
// file like this one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/convert/named_tensors.h"
#include "src/model/config.h"
#include "src/model/model_writer.h"

namespace gpt2 {

inline constexpr std::string_view kGpt2Prefix = "transformer.";

class Gpt2Source final : public ParameterSource {
 public:
  // Decides what the tensors say better than the configuration, which it corrects: a head alone stands for wte, and a
  // head that differs from wte is none of it (config.tied_lm_head becomes false). Then checks that every tensor that
  // `config` needs is there, in shape and type. Adds to `warnings`; throws Error (exit 3) naming file and tensor.
  Gpt2Source(NamedTensors& tensors, Config& config, std::vector<std::string>& warnings);

  void read_rows(const TensorSpec& spec, uint64_t first, uint64_t count, float* out) override;
  void read_vector(std::string_view name, uint64_t first, uint64_t count, float* out) override;
  void done(const TensorSpec& spec) override;

 private:
  // [inputs, outputs], as Conv1D has it, or [outputs, inputs].
  bool is_transposed(const TensorSpec& spec) const;
  void settle_head(NamedTensors& tensors, Config& config, std::vector<std::string>& warnings) const;
  void settle_layout(const Config& config, std::vector<std::string>& warnings);
  void check(const Config& config) const;
  void check_tensor(const std::string& name, const std::vector<uint64_t>& shape) const;
  void check_unused(const Config& config, std::vector<std::string>& warnings) const;

  const NamedTensors& tensors_;
  bool linear_ = false;  // the matrices of the blocks are nn.Linear's, [outputs, inputs]
};

}  // namespace gpt2
