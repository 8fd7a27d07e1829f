// A model's tensors as another format has them: under its names, with its rows in its order, one row at a time. The
// way back from what FamilySource does, through the same rules (architecture.h).
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "src/convert/architecture.h"
#include "src/model/model_file.h"
#include "src/model/stored_rows.h"

namespace gpt2 {

class ForeignTensor {
 public:
  std::string name;
  std::vector<uint64_t> shape;  // [outputs, inputs], or one dimension
  std::string_view ours;        // "wte.weight"
  bool is_block_matrix = false;

  uint64_t rows() const noexcept { return shape.size() > 1 ? shape[0] : 1; }
  uint64_t cols() const noexcept { return shape.back(); }
  // Returns the type in which the values are stored; f32 for vectors.
  DType dtype() const noexcept { return shape.size() > 1 ? stored_->dtype() : DType::f32; }
  // Writes row `row` of theirs, [cols] values.
  void read(uint64_t row, float* values) const;
  // The same as codes and scales (StoredRows::read_codes). Requires a matrix of a type with groups.
  bool read_codes(uint64_t row, int8_t* codes, uint16_t* scales) const;

 private:
  friend class ForeignTensors;
  enum class Kind : uint8_t { matrix, vector, bias };
  const StoredRows* stored_ = nullptr;
  const Config* config_ = nullptr;
  Kind kind_ = Kind::matrix;
  Move move_ = Move::none;
  uint64_t begin_ = 0;  // our logical row
};

// Which biases of the blocks' matrices are written.
enum class BiasUse : uint8_t { never, where_used, always };
struct BiasUses {
  BiasUse attention_inputs = BiasUse::always, attention_output = BiasUse::always, mlp = BiasUse::always;
};
// Whether a matrix's biases are anything but zeros, in any layer; `ours`: "h.*.attn.c_attn".
bool has_biases(const ModelFile& file, std::string_view ours);

class ForeignTensors {
 public:
  // Views `file`; `path` is for messages. Throws Error (exit 3) naming a bias that the format does not have, and a
  // draft's head.
  ForeignTensors(const ModelFile& file, const Architecture& names, const BiasUses& uses, std::string_view path);

  const std::vector<ForeignTensor>& all() const noexcept { return tensors_; }

 private:
  void add(const StoredRows& stored, const Architecture& names, const BiasUses& uses, std::string_view path);

  const Config& config_;
  std::deque<StoredRows> stored_;
  std::vector<ForeignTensor> tensors_;
};

}  // namespace gpt2
