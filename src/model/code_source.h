// What a source of parameters may offer beside values: matrices that are codes and scales already, and in which type a
// matrix of ours keeps what is there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "kernels/layout.h"
#include "src/model/schema.h"

namespace gpt2 {

class CodeSource {
 public:
  virtual ~CodeSource() = default;
  // Returns the type whose groups hold the matrix's codes and scales without a change of value; nothing if none does.
  virtual std::optional<DType> code_type(const TensorSpec& spec) = 0;
  // Writes the codes [padded cols] and f16 scales [groups] of a logical output. Requires code_type(spec).
  virtual void read_codes(const TensorSpec& spec, uint64_t row, int8_t* codes, uint16_t* scales) = 0;
};

}  // namespace gpt2
