// Every tier against scalar, bit for bit; scalar against plain loops in double. Over 400 lines: the cases share their oracles.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "kernels/float_types.h"
#include "kernels/kernels.h"
#include "src/base/aligned_buffer.h"
#include "src/base/checked.h"
#include "tests/kernel_cases.h"
#include "tests/kernel_tiers.h"
#include "tests/support.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

constexpr float kGuard = 12345.0f;

struct Matrix {
  AlignedBuffer<unsigned char> bytes;
  std::vector<float> rows, bias;  // [n_outputs, n_inputs]
  Panels panels;
};

Matrix make_matrix(size_t n_outputs, size_t n_inputs, uint64_t seed, DType dtype = DType::f32) {
  Matrix m;
  const size_t padded = round_up(n_outputs, kPanelRows);
  m.rows.assign(padded * n_inputs, 0.0f);
  m.bias.assign(padded, 0.0f);
  Numbers numbers(seed);
  for (size_t i = 0; i < n_outputs * n_inputs; ++i) m.rows[i] = numbers.next(0.3f);
  for (size_t i = 0; i < n_outputs; ++i) m.bias[i] = numbers.next();
  m.panels = {nullptr, dtype, static_cast<uint32_t>(padded), static_cast<uint32_t>(n_inputs)};
  const size_t bytes = panel_bytes(dtype, n_inputs);
  m.bytes = AlignedBuffer<unsigned char>(padded / kPanelRows * bytes);
  for (size_t p = 0; p < padded / kPanelRows; ++p) {
    pack_panel(dtype, &m.rows[p * kPanelRows * n_inputs], &m.bias[p * kPanelRows], n_inputs, m.bytes.data() + p * bytes);
  }
  m.panels.data = m.bytes.data();
  return m;
}

struct MatmulRun {
  AlignedBuffer<float> out;
  std::vector<ArgmaxLanes> argmax;
};

MatmulRun run_matmul(const KernelTable& table, const Matrix& m, const std::vector<float>& x, size_t x_stride, size_t n_rows,
                     Epilogue epilogue, size_t n_valid) {
  MatmulRun run;
  const size_t stride = m.panels.n_rows + kPanelRows;
  run.out = AlignedBuffer<float>(n_rows * stride);
  run.argmax.resize(n_rows);
  for (ArgmaxLanes& lanes : run.argmax) clear_argmax(lanes);
  Numbers numbers(7);
  for (size_t r = 0; r < n_rows; ++r) {
    for (size_t i = 0; i < stride; ++i) run.out[r * stride + i] = i < m.panels.n_rows ? numbers.next() : kGuard;
  }
  MatmulArgs args = {};
  args.w = m.panels;
  args.panel_end = n_panels(m.panels);
  AlignedBuffer<unsigned char> prepared;
  if (is_prepared(m.panels.dtype)) {
    const size_t bytes = prepared_row_bytes(m.panels.dtype, m.panels.n_cols) + kLineBytes;
    prepared = AlignedBuffer<unsigned char>(n_rows * bytes);
    for (size_t r = 0; r < n_rows; ++r) {
      table.prepare_row(m.panels.dtype, &x[r * x_stride], m.panels.n_cols, prepared.data() + r * bytes);
    }
    args.x = prepared.data();
    args.x_stride = bytes;
  } else {
    args.x = static_cast<const unsigned char*>(static_cast<const void*>(x.data()));
    args.x_stride = x_stride * sizeof(float);
  }
  args.n_rows = n_rows;
  args.out = run.out.data();
  args.out_stride = stride;
  args.epilogue = epilogue;
  args.argmax = run.argmax.data();
  args.n_valid = n_valid;
  table.matmul(args);
  return run;
}

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

std::vector<float> make_x(size_t n, uint64_t seed) {
  std::vector<float> x(n);
  Numbers numbers(seed);
  for (float& v : x) v = numbers.next();
  return x;
}

