// A tensor of a `.gpt2` file by its logical rows, one at a time: the way back from packed panels. Memory is one index
// for each row.
#pragma once

#include <cstdint>
#include <vector>

#include "src/model/config.h"
#include "src/model/model_file.h"

namespace gpt2 {

class StoredRows {
 public:
  // Views the tensor's data.
  StoredRows(const StoredTensor& tensor, const Config& config);

  const TensorSpec& spec() const noexcept { return tensor_->spec; }
  DType dtype() const noexcept { return tensor_->dtype; }
  // Writes the values [cols] of a row as the checkpoint had them: q without the folded scale. A vector's rows have one.
  void read(uint64_t row, float* values) const;
  // Returns the bias of a row.
  float bias(uint64_t row) const;
  // Writes the codes [padded cols] and f16 scales [groups] of a row whose values they are. Requires a type with groups.
  // Returns false where a scale without the folded factor is no f16.
  bool read_codes(uint64_t row, int8_t* codes, uint16_t* scales) const;

 private:
  struct Place {
    const unsigned char* panel;
    size_t lane;
    float factor;  // what the row was multiplied by
  };
  Place place(uint64_t row) const;

  const StoredTensor* tensor_;
  std::vector<uint32_t> packed_;  // of each logical row, its place in the panels
  uint64_t n_scaled_ = 0;         // the first so many rows were multiplied by factor_
  float factor_ = 1;
};

}  // namespace gpt2
