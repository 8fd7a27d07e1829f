// Matrices of codes and scales that others have chosen: every tier against scalar, bit for bit.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/float_types.h"
#include "kernels/kernels.h"
#include "kernels/panel_row.h"
#include "src/base/aligned_buffer.h"
#include "tests/kernel_cases.h"
#include "tests/kernel_tiers.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

constexpr size_t kOutputs = 48;

// Rows of -128, of 127 and of any codes; every other group has this scale.
AlignedBuffer<unsigned char> make_codes(size_t n_inputs, uint16_t special_scale) {
  constexpr DType kType = DType::int8g32;
  const size_t bytes = panel_bytes(kType, n_inputs);
  AlignedBuffer<unsigned char> panels(kOutputs / kPanelRows * bytes);
  Numbers numbers(special_scale);
  for (size_t i = 0; i < kOutputs; ++i) {
    std::vector<int8_t> codes(padded_k(kType, n_inputs)), codes_again(codes.size());
    std::vector<uint16_t> scales(groups_of(kType, n_inputs)), scales_again(scales.size());
    for (size_t k = 0; k < n_inputs; ++k) {
      const int any = static_cast<int>(numbers.bits() % 256) - 128;
      codes[k] = static_cast<int8_t>(i % 3 == 0 ? -128 : i % 3 == 1 ? 127 : any);
    }
    for (size_t g = 0; g < scales.size(); ++g) {
      scales[g] = g % 2 == 0 ? special_scale : static_cast<uint16_t>(0xA000 + i);
    }
    unsigned char* panel = panels.data() + i / kPanelRows * bytes;
    pack_codes(kType, codes.data(), scales.data(), n_inputs, i % kPanelRows, panel);
    unpack_codes(kType, panel, n_inputs, i % kPanelRows, codes_again.data(), scales_again.data());
    REQUIRE(codes_again == codes);
    REQUIRE(scales_again == scales);
    std::vector<float> values(n_inputs);
    unpack_row(kType, panel, n_inputs, i % kPanelRows, values.data());
    for (size_t k = 0; k < n_inputs; ++k) {
      const float expected = static_cast<float>(codes[k]) * f16_to_float(scales[k / 32]);
      REQUIRE((std::isnan(expected) ? std::isnan(values[k]) : float_bits(values[k]) == float_bits(expected)));
    }
  }
  return panels;
}

std::vector<float> multiply(const KernelTable& table, const AlignedBuffer<unsigned char>& panels, size_t n_inputs,
                            size_t n_rows) {
  const size_t bytes = prepared_row_bytes(DType::int8g32, n_inputs);
  AlignedBuffer<unsigned char> rows(n_rows * bytes);
  Numbers numbers(5);
  std::vector<float> x(n_inputs);
  for (size_t r = 0; r < n_rows; ++r) {
    // The largest sums first: codes of 127 and -127.
    for (size_t k = 0; k < n_inputs; ++k) x[k] = r == 0 ? 1.0f : r == 1 ? (k % 2 == 0 ? 1.0f : -1.0f) : numbers.next();
    table.prepare_row(DType::int8g32, x.data(), n_inputs, rows.data() + r * bytes);
  }
  AlignedBuffer<float> out(n_rows * kOutputs);
  MatmulArgs args = {};
  args.w = {panels.data(), DType::int8g32, kOutputs, static_cast<uint32_t>(n_inputs)};
  args.panel_end = n_panels(args.w);
  args.x = rows.data();
  args.x_stride = bytes;
  args.n_rows = n_rows;
  args.out = out.data();
  args.out_stride = kOutputs;
  table.matmul(args);
  return {out.span().begin(), out.span().end()};
}

}  // namespace

TEST_CASE("kernels: int8g32 holds all codes of 8 bits and any scale, with the same bits on every tier") {
  for (const uint16_t scale : {0x0000, 0x8000, 0x0001, 0x83FF, 0x3C00, 0xBC00, 0x7BFF, 0x7C00, 0xFC00, 0x7E00}) {
    for (const size_t n_inputs : {size_t{32}, size_t{70}, size_t{192}}) {
      const AlignedBuffer<unsigned char> panels = make_codes(n_inputs, scale);
      for (const size_t n_rows : {size_t{1}, size_t{2}, size_t{7}, size_t{13}}) {
        const std::vector<float> expected = multiply(scalar(), panels, n_inputs, n_rows);
        if (n_inputs == 32 && scale == 0x3C00) {
          REQUIRE(std::abs(expected[0] + 32 * 128) < 0.01f);
        }
        each_tier([&](const KernelTable& table) {
          const std::vector<float> got = multiply(table, panels, n_inputs, n_rows);
          for (size_t i = 0; i < got.size(); ++i) {
            const bool both_nan = std::isnan(got[i]) && std::isnan(expected[i]);
            REQUIRE((both_nan || float_bits(got[i]) == float_bits(expected[i])));
          }
        });
      }
    }
  }
}

TEST_CASE("kernels: the bytes of an int8g32 panel") {
  // 33 inputs are two groups: of row 3 the largest of the first is 127 steps of 1, of the second 127 of 1/2.
  constexpr size_t kInputs = 33, kLane = 3;
  std::vector<float> rows(kPanelRows * kInputs, 0.0f), bias(kPanelRows, 0.0f);
  for (size_t k = 0; k < 32; ++k) rows[kLane * kInputs + k] = static_cast<float>(k) - 16;
  rows[kLane * kInputs + 5] = -127;
  rows[kLane * kInputs + 32] = 63.5f;
  bias[kLane] = 2.5f;
  std::vector<unsigned char> panel(panel_bytes(DType::int8g32, kInputs));
  pack_panel(DType::int8g32, rows.data(), bias.data(), kInputs, panel.data());
  std::vector<unsigned char> expected(64 + 64 + 16 * 64, 0);
  for (size_t i = 128; i < expected.size(); ++i) expected[i] = 128;  // zeros
  std::memcpy(&expected[kLane * 4], &bias[kLane], 4);
  expected[64 + kLane * 2 + 1] = 0x3C;       // 1
  expected[64 + 32 + kLane * 2 + 1] = 0x38;  // 1/2
  for (size_t k = 0; k < 32; ++k) {
    expected[128 + k / 4 * 64 + kLane * 4 + k % 4] = static_cast<unsigned char>(k == 5 ? 1 : 112 + k);
  }
  expected[128 + 8 * 64 + kLane * 4] = 255;
  CHECK(panel == expected);
}