double gelu_double(double x) { return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))); }

double epilogue_double(Epilogue epilogue, double acc, double old) {
  switch (epilogue) {
    case Epilogue::gelu_tanh: return gelu_double(acc);
    case Epilogue::silu: return acc / (1 + std::exp(-acc));
    case Epilogue::gelu_erf: return 0.5 * acc * (1 + std::erf(acc / std::sqrt(2.0)));
    case Epilogue::relu: return std::max(0.0, acc);
    case Epilogue::residual: return old + acc;
    default: return acc;
  }
}

constexpr Epilogue kEpilogues[] = {Epilogue::none, Epilogue::gelu_tanh, Epilogue::gelu_erf, Epilogue::relu, Epilogue::silu,
                                   Epilogue::residual};

struct AttentionRun {
  std::vector<float> out;
};

struct AttentionData {
  size_t d_pad, stride, n_positions;
  std::vector<float> q, k, v;
};

AttentionData make_attention(const AttentionCase& c) {
  AttentionData data;
  data.d_pad = round_up(c.d_head, kPanelRows);
  data.stride = data.d_pad + 16;
  data.n_positions = c.first_position + c.n_rows;
  data.q.assign(c.n_rows * data.stride, 0.0f);
  data.k.assign(data.n_positions * data.d_pad, 0.0f);
  data.v = data.k;
  Numbers numbers(c.d_head * 1000 + c.first_position);
  for (size_t r = 0; r < c.n_rows; ++r) {
    for (size_t d = 0; d < c.d_head; ++d) data.q[r * data.stride + d] = numbers.next();
  }
  for (size_t p = 0; p < data.n_positions; ++p) {
    for (size_t d = 0; d < c.d_head; ++d) {
      data.k[p * data.d_pad + d] = numbers.next();
      data.v[p * data.d_pad + d] = numbers.next();
    }
  }
  return data;
}

// Stores all keys and values with the table's own store_kv into planes full of NaN, and attends.
std::vector<float> run_attention(const KernelTable& table, const AttentionCase& c, const AttentionData& data, KvType type) {
  const size_t n_blocks = (data.n_positions + kBlockPositions - 1) / kBlockPositions;
  const size_t plane = kv_plane_bytes(type, data.d_pad);
  AlignedBuffer<unsigned char> memory(n_blocks * 2 * plane);
  std::memset(memory.data(), 0xFF, memory.size());
  std::vector<const unsigned char*> blocks;
  for (size_t b = 0; b < n_blocks; ++b) blocks.push_back(memory.data() + b * 2 * plane);
  for (size_t p = 0; p < data.n_positions; ++p) {
    unsigned char* block = memory.data() + p / kBlockPositions * 2 * plane;
    table.store_kv(&data.k[p * data.d_pad], &data.v[p * data.d_pad], data.d_pad, type, p % kBlockPositions, block,
                   block + plane);
  }
  std::vector<float> out(c.n_rows * (c.d_head + 3), kGuard);
  AttentionArgs args = {};
  args.q = data.q.data();
  args.q_stride = data.stride;
  args.n_rows = c.n_rows;
  args.n_heads = 1;
  args.first_position = c.first_position;
  args.blocks = blocks.data();
  args.v_offset = plane;
  args.d_head = args.d_key = c.d_head;
  args.d_pad = data.d_pad;
  args.scale = 0.3f;
  args.kv_type = type;
  args.out = out.data();
  args.out_stride = c.d_head + 3;
  table.attention(args);
  return out;
}

}  // namespace

