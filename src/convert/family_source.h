// The parameters of a checkpoint of the family, through its architecture's rules (architecture.h): which tensors hold a
// matrix of ours, and from which of their rows each of its rows comes.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/convert/architecture.h"
#include "src/convert/named_tensors.h"
#include "src/model/code_source.h"
#include "src/model/model_writer.h"

namespace gpt2 {

class FamilySource final : public ParameterSource, public CodeSource {
 public:
  // Checks that every tensor that `file.config` needs is there in shape and type; adds to `warnings` what is left out.
  // A head that is there and differs from wte is not tied, whatever the configuration says. Throws Error (exit 3)
  // naming file and tensor.
  FamilySource(const NamedTensors& tensors, const Architecture& architecture, ConfigFile& file,
               std::vector<std::string>& warnings);

  void read_rows(const TensorSpec& spec, uint64_t first, uint64_t count, float* out) override;
  void read_vector(std::string_view name, uint64_t first, uint64_t count, float* out) override;
  void done(const TensorSpec& spec) override;
  // Q4_0 is int4; Q8_0 whose pairs of blocks share their scale, as those have that int8 was written as, is int8; other
  // blocks of codes with one scale, which the parts of a matrix may have in several types, are int8g32.
  std::optional<DType> code_type(const TensorSpec& spec) override;
  void read_codes(const TensorSpec& spec, uint64_t row, int8_t* codes, uint16_t* scales) override;
  // The checkpoint's type of a matrix, the format's word; empty where its parts have several.
  std::string_view stored_type(const TensorSpec& spec) const;

 private:
  // Rows [begin, begin + count) of ours: a tensor of the checkpoint, or zeros where there need be no bias.
  struct Piece {
    const NamedTensor* tensor = nullptr;
    uint64_t begin = 0, count = 0;
    Move move = Move::none;
  };
  void settle_head(std::vector<std::string>& warnings);
  bool needs_bias(std::string_view rule) const;
  void add_tensor(const std::string& name, uint64_t rows, uint64_t cols, bool optional);
  void check_shape(const NamedTensor& tensor, uint64_t rows, uint64_t cols, Move move) const;
  void check_unused(std::vector<std::string>& warnings) const;
  uint64_t source_row(const Piece& piece, uint64_t row) const;
  bool has_paired_scales(const NamedTensor& tensor) const;
  const Piece& piece_at(std::string_view name, uint64_t row) const;

  const NamedTensors& tensors_;
  const Architecture& architecture_;
  ConfigFile& file_;
  std::map<std::string, std::vector<Piece>, std::less<>> pieces_;  // by our names
  std::map<std::string, std::optional<DType>, std::less<>> code_types_;  // of those that were asked for
};

}  // namespace gpt2
