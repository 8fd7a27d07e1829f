// Logits that another program computed, and how far this one's are from them. Two forms: a JSON object a line, and
// safetensors. Everything in a file is bounded before it is used.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "src/engine/engine.h"

namespace gpt2 {

// A text and the logits after its tokens: after each, or after the last only.
struct GoldenText {
  std::string place;            // "FILE:3", "FILE: tokens.0": for messages
  std::vector<int32_t> tokens;  // 1 .. n_ctx, each below n_vocab
  size_t n_rows = 0;            // 1 or as many as there are tokens
  size_t n_vocab = 0;

  std::span<const std::byte> values;  // [n_rows, n_vocab], little-endian, at any alignment
  bool is_double = true;              // f64, else f32
  std::vector<double> own;            // what `values` views, where it was text

  // Writes the logits of row i of n_rows. Throws Error (exit 4) where one is not a finite number.
  void read_row(size_t i, std::span<double> logits) const;
};

// Returns the texts of a file's bytes, which outlive them. Throws Error (exit 4) that names file and item.
std::vector<GoldenText> read_golden(std::span<const std::byte> bytes, const std::string& name, const Config& config);

// One row against its golden.
struct RowDistance {
  double difference = 0;  // the largest absolute one
  double spread = 0;      // of the golden: largest minus smallest
  double kl = 0;          // KL(golden || here), nats
  bool same_top = false;
};

// Returns the distances of a text's rows.
std::vector<RowDistance> compare_golden(Engine& engine, const GoldenText& text);

}  // namespace gpt2