TEST_CASE("kernels: scalar matmul equals double loops") {
  for (const MatmulCase& c : kSmallMatmuls) {
    const Matrix m = make_matrix(c.n_outputs, c.n_inputs, 1);
    const size_t n_rows = 3, stride = c.n_inputs + 5;
    const std::vector<float> x = make_x(n_rows * stride, 2);
    for (const Epilogue epilogue : kEpilogues) {
      const MatmulRun run = run_matmul(scalar(), m, x, stride, n_rows, epilogue, c.n_outputs);
      const MatmulRun old = run_matmul(scalar(), m, x, stride, 0, epilogue, c.n_outputs);
      Numbers numbers(7);
      for (size_t r = 0; r < n_rows; ++r) {
        double best = -1e30;
        int32_t best_index = -1;
        for (size_t i = 0; i < m.panels.n_rows + kPanelRows; ++i) {
          const float got = run.out[r * (m.panels.n_rows + kPanelRows) + i];
          if (i >= m.panels.n_rows) {
            REQUIRE(got == kGuard);
            continue;
          }
          const double before = numbers.next();
          double acc = m.bias[i], size = std::abs(acc) + std::abs(before);
          for (size_t k = 0; k < c.n_inputs; ++k) {
            acc += double{m.rows[i * c.n_inputs + k]} * x[r * stride + k];
            size += std::abs(double{m.rows[i * c.n_inputs + k]} * x[r * stride + k]);
          }
          const double expected = epilogue_double(epilogue, acc, before);
          const double error = std::abs(got - expected);
          REQUIRE_MESSAGE(error <= 1e-7 + size * 3e-7, c.name << " output " << i << ": " << got << " not " << expected);
          if (i < c.n_outputs && got > best) {
            best = got;
            best_index = static_cast<int32_t>(i);
          }
        }
        float value = 0;
        CHECK(finish_argmax(run.argmax[r], &value) == best_index);
        CHECK(value == static_cast<float>(best));
        CHECK(run.argmax[r].nonfinite == 0);
      }
    }
  }
}

// What a tier promises of a type: scalar's bits, or for the bf16 dot instruction its own bits at every row count.
bool has_scalar_bits(const KernelTable& table, DType dtype) {
  const std::string_view name = table.name;
  return dtype != DType::bf16 || (name != "avx512bf16" && name != "i8mm");
}

TEST_CASE("kernels: every tier's matmul has scalar's bits, for every type and row count") {
  each_tier([](const KernelTable& table) {
    for (const DType dtype : kAllDTypes) {
      if (!has_scalar_bits(table, dtype)) continue;
      for (const MatmulCase& c : kSmallMatmuls) {
        const Matrix m = make_matrix(c.n_outputs, c.n_inputs, 3, dtype);
        const size_t stride = c.n_inputs + 1;  // rows of x at every alignment
        for (const size_t n_rows : kRowCounts) {
          const std::vector<float> x = make_x(n_rows * stride, n_rows);
          for (const Epilogue epilogue : kEpilogues) {
            const MatmulRun expected = run_matmul(scalar(), m, x, stride, n_rows, epilogue, c.n_outputs);
            const MatmulRun got = run_matmul(table, m, x, stride, n_rows, epilogue, c.n_outputs);
            REQUIRE_MESSAGE(same_bits(got.out.span(), expected.out.span()),
                            c.name << " rows " << n_rows << " type " << static_cast<int>(dtype));
            REQUIRE(std::memcmp(got.argmax.data(), expected.argmax.data(), n_rows * sizeof(ArgmaxLanes)) == 0);
          }
        }
      }
    }
  });
}

TEST_CASE("kernels: every tier's matmul has scalar's bits at the real shapes") {
  each_tier([](const KernelTable& table) {
    const MatmulCase& c = kRealMatmuls[3];
    for (const DType dtype : kAllDTypes) {
      if (!has_scalar_bits(table, dtype)) continue;
      const Matrix m = make_matrix(c.n_outputs, c.n_inputs, 4, dtype);
      for (const size_t n_rows : {size_t{1}, size_t{13}}) {
        const std::vector<float> x = make_x(n_rows * c.n_inputs, n_rows);
        const MatmulRun expected = run_matmul(scalar(), m, x, c.n_inputs, n_rows, Epilogue::residual, c.n_outputs);
        const MatmulRun got = run_matmul(table, m, x, c.n_inputs, n_rows, Epilogue::residual, c.n_outputs);
        REQUIRE_MESSAGE(same_bits(got.out.span(), expected.out.span()), c.name << " rows " << n_rows);
      }
    }
  });
}

