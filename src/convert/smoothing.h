// Smoothing before quantisation: features that are far larger than the rest of their group take its code's resolution
// away. Between a norm and the matrix behind it stands room to move: ln.weight and ln.bias of feature j are divided by
// a power of two and column j of the matrix is multiplied by it, which changes no value of the model and costs nothing
// at run time.
//
// How large a feature gets is estimated from the weights alone: its mean square in the embeddings, plus what each
// c_proj on the way adds to it (bias squared and a share of its weights' squares), through the norm's own weight and
// bias. Xiao et al. 2023, "SmoothQuant", takes it from sample texts; on books (int8, mean KL to f32 on held-out text)
// sample texts give 0.73 of the unsmoothed divergence and this estimate 0.81, without a text.
//
// The same room takes weights back into the range of the groups' f16 scales where a checkpoint has them far outside:
// all features by one power of two more.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "src/model/config.h"
#include "src/model/model_writer.h"

namespace gpt2 {

class SmoothedSource final : public ParameterSource {
 public:
  // Reads the weights of `source` once. Matrices that `options` store with scales are smoothed, all others left alone.
  SmoothedSource(const Config& config, ParameterSource& source, const WriteOptions& options);

  void read_rows(const TensorSpec& spec, uint64_t first, uint64_t count, float* out) override;
  void read_vector(std::string_view name, uint64_t first, uint64_t count, float* out) override;
  void done(const TensorSpec& spec) override { source_.done(spec); }

 private:
  // One norm and the matrix behind it.
  struct Pair {
    std::string norm;           // "h.0.ln_1"
    std::string matrix;         // "h.0.attn.c_attn.weight"
    std::vector<float> factor;  // [n_embd], powers of two: columns times this, norm divided by it; empty: left alone
  };

  std::vector<float> factors(const TensorSpec& matrix, DType dtype, std::string_view norm,
                             const std::vector<double>& feature_squares);
  void add_projection(const TensorSpec& projection, std::vector<double>& feature_squares);
  void add_rows(const TensorSpec& embedding, double scale, std::vector<double>& feature_squares);

  const Config& config_;
  ParameterSource& source_;
  std::vector<Pair> pairs_;
};

}  // namespace gpt2
