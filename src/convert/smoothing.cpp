#include "src/convert/smoothing.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "src/base/error.h"
#include "src/base/portable_math.h"

namespace gpt2 {
namespace {

constexpr double kBalance = 0.5;  // 1: all of a feature's size moves into the weights, 0: none
// Mean square of what a c_proj reads, relative to the residual's: values behind attention and GELU are well below 1.
constexpr double kProjectionInput = 0.05;
constexpr double kMaxExponent = 8;
constexpr uint64_t kBlock = 16;

const TensorSpec& find_spec(const std::vector<TensorSpec>& schema, std::string_view name) {
  const auto found =
      std::find_if(schema.begin(), schema.end(), [&](const TensorSpec& spec) { return spec.name == name; });
  GPT2_CHECK(found != schema.end());
  return *found;
}

bool has_scales(DType dtype) { return layout_of(dtype).k_per_group > 0; }

// Calls visit(row, values) for every output row of a matrix.
template <class Visit>
void each_row(ParameterSource& source, const TensorSpec& spec, Visit visit) {
  std::vector<float> block(kBlock * spec.cols);
  for (uint64_t first = 0; first < spec.rows; first += kBlock) {
    const uint64_t count = std::min(kBlock, spec.rows - first);
    source.read_rows(spec, first, count, block.data());
    for (uint64_t i = 0; i < count; ++i) visit(first + i, block.data() + i * spec.cols);
  }
}

std::vector<float> read_all(ParameterSource& source, std::string_view name, uint64_t n) {
  std::vector<float> values(n);
  source.read_vector(name, 0, n, values.data());
  return values;
}

double square(double x) { return x * x; }

// By which power of two a matrix is to be scaled so that its largest group scale lies well inside f16; 0 where it does.
int range_exponent(float scale) {
  constexpr float kSmallestNormal = 0x1p-14f, kRoom = 0x1p14f;
  constexpr int kWanted = -8;
  if (!std::isfinite(scale) || scale == 0.0f || (scale >= kSmallestNormal && scale <= kRoom)) return 0;
  return kWanted - std::ilogb(scale);
}

// Whether the values stay zero or normal when they are divided by their factors and the power of two.
bool is_exact(const std::vector<float>& values, const std::vector<float>& factors, int exponent) {
  for (size_t j = 0; j < values.size(); ++j) {
    const float scaled = std::ldexp(values[j] / factors[j], -exponent);
    if (scaled != 0.0f && !std::isnormal(scaled)) return false;
    if (scaled == 0.0f && values[j] != 0.0f) return false;
  }
  return true;
}

}  // namespace

SmoothedSource::SmoothedSource(const Config& config, ParameterSource& source, const WriteOptions& options)
    : config_(config), source_(source) {
  const std::vector<TensorSpec> schema = model_schema(config);
  std::vector<double> squares(config.n_embd, 0.0);
  add_rows(find_spec(schema, "wte.weight"), square(double{config.embedding_scale}), squares);
  if (config.positions == Positions::learned) add_rows(find_spec(schema, "wpe.weight"), 1, squares);
  for (uint32_t layer = 0; layer < config.n_layer; ++layer) {
    const std::string h = "h." + std::to_string(layer) + ".";
    const std::string parts[2][3] = {{h + "ln_1", h + "attn.c_attn.weight", h + "attn.c_proj.weight"},
                                     {h + "ln_2", h + "mlp.c_fc.weight", h + "mlp.c_proj.weight"}};
    for (const auto& [norm, matrix, projection] : parts) {
      const DType dtype = matrix_dtype(matrix, options);
      // A norm that two matrices read would need factors that suit both.
      const bool wanted = has_scales(dtype) && config.residual != Residual::parallel_one_norm;
      pairs_.push_back(
          {norm, matrix, wanted ? factors(find_spec(schema, matrix), dtype, norm, squares) : std::vector<float>()});
      add_projection(find_spec(schema, projection), squares);
    }
  }
}

// Mean squares of an embedding's columns.
void SmoothedSource::add_rows(const TensorSpec& embedding, double scale, std::vector<double>& feature_squares) {
  std::vector<double> sums(feature_squares.size(), 0.0);
  each_row(source_, embedding, [&](uint64_t, const float* row) {
    for (size_t j = 0; j < sums.size(); ++j) sums[j] += square(row[j]);
  });
  for (size_t j = 0; j < sums.size(); ++j) feature_squares[j] += scale * sums[j] / static_cast<double>(embedding.rows);
}

void SmoothedSource::add_projection(const TensorSpec& projection, std::vector<double>& feature_squares) {
  const std::vector<float> bias = read_all(source_, projection.bias, projection.rows);
  each_row(source_, projection, [&](uint64_t j, const float* row) {
    double sum = 0;
    for (uint64_t k = 0; k < projection.cols; ++k) sum += square(row[k]);
    feature_squares[j] += kProjectionInput * sum + square(bias[j]);
  });
}

std::vector<float> SmoothedSource::factors(const TensorSpec& matrix, DType dtype, std::string_view norm,
                                           const std::vector<double>& feature_squares) {
  const size_t n = feature_squares.size();
  const std::vector<float> weight = read_all(source_, std::string(norm) + ".weight", n);
  const std::vector<float> bias =
      config_.norm == Norm::layer ? read_all(source_, std::string(norm) + ".bias", n) : std::vector<float>(n, 0.0f);
  std::vector<double> columns(n, 0.0);
  std::vector<float> largest(n, 0.0f);
  each_row(source_, matrix, [&](uint64_t, const float* row) {
    for (size_t j = 0; j < n; ++j) {
      columns[j] += square(row[j]);
      if (std::isfinite(row[j])) largest[j] = std::max(largest[j], std::fabs(row[j]));
    }
  });
  double mean_square = 0;
  for (const double s : feature_squares) mean_square += s / static_cast<double>(n);
  // Logarithms of the factors before rounding; a feature or a column of zeros, or one that is not finite, has none.
  std::vector<double> wanted(n);
  std::vector<bool> known(n);
  double sum = 0, count = 0;
  for (size_t j = 0; j < n; ++j) {
    const double input = square(weight[j]) * feature_squares[j] / mean_square + square(bias[j]);
    const double column = columns[j] / static_cast<double>(matrix.rows);
    known[j] = std::isnormal(input) && std::isnormal(column);
    if (!known[j]) continue;
    wanted[j] = 0.5 * (kBalance * portable_log(input) - (1 - kBalance) * portable_log(column));
    sum += wanted[j];
    count += 1;
  }
  constexpr double kLn2 = 0x1.62e42fefa39efp-1;
  std::vector<float> factor(n, 1.0f);
  for (size_t j = 0; j < n; ++j) {
    if (!known[j]) continue;
    const double exponent = std::clamp(std::nearbyint((wanted[j] - sum / count) / kLn2), -kMaxExponent, kMaxExponent);
    factor[j] = std::ldexp(1.0f, static_cast<int>(exponent));
  }
  float most = 0;
  for (size_t j = 0; j < n; ++j) most = std::max(most, largest[j] * factor[j]);
  const int exponent = range_exponent(most / largest_code(dtype));
  if (exponent != 0 && is_exact(weight, factor, exponent) && is_exact(bias, factor, exponent)) {
    for (float& f : factor) f = std::ldexp(f, exponent);
  }
  return factor;
}

void SmoothedSource::read_rows(const TensorSpec& spec, uint64_t first, uint64_t count, float* out) {
  source_.read_rows(spec, first, count, out);
  const auto pair = std::find_if(pairs_.begin(), pairs_.end(), [&](const Pair& p) { return p.matrix == spec.name; });
  if (pair == pairs_.end() || pair->factor.empty()) return;
  for (uint64_t i = 0; i < count; ++i) {
    for (size_t j = 0; j < pair->factor.size(); ++j) out[i * spec.cols + j] *= pair->factor[j];
  }
}

void SmoothedSource::read_vector(std::string_view name, uint64_t first, uint64_t count, float* out) {
  source_.read_vector(name, first, count, out);
  const auto pair = std::find_if(pairs_.begin(), pairs_.end(), [&](const Pair& p) {
    return name.starts_with(p.norm) &&
           (name.substr(p.norm.size()) == ".weight" || name.substr(p.norm.size()) == ".bias");
  });
  if (pair == pairs_.end() || pair->factor.empty()) return;
  for (uint64_t i = 0; i < count; ++i) out[i] /= pair->factor[first + i];
}

}  // namespace gpt2