TEST_CASE("kernels: a row's bits do not depend on the rows beside it, for every tier and type") {
  const auto check = [](const KernelTable& table) {
    for (const DType dtype : kAllDTypes) {
      const Matrix m = make_matrix(97, 192, 5, dtype);
      const std::vector<float> x = make_x(25 * 192, 9);
      const MatmulRun all = run_matmul(table, m, x, 192, 25, Epilogue::gelu_tanh, 97);
      const size_t stride = m.panels.n_rows + kPanelRows;
      for (size_t r = 0; r < 25; ++r) {
        const std::vector<float> one(x.begin() + static_cast<ptrdiff_t>(r * 192), x.begin() + static_cast<ptrdiff_t>((r + 1) * 192));
        const MatmulRun alone = run_matmul(table, m, one, 192, 1, Epilogue::gelu_tanh, 97);
        REQUIRE(std::memcmp(alone.out.data(), all.out.data() + r * stride, m.panels.n_rows * sizeof(float)) == 0);
      }
    }
  };
  check(scalar());
  each_tier(check);
}

TEST_CASE("kernels: packed weights are as near as their type allows, and matmul computes with what unpack shows") {
  for (const DType dtype : {DType::bf16, DType::int8, DType::int8g32, DType::int4}) {
    const size_t n_inputs = 100;
    const Matrix m = make_matrix(16, n_inputs, 8, dtype);
    std::vector<float> unpacked(16 * n_inputs);
    float bias[16];
    unpack_panel(dtype, m.bytes.data(), n_inputs, unpacked.data(), bias);
    double error = 0, size = 0;
    for (size_t i = 0; i < unpacked.size(); ++i) {
      error += std::pow(unpacked[i] - double{m.rows[i]}, 2);
      size += std::pow(double{m.rows[i]}, 2);
    }
    const double relative = std::sqrt(error / size);
    CHECK(relative <= (dtype == DType::bf16 ? 0.002 : is_int8(dtype) ? 0.006 : 0.085));
    CHECK(std::memcmp(bias, m.bias.data(), sizeof bias) == 0);
    // One input at a time: exact products, no rounding of activations beyond one code.
    std::vector<float> x(n_inputs, 0.0f);
    for (const size_t k : {size_t{0}, size_t{63}, size_t{64}, n_inputs - 1}) {
      x.assign(n_inputs, 0.0f);
      x[k] = 2.0f;
      const MatmulRun run = run_matmul(scalar(), m, x, n_inputs, 1, Epilogue::none, 16);
      for (size_t lane = 0; lane < 16; ++lane) {
        const double expected = double{bias[lane]} + 2.0 * unpacked[lane * n_inputs + k];
        const double difference = std::abs(run.out[lane] - expected);
        REQUIRE(difference <= 1e-5 * (1 + std::abs(expected)));
      }
    }
  }
}

// Code k of a prepared row. avx2 keeps those for codes of 8 bits as words, of each four in the order 0 2 1 3; the others
// keep bytes.
int prepared_code(const KernelTable& table, DType dtype, const unsigned char* row, size_t k) {
  if (!is_int8(dtype) || std::string(table.name) != "avx2") return static_cast<signed char>(row[k]);
  constexpr size_t kOrder[] = {0, 2, 1, 3};
  int16_t code;
  std::memcpy(&code, row + (k / 4 * 4 + kOrder[k % 4]) * sizeof code, sizeof code);
  return code;
}

