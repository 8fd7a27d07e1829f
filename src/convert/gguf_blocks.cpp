#include "src/convert/gguf_blocks.h"

#include <cstring>

#include "kernels/float_types.h"
#include "src/base/error.h"

namespace gpt2 {
namespace {

constexpr size_t kSmallBlock = 32, kBlock = 256;  // weights

uint8_t byte_at(const std::byte* block, size_t i) { return static_cast<uint8_t>(block[i]); }
uint16_t bits16(const std::byte* block, size_t i) {
  return static_cast<uint16_t>(byte_at(block, i) | byte_at(block, i + 1) << 8);
}
uint32_t bits32(const std::byte* block, size_t i) {
  return bits16(block, i) | static_cast<uint32_t>(bits16(block, i + 2)) << 16;
}
float half(const std::byte* block, size_t i) { return f16_to_float(bits16(block, i)); }

// Nibble i of a block of 32: the low halves of 16 bytes, then the high ones.
uint32_t nibble(const std::byte* codes, size_t i) { return byte_at(codes, i % 16) >> (i < 16 ? 0 : 4) & 15u; }

// IQ4's table of values.
constexpr int8_t kNonLinear[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

// d x (code - 8): f16 d, 16 bytes of nibbles.
void decode_q4_0(const std::byte* block, float* out) {
  const ScaledCodes codes = scaled_codes(GgufType::q4_0, block);
  for (size_t i = 0; i < kSmallBlock; ++i) out[i] = f16_to_float(codes.scale) * static_cast<float>(codes.codes[i]);
}

// d x code + m: f16 d, f16 m, 16 bytes of nibbles.
void decode_q4_1(const std::byte* block, float* out) {
  const float d = half(block, 0), m = half(block, 2);
  for (size_t i = 0; i < kSmallBlock; ++i) {
    const float product = d * static_cast<float>(nibble(block + 4, i));
    out[i] = product + m;
  }
}

// d x (code - 16): f16 d, 32 fifth bits, 16 bytes of nibbles.
void decode_q5_0(const std::byte* block, float* out) {
  const ScaledCodes codes = scaled_codes(GgufType::q5_0, block);
  for (size_t i = 0; i < kSmallBlock; ++i) out[i] = f16_to_float(codes.scale) * static_cast<float>(codes.codes[i]);
}

// d x code + m: f16 d, f16 m, 32 fifth bits, 16 bytes of nibbles.
void decode_q5_1(const std::byte* block, float* out) {
  const float d = half(block, 0), m = half(block, 2);
  const uint32_t high = bits32(block, 4);
  for (size_t i = 0; i < kSmallBlock; ++i) {
    const float product = d * static_cast<float>(nibble(block + 8, i) | (high >> i & 1u) << 4);
    out[i] = product + m;
  }
}

// d x code: f16 d, 32 signed bytes.
void decode_q8_0(const std::byte* block, float* out) {
  const ScaledCodes codes = scaled_codes(GgufType::q8_0, block);
  for (size_t i = 0; i < kSmallBlock; ++i) out[i] = static_cast<float>(codes.codes[i]) * f16_to_float(codes.scale);
}

// 16 groups of 16: (d x low nibble) x code - (dmin x high nibble); 16 scale bytes, 64 bytes of 2-bit codes, f16 d, f16
// dmin.
void decode_q2_k(const std::byte* block, float* out) {
  const float d = half(block, 80), dmin = half(block, 82);
  for (size_t i = 0; i < kBlock; ++i) {
    const uint32_t scales = byte_at(block, i / 16);
    const float scale = d * static_cast<float>(scales & 15u), least = dmin * static_cast<float>(scales >> 4);
    const size_t half_block = i / 128, shift = i % 128 / 32 * 2;
    const float product = scale * static_cast<float>(byte_at(block, 16 + half_block * 32 + i % 32) >> shift & 3u);
    out[i] = product - least;
  }
}

// 16 groups of 16: (d x scale) x code; 32 bytes of inverted third bits, 64 bytes of 2-bit codes, 12 bytes of 6-bit
// scales, f16 d.
void decode_q3_k(const std::byte* block, float* out) {
  const std::byte* packed = block + 96;
  const float d = half(block, 108);
  for (size_t i = 0; i < kBlock; ++i) {
    const size_t group = i / 16;
    const uint32_t low = byte_at(packed, group % 8) >> (group < 8 ? 0 : 4) & 15u;
    const uint32_t high = byte_at(packed, 8 + group % 4) >> (group / 4 * 2) & 3u;
    const float scale = d * static_cast<float>(static_cast<int32_t>(low | high << 4) - 32);
    const size_t part = i / 32;  // its bit in the masks
    const int32_t code = byte_at(block, 32 + i / 128 * 32 + i % 32) >> (part % 4 * 2) & 3;
    const int32_t less = (byte_at(block, i % 32) >> part & 1) != 0 ? 0 : 4;
    out[i] = scale * static_cast<float>(code - less);
  }
}

// Scale and minimum of group 0..7, 6 bits each, in 12 bytes.
struct ScaleMin {
  float scale, least;
};
ScaleMin scale_min(const std::byte* packed, size_t group) {
  if (group < 4)
    return {static_cast<float>(byte_at(packed, group) & 63u), static_cast<float>(byte_at(packed, group + 4) & 63u)};
  const uint32_t both = byte_at(packed, group + 4);
  return {static_cast<float>((both & 15u) | (byte_at(packed, group - 4) >> 6) << 4),
          static_cast<float>(both >> 4 | (byte_at(packed, group) >> 6) << 4)};
}

// 8 groups of 32: (d x scale) x code - (dmin x minimum); f16 d, f16 dmin, 12 bytes of scales, then for Q5_K 32 bytes of
// fifth bits, 128 bytes of nibbles.
void decode_q4_k_or_q5_k(const std::byte* block, bool has_fifth_bits, float* out) {
  const float d = half(block, 0), dmin = half(block, 2);
  const std::byte* fifth = block + 16;
  const std::byte* nibbles = has_fifth_bits ? block + 48 : block + 16;
  for (size_t i = 0; i < kBlock; ++i) {
    const size_t group = i / 32;
    const ScaleMin packed = scale_min(block + 4, group);
    const float scale = d * packed.scale, least = dmin * packed.least;
    uint32_t code = byte_at(nibbles, i / 64 * 32 + i % 32) >> (group % 2 * 4) & 15u;
    if (has_fifth_bits) code |= (byte_at(fifth, i % 32) >> group & 1u) << 4;
    const float product = scale * static_cast<float>(code);
    out[i] = product - least;
  }
}
void decode_q4_k(const std::byte* block, float* out) { decode_q4_k_or_q5_k(block, false, out); }
void decode_q5_k(const std::byte* block, float* out) { decode_q4_k_or_q5_k(block, true, out); }

// 16 groups of 16: (d x scale) x (code - 32); 128 bytes of nibbles, 64 bytes of 2 high bits, 16 signed scales, f16 d.
void decode_q6_k(const std::byte* block, float* out) {
  const float d = half(block, 208);
  for (size_t i = 0; i < kBlock; ++i) {
    const size_t half_block = i / 128, within = i % 128;
    const uint32_t low = byte_at(block, half_block * 64 + within % 64) >> (within < 64 ? 0 : 4) & 15u;
    const uint32_t high = byte_at(block, 128 + half_block * 32 + within % 32) >> (within / 32 * 2) & 3u;
    const float scale = d * static_cast<float>(static_cast<int8_t>(byte_at(block, 192 + i / 16)));
    out[i] = scale * static_cast<float>(static_cast<int32_t>(low | high << 4) - 32);
  }
}

// d x table[code]: f16 d, 16 bytes of nibbles.
void decode_iq4_nl(const std::byte* block, float* out) {
  const ScaledCodes codes = scaled_codes(GgufType::iq4_nl, block);
  for (size_t i = 0; i < kSmallBlock; ++i) out[i] = f16_to_float(codes.scale) * static_cast<float>(codes.codes[i]);
}

// 8 groups of 32: (d x (scale - 32)) x table[code]; f16 d, 16 bits of high scale bits, 4 bytes of low ones, 128 bytes
// of nibbles.
void decode_iq4_xs(const std::byte* block, float* out) {
  const float d = half(block, 0);
  const uint32_t high_bits = bits16(block, 2);
  for (size_t group = 0; group < 8; ++group) {
    const uint32_t low = byte_at(block, 4 + group / 2) >> (group % 2 * 4) & 15u, high = high_bits >> (group * 2) & 3u;
    const float scale = d * static_cast<float>(static_cast<int32_t>(low | high << 4) - 32);
    const std::byte* codes = block + 8 + group * 16;
    for (size_t i = 0; i < kSmallBlock; ++i)
      out[group * 32 + i] = scale * static_cast<float>(kNonLinear[nibble(codes, i)]);
  }
}

void decode_f32(const std::byte* block, float* out) { std::memcpy(out, block, sizeof *out); }
void decode_f16(const std::byte* block, float* out) { *out = half(block, 0); }
void decode_bf16(const std::byte* block, float* out) { *out = bf16_to_float(bits16(block, 0)); }
void decode_f64(const std::byte* block, float* out) {
  double value;
  std::memcpy(&value, block, sizeof value);
  *out = static_cast<float>(value);
}

using Decode = void (*)(const std::byte* block, float* out);
struct Decoder {
  GgufType type;
  Decode decode;
};
constexpr Decoder kDecoders[] = {
    {GgufType::f32, decode_f32},       {GgufType::f16, decode_f16},       {GgufType::bf16, decode_bf16},
    {GgufType::f64, decode_f64},       {GgufType::q4_0, decode_q4_0},     {GgufType::q4_1, decode_q4_1},
    {GgufType::q5_0, decode_q5_0},     {GgufType::q5_1, decode_q5_1},     {GgufType::q8_0, decode_q8_0},
    {GgufType::q2_k, decode_q2_k},     {GgufType::q3_k, decode_q3_k},     {GgufType::q4_k, decode_q4_k},
    {GgufType::q5_k, decode_q5_k},     {GgufType::q6_k, decode_q6_k},     {GgufType::iq4_nl, decode_iq4_nl},
    {GgufType::iq4_xs, decode_iq4_xs},
};

Decode find_decoder(GgufType type) {
  for (const Decoder& decoder : kDecoders) {
    if (decoder.type == type) return decoder.decode;
  }
  return nullptr;
}

}  // namespace

bool can_decode(GgufType type) { return find_decoder(type) != nullptr; }

void decode_blocks(GgufType type, std::span<const std::byte> blocks, std::span<float> out) {
  const Decode decode = find_decoder(type);
  const GgufTypeInfo& info = gguf_type_info(type);
  GPT2_CHECK(decode != nullptr && out.size() % info.weights == 0 &&
             blocks.size() == out.size() / info.weights * info.bytes);
  for (size_t i = 0; i < out.size() / info.weights; ++i)
    decode(blocks.data() + i * info.bytes, out.data() + i * info.weights);
}

bool has_scaled_codes(GgufType type) {
  return type == GgufType::q4_0 || type == GgufType::q5_0 || type == GgufType::q8_0 || type == GgufType::iq4_nl;
}

ScaledCodes scaled_codes(GgufType type, const std::byte* block) {
  GPT2_CHECK(has_scaled_codes(type));
  ScaledCodes result;
  result.scale = bits16(block, 0);
  const uint32_t fifth = type == GgufType::q5_0 ? bits32(block, 2) : 0;
  for (size_t i = 0; i < kSmallBlock; ++i) {
    int32_t code = 0;
    switch (type) {
      case GgufType::q4_0: code = static_cast<int32_t>(nibble(block + 2, i)) - 8; break;
      case GgufType::q5_0: code = static_cast<int32_t>(nibble(block + 6, i) | (fifth >> i & 1u) << 4) - 16; break;
      case GgufType::iq4_nl: code = kNonLinear[nibble(block + 2, i)]; break;
      default: code = static_cast<int8_t>(byte_at(block, 2 + i));
    }
    result.codes[i] = static_cast<int8_t>(code);
  }
  return result;
}

}  // namespace gpt2
