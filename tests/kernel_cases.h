// The shapes at which every kernel of every tier is compared with scalar, and timed by bench/: lengths around the vector
// width, the smallest models, and the real ones.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gpt2::test {

struct MatmulCase {
  const char* name;
  size_t n_outputs, n_inputs;
};
inline constexpr MatmulCase kSmallMatmuls[] = {{"3x48", 3, 48},     {"16x1", 16, 1},      {"17x15", 17, 15},
                                               {"48x48", 48, 48},   {"144x48", 144, 48},  {"97x33", 97, 33},
                                               {"192x192", 192, 192}, {"64x257", 64, 257}};
inline constexpr MatmulCase kRealMatmuls[] = {{"124M c_attn", 2304, 768}, {"124M c_proj", 768, 768},
                                              {"124M c_fc", 3072, 768},   {"124M mlp.c_proj", 768, 3072},
                                              {"355M c_fc", 4096, 1024},  {"355M mlp.c_proj", 1024, 4096}};
inline constexpr size_t kRowCounts[] = {1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 16, 25, 64};

inline constexpr size_t kNormLengths[] = {1, 3, 15, 16, 17, 31, 33, 48, 192, 768, 1024, 1600};

struct AttentionCase {
  size_t d_head, first_position, n_rows;
};
inline constexpr AttentionCase kAttentionCases[] = {{16, 0, 1},   {16, 0, 7},   {64, 0, 64},  {64, 63, 1},   {64, 64, 1},
                                                    {64, 5, 70},  {64, 100, 1}, {64, 60, 9},  {24, 0, 20},   {80, 130, 5},
                                                    {128, 1, 67}, {5, 3, 4},    {64, 0, 200}, {64, 1023, 1}};

// A small generator of repeatable numbers: values around `scale`, both signs.
class Numbers {
 public:
  explicit Numbers(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15u + 1) {}
  uint32_t bits() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return static_cast<uint32_t>(state_ >> 32);
  }
  // Sum of four uniforms: roughly normal with this standard deviation.
  float next(float scale = 1.0f) {
    float sum = -2.0f;
    for (int i = 0; i < 4; ++i) sum += static_cast<float>(bits() >> 8) * 0x1p-24f;
    return sum * scale * 1.7320508f;
  }

 private:
  uint64_t state_;
};

}  // namespace gpt2::test