TEST_CASE("kernels: prepared rows are the same on every tier, zeros and non-finite values included") {
  const float inf = std::numeric_limits<float>::infinity();
  for (const DType dtype : {DType::int8, DType::int8g32, DType::int4}) {
    for (const size_t n : {size_t{1}, size_t{31}, size_t{64}, size_t{100}, size_t{192}, size_t{257}}) {
      for (const float special : {0.5f, 0.0f, inf, std::nanf(""), 1e-40f, 3e38f}) {
        std::vector<float> x = make_x(n, n);
        x[n / 2] = special;
        if (special == 0.0f) std::fill(x.begin(), x.end(), 0.0f);
        const size_t bytes = prepared_row_bytes(dtype, n);
        AlignedBuffer<unsigned char> expected(bytes), got(bytes);
        scalar().prepare_row(dtype, x.data(), n, expected.data());
        const bool finite = std::isfinite(special);
        each_tier([&](const KernelTable& table) {
          table.prepare_row(dtype, x.data(), n, got.data());
          const size_t scales = row_scales_offset(dtype, n), offsets = row_offsets_offset(dtype, n);
          for (size_t k = 0; k < padded_k(dtype, n); ++k) {
            REQUIRE(prepared_code(table, dtype, got.data(), k) == prepared_code(scalar(), dtype, expected.data(), k));
          }
          REQUIRE(std::memcmp(got.data() + offsets, expected.data() + offsets, groups_of(dtype, n) * sizeof(int32_t)) == 0);
          if (finite) REQUIRE(std::memcmp(got.data() + scales, expected.data() + scales, groups_of(dtype, n) * sizeof(float)) == 0);
        });
        if (!finite) {
          const Matrix m = make_matrix(16, n, 2, dtype);
          CHECK(std::isnan(run_matmul(scalar(), m, x, n, 1, Epilogue::none, 16).out[0]));
        }
      }
    }
  }
}

TEST_CASE("kernels: GELU, erf and exp stay within a few ulp over their whole range") {
  const size_t n = 4001;
  Matrix m = make_matrix(16, 1, 5);
  for (size_t lane = 0; lane < 16; ++lane) m.rows[lane] = lane == 0 ? 1.0f : 0.0f;
  const float bias[16] = {};
  pack_panel(DType::f32, m.rows.data(), bias, 1, m.bytes.data());
  std::vector<float> x(n);
  for (size_t i = 0; i < n; ++i) x[i] = (static_cast<float>(i) - 2000.0f) * 0.01f;
  for (const Epilogue epilogue : {Epilogue::gelu_tanh, Epilogue::gelu_erf}) {
    const MatmulRun run = run_matmul(scalar(), m, x, 1, n, epilogue, 1);
    for (size_t i = 0; i < n; ++i) {
      const double expected = epilogue_double(epilogue, x[i], 0);
      const double error = std::abs(run.out[i * 32] - expected);
      REQUIRE_MESSAGE(error <= 1e-7 + 3e-7 * std::abs(expected), "x " << x[i] << " got " << run.out[i * 32]);
    }
  }
}

TEST_CASE("kernels: of outputs as large the arg-max is the lowest, in whatever order the panels come") {
  const auto check = [](const KernelTable& table) {
    Matrix m = make_matrix(80, 48, 8);
    for (size_t p = 1; p < 5; ++p) {  // five panels of the same outputs
      std::memcpy(m.bytes.data() + p * panel_bytes(DType::f32, 48), m.bytes.data(), panel_bytes(DType::f32, 48));
    }
    const std::vector<float> x = make_x(2 * 48, 4);
    const MatmulRun expected = run_matmul(scalar(), m, x, 48, 2, Epilogue::none, 80);
    std::vector<ArgmaxLanes> lanes(2);
    for (ArgmaxLanes& l : lanes) clear_argmax(l);
    for (const size_t panel : {size_t{3}, size_t{1}, size_t{4}, size_t{0}, size_t{2}}) {
      MatmulArgs args = {};
      args.w = m.panels;
      args.panel_begin = panel;
      args.panel_end = panel + 1;
      args.x = static_cast<const unsigned char*>(static_cast<const void*>(x.data()));
      args.x_stride = 48 * sizeof(float);
      args.n_rows = 2;
      args.argmax = lanes.data();
      args.n_valid = 80;
      table.matmul(args);
    }
    float value = 0;
    CHECK(finish_argmax(lanes[0], &value) < 16);
    CHECK(std::memcmp(lanes.data(), expected.argmax.data(), 2 * sizeof(ArgmaxLanes)) == 0);
  };
  check(scalar());
  each_tier(check);
}

