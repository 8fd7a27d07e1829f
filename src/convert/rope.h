// By how many radians a position the pairs of a head turn: what checkpoints say of it (a base, and how it is scaled),
// the table that the model file has, and the way back.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace gpt2 {

struct RopeScaling {
  enum class Kind : uint8_t { none, linear, llama3 };
  Kind kind = Kind::none;
  double factor = 1;
  double low = 1, high = 4, original = 1;  // llama3: the wavelengths between which the factor sets in
};

struct Rope {
  double base = 10000;
  RopeScaling scaling;

  // Returns the frequency of a pair of `dims` values that turn.
  double frequency(uint32_t pair, uint32_t dims) const;
};

// Returns the rope whose frequencies, rounded to f32, are the first dims / 2 of the table, bit for bit: of those with
// short decimals for numbers the first that is found. Nothing if there is none.
std::optional<Rope> find_rope(std::span<const float> table, uint32_t dims);
// Returns the base of short decimals that gives most of the table's pairs from the first one on, bit for bit.
double find_rope_base(std::span<const float> table, uint32_t dims);

}  // namespace gpt2
