// Writing a `.gpt2` file: packs the parameters of any source, tensor by tensor, into a sink. Memory stays at one panel.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "src/io/byte_sink.h"
#include "src/model/config.h"
#include "src/model/schema.h"
#include "src/text/tokenizer.h"

namespace gpt2 {

// Where parameters come from: a checkpoint, or random numbers.
class ParameterSource {
 public:
  virtual ~ParameterSource() = default;
  // Logical outputs [first, first + count) of a matrix, each with its `cols` inputs: out[i * cols + k].
  virtual void read_rows(const TensorSpec& spec, uint64_t first, uint64_t count, float* out) = 0;
  // Elements [first, first + count) of a vector tensor or a bias, by its checkpoint name.
  virtual void read_vector(std::string_view name, uint64_t first, uint64_t count, float* out) = 0;
  // The tensor has been written and will not be asked for again.
  virtual void done(const TensorSpec& /*spec*/) {}
};

// A matrix whose name matches the pattern (shell wildcards: "wte.weight", "h.0.*", "*.c_proj.weight") gets this type.
struct KeepRule {
  std::string pattern;
  DType dtype = DType::f32;
};

struct WriteOptions {
  DType dtype = DType::f32;    // of the matrices
  std::vector<KeepRule> keep;  // exceptions; the last that matches counts
  std::string source;          // recorded in the file
  TokenRoles roles;            // that the tokens' texts do not say
  std::string chat_template;   // of the checkpoint, as it stands there; empty: none
  std::vector<uint32_t> draft_ids;  // of the head's n_draft_vocab rows, ascending; empty where the head is whole
};

// Returns the type of a matrix under these options. Without a rule of its own, wte (and so a tied head) stays int8 in
// int4 files.
DType matrix_dtype(std::string_view name, const WriteOptions& options);

// Called now and then with the bytes written and their total.
using Progress = std::function<void(uint64_t done, uint64_t total)>;

// A tensor with weights that are NaN or infinite.
struct NonFinite {
  std::string name;
  uint64_t count = 0;
};

// Writes the whole file. The same source gives the same bytes, always. Returns the tensors that have weights which are
// not finite. Throws Error (exit 3) that names the source and the tensor where the f16 scales of a quantised matrix
// would overflow, or all of them lose their precision or vanish.
std::vector<NonFinite> write_model(const Config& config, const TokenizerTables& tokenizer, ParameterSource& source,
                                   const WriteOptions& options, ByteSink& sink, const Progress& progress);

}  // namespace gpt2