TEST_CASE("kernels: extreme inputs give the same bits on every tier, and NaN stays NaN") {
  const float inf = std::numeric_limits<float>::infinity();
  const std::vector<float> x = {0.0f, -0.0f, 1e-45f, -1e-40f, 1e38f, -1e38f, 88.0f, -88.0f, 300.0f, -300.0f,
                                inf,  -inf,  std::nanf(""), 5.0f, -5.0f, 1e-20f};
  Matrix m = make_matrix(16, 1, 6);
  const float bias[16] = {};
  for (size_t lane = 0; lane < 16; ++lane) m.rows[lane] = 1.0f;
  pack_panel(DType::f32, m.rows.data(), bias, 1, m.bytes.data());
  for (const Epilogue epilogue : kEpilogues) {
    const MatmulRun expected = run_matmul(scalar(), m, x, 1, x.size(), epilogue, 16);
    CHECK(std::isnan(expected.out[12 * 32]));
    CHECK(expected.argmax[12].nonfinite == 1);
    CHECK(expected.argmax[10].nonfinite == 1);
    CHECK(expected.argmax[13].nonfinite == 0);
    each_tier([&](const KernelTable& table) {
      const MatmulRun got = run_matmul(table, m, x, 1, x.size(), epilogue, 16);
      for (size_t i = 0; i < got.out.size(); ++i) {
        const bool both_nan = std::isnan(got.out[i]) && std::isnan(expected.out[i]);
        REQUIRE((both_nan || float_bits(got.out[i]) == float_bits(expected.out[i])));
      }
      for (size_t r = 0; r < x.size(); ++r) CHECK(got.argmax[r].nonfinite == expected.argmax[r].nonfinite);
    });
  }
}

TEST_CASE("kernels: layer norm equals double loops, and scalar's bits on every tier") {
  for (const size_t n : kNormLengths) {
    const std::vector<float> x = make_x(n + 1, n), weight = make_x(n, n + 1), bias = make_x(n, n + 2);
    std::vector<float> expected(n + 1, kGuard);
    scalar().layer_norm(x.data() + 1, weight.data(), bias.data(), n, 1e-5f, expected.data());
    double mean = 0, variance = 0;
    for (size_t i = 0; i < n; ++i) mean += x[i + 1] / static_cast<double>(n);
    for (size_t i = 0; i < n; ++i) variance += (x[i + 1] - mean) * (x[i + 1] - mean) / static_cast<double>(n);
    for (size_t i = 0; i < n; ++i) {
      const double y = (x[i + 1] - mean) / std::sqrt(variance + 1e-5) * weight[i] + bias[i];
      const double error = std::abs(expected[i] - y);
      REQUIRE_MESSAGE(error <= 3e-5, "n " << n << " i " << i);
    }
    each_tier([&](const KernelTable& table) {
      std::vector<float> got(n + 1, kGuard);
      table.layer_norm(x.data() + 1, weight.data(), bias.data(), n, 1e-5f, got.data());
      REQUIRE_MESSAGE(same_bits(got, expected), "n " << n);
    });
  }
}

TEST_CASE("kernels: scalar attention equals a softmax in double") {
  for (const AttentionCase& c : kAttentionCases) {
    const AttentionData data = make_attention(c);
    const std::vector<float> got = run_attention(scalar(), c, data, KvType::f32);
    for (size_t r = 0; r < c.n_rows; ++r) {
      const size_t n_seen = c.first_position + r + 1;
      std::vector<double> p(n_seen);
      double sum = 0;
      for (size_t j = 0; j < n_seen; ++j) {
        double score = 0;
        for (size_t d = 0; d < c.d_head; ++d) score += double{data.q[r * data.stride + d]} * data.k[j * data.d_pad + d];
        sum += p[j] = std::exp(score * 0.3f);
      }
      for (size_t d = 0; d < c.d_head; ++d) {
        double out = 0;
        for (size_t j = 0; j < n_seen; ++j) out += p[j] / sum * data.v[j * data.d_pad + d];
        const double error = std::abs(got[r * (c.d_head + 3) + d] - out);
        REQUIRE_MESSAGE(error <= 2e-5, "d_head " << c.d_head << " row " << r << " d " << d);
      }
      REQUIRE(got[r * (c.d_head + 3) + c.d_head] == kGuard);
    }
  }
}

TEST_CASE("kernels: every tier's attention has scalar's bits, in one call or row by row, f32 and f16") {
  for (const KvType type : {KvType::f32, KvType::f16}) {
    for (const AttentionCase& c : kAttentionCases) {
      const AttentionData data = make_attention(c);
      const std::vector<float> expected = run_attention(scalar(), c, data, type);
      each_tier([&](const KernelTable& table) {
        const std::vector<float> got = run_attention(table, c, data, type);
        REQUIRE_MESSAGE(same_bits(got, expected), "d_head " << c.d_head << " first " << c.first_position);
      });
    }
  }
}

TEST_CASE("kernels: attention of a row does not depend on the rows beside it") {
  const AttentionCase whole = {64, 0, 150};
  const AttentionData data = make_attention(whole);
  const auto check = [&](const KernelTable& table) {
    const std::vector<float> expected = run_attention(table, whole, data, KvType::f32);
    for (const size_t r : {0, 1, 62, 63, 64, 65, 127, 128, 149}) {
      const AttentionCase one = {64, r, 1};
      AttentionData alone = data;
      alone.n_positions = r + 1;
      alone.q.erase(alone.q.begin(), alone.q.begin() + static_cast<ptrdiff_t>(r * data.stride));
      const std::vector<float> got = run_attention(table, one, alone, KvType::f32);
      REQUIRE(std::memcmp(got.data(), expected.data() + r * 67, 64 * sizeof(float)) == 0);
    }
  };
  check(scalar());
  each_tier(check);
}

TEST_CASE("kernels: f16 and bf16 round to nearest even, and back exactly") {
  for (uint32_t h = 0; h < 65536; ++h) {
    const float f = f16_to_float(static_cast<uint16_t>(h)), b = bf16_to_float(static_cast<uint16_t>(h));
    if (!std::isnan(f)) REQUIRE(float_to_f16(f) == h);
    if (!std::isnan(b)) REQUIRE(float_to_bf16(b) == h);
  }
  CHECK(float_to_f16(65519.9f) == 0x7BFF);
  CHECK(float_to_f16(65520.0f) == 0x7C00);
  CHECK(float_to_f16(1.0f + 0x1p-11f) == 0x3C00);                // tie to even
  CHECK(float_to_f16(1.0f + 3 * 0x1p-11f) == 0x3C02);            // tie to even
  CHECK(float_to_f16(0x1p-25f) == 0);                            // tie to zero
  CHECK(float_to_f16(0x1.8p-25f) == 1);
  CHECK(std::isnan(f16_to_float(float_to_f16(std::nanf("")))));
  CHECK(float_to_bf16(1.0f + 0x1p-8f) == 0x3F80);
  CHECK(float_to_bf16(std::numeric_limits<float>::max()) == 0x7F80);
}
