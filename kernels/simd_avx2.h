// 16 lanes of float on AVX2: two ymm. The thin layer under the shared texts (*.inl); every tier has the same names.
#pragma once

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/layout.h"

#define GPT2_INLINE static inline __attribute__((always_inline))
// A register whose value the compiler may not reason about.
#define GPT2_OPAQUE(value) __asm__ volatile("" : "+x"(value))

namespace gpt2 {
namespace {

struct V16 {
  __m256 a, b;  // lanes 0-7, 8-15
};
using M16 = V16;  // all bits of a lane set or clear

GPT2_INLINE const float* floats(const void* p) { return static_cast<const float*>(p); }
GPT2_INLINE V16 set16(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
GPT2_INLINE V16 load16(const void* p) { return {_mm256_loadu_ps(floats(p)), _mm256_loadu_ps(floats(p) + 8)}; }
GPT2_INLINE void store16(void* p, V16 v) {
  _mm256_storeu_ps(static_cast<float*>(p), v.a);
  _mm256_storeu_ps(static_cast<float*>(p) + 8, v.b);
}
GPT2_INLINE M16 first_lanes(size_t n) {
  const __m256i count = _mm256_set1_epi32(static_cast<int>(n < 16 ? n : 16));
  const __m256i low = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), high = _mm256_add_epi32(low, _mm256_set1_epi32(8));
  return {_mm256_castsi256_ps(_mm256_cmpgt_epi32(count, low)), _mm256_castsi256_ps(_mm256_cmpgt_epi32(count, high))};
}
GPT2_INLINE V16 load16_first(const void* p, M16 lanes) {
  return {_mm256_maskload_ps(floats(p), _mm256_castps_si256(lanes.a)),
          _mm256_maskload_ps(floats(p) + 8, _mm256_castps_si256(lanes.b))};
}
GPT2_INLINE void store16_first(void* p, M16 lanes, V16 v) {
  _mm256_maskstore_ps(static_cast<float*>(p), _mm256_castps_si256(lanes.a), v.a);
  _mm256_maskstore_ps(static_cast<float*>(p) + 8, _mm256_castps_si256(lanes.b), v.b);
}
GPT2_INLINE V16 load16_f16(const void* p) {
  const __m128i* halves = static_cast<const __m128i*>(p);
  return {_mm256_cvtph_ps(_mm_loadu_si128(halves)), _mm256_cvtph_ps(_mm_loadu_si128(halves + 1))};
}
GPT2_INLINE void store16_f16(void* p, V16 v) {
  constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  __m128i* halves = static_cast<__m128i*>(p);
  _mm_storeu_si128(halves, _mm256_cvtps_ph(v.a, kNearest));
  _mm_storeu_si128(halves + 1, _mm256_cvtps_ph(v.b, kNearest));
}

// Lanes 0-7 of gates times lanes 8-15 of values.
GPT2_INLINE void store_gated8(float* p, V16 gates, V16 values) {
  _mm256_storeu_ps(p, _mm256_mul_ps(gates.a, values.b));
}

GPT2_INLINE V16 add16(V16 x, V16 y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
GPT2_INLINE V16 sub16(V16 x, V16 y) { return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)}; }
GPT2_INLINE V16 mul16(V16 x, V16 y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
GPT2_INLINE V16 div16(V16 x, V16 y) { return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)}; }
GPT2_INLINE V16 fma16(V16 x, V16 y, V16 z) { return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)}; }
// Returns the larger (smaller) of limit and x; a NaN in x passes.
GPT2_INLINE V16 at_least16(V16 limit, V16 x) { return {_mm256_max_ps(limit.a, x.a), _mm256_max_ps(limit.b, x.b)}; }
GPT2_INLINE V16 at_most16(V16 limit, V16 x) { return {_mm256_min_ps(limit.a, x.a), _mm256_min_ps(limit.b, x.b)}; }
GPT2_INLINE M16 less16(V16 x, V16 y) {
  return {_mm256_cmp_ps(x.a, y.a, _CMP_LT_OQ), _mm256_cmp_ps(x.b, y.b, _CMP_LT_OQ)};
}
GPT2_INLINE V16 select16(M16 lanes, V16 yes, V16 no) {
  return {_mm256_blendv_ps(no.a, yes.a, lanes.a), _mm256_blendv_ps(no.b, yes.b, lanes.b)};
}
GPT2_INLINE V16 abs16(V16 x) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, x.a), _mm256_andnot_ps(sign, x.b)};
}
GPT2_INLINE V16 sign_of16(V16 x) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_and_ps(sign, x.a), _mm256_and_ps(sign, x.b)};
}
GPT2_INLINE V16 or16(V16 x, V16 y) { return {_mm256_or_ps(x.a, y.a), _mm256_or_ps(x.b, y.b)}; }
// p * 2^n where t = magic + n carries n in its low bits.
GPT2_INLINE __m256 scale_by_exponent8(__m256 p, __m256 t) {
  return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), _mm256_slli_epi32(_mm256_castps_si256(t), 23)));
}
GPT2_INLINE V16 scale_by_exponent16(V16 p, V16 t) {
  return {scale_by_exponent8(p.a, t.a), scale_by_exponent8(p.b, t.b)};
}
// All lanes finite?
GPT2_INLINE bool all_finite16(V16 v, M16 lanes) {
  const __m256 zero = _mm256_setzero_ps();
  const __m256 a = _mm256_cmp_ps(_mm256_sub_ps(v.a, v.a), zero, _CMP_EQ_OQ);
  const __m256 b = _mm256_cmp_ps(_mm256_sub_ps(v.b, v.b), zero, _CMP_EQ_OQ);
  const __m256 bad = _mm256_or_ps(_mm256_andnot_ps(a, lanes.a), _mm256_andnot_ps(b, lanes.b));
  return _mm256_movemask_ps(bad) == 0;
}
// Where v > best among `lanes`, or as large and in a lower panel: best = v, which = panel.
GPT2_INLINE void update_best8(__m256 v, __m256 lanes, int32_t panel, float* best, int32_t* which) {
  const __m256 old = _mm256_load_ps(best);
  const __m256i old_panels = _mm256_load_si256(static_cast<const __m256i*>(static_cast<const void*>(which)));
  const __m256i lower = _mm256_cmpgt_epi32(old_panels, _mm256_set1_epi32(panel));
  const __m256 ties = _mm256_and_ps(_mm256_castsi256_ps(lower), _mm256_cmp_ps(v, old, _CMP_EQ_OQ));
  const __m256i better =
      _mm256_castps_si256(_mm256_and_ps(lanes, _mm256_or_ps(ties, _mm256_cmp_ps(v, old, _CMP_GT_OQ))));
  _mm256_maskstore_ps(best, better, v);
  _mm256_maskstore_epi32(which, better, _mm256_set1_epi32(panel));
}
GPT2_INLINE void update_best16(V16 v, M16 lanes, int32_t panel, float* best, int32_t* which) {
  update_best8(v.a, lanes.a, panel, best, which);
  update_best8(v.b, lanes.b, panel, best + 8, which + 8);
}
// Lanes j + (j + 8), then + 4, + 2, + 1.
GPT2_INLINE float sum_tree16(V16 v) {
  const __m256 a = _mm256_add_ps(v.a, v.b);
  const __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  const __m128 c = _mm_add_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_add_ss(c, _mm_movehdup_ps(c)));
}
GPT2_INLINE float max16(V16 v) {
  const __m256 a = _mm256_max_ps(v.a, v.b);
  const __m128 b = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  const __m128 c = _mm_max_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_max_ss(c, _mm_movehdup_ps(c)));
}
// Returns the larger of two magnitudes by their bits, which for numbers is their order and above which stand infinity
// and NaN.
GPT2_INLINE __m256 larger_bits8(__m256 a, __m256 b) {
  return _mm256_castsi256_ps(_mm256_max_epi32(_mm256_castps_si256(a), _mm256_castps_si256(b)));
}
GPT2_INLINE V16 larger_bits16(V16 a, V16 b) { return {larger_bits8(a.a, b.a), larger_bits8(a.b, b.b)}; }
GPT2_INLINE float largest_bits16(V16 v) {
  const __m256i a = _mm256_castps_si256(larger_bits8(v.a, v.b));
  const __m128i b = _mm_max_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  const __m128i c = _mm_max_epi32(b, _mm_unpackhi_epi64(b, b));
  return _mm_cvtss_f32(_mm_castsi128_ps(_mm_max_epi32(c, _mm_shuffle_epi32(c, 1))));
}
// 16 lanes of int32: two ymm.
struct I16 {
  __m256i a, b;  // lanes 0-7, 8-15
};
GPT2_INLINE I16 iset16(int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
GPT2_INLINE I16 iload16(const void* p) {
  const __m256i* words = static_cast<const __m256i*>(p);
  return {_mm256_loadu_si256(words), _mm256_loadu_si256(words + 1)};
}
GPT2_INLINE V16 to_float16(I16 x) { return {_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)}; }
// Whole numbers of -128..127 as bytes.
GPT2_INLINE void store16_i8(void* p, V16 v) {
  const __m256i words = _mm256_packs_epi32(_mm256_cvtps_epi32(v.a), _mm256_cvtps_epi32(v.b));  // 0-3 8-11 4-7 12-15
  const __m256i ordered = _mm256_permute4x64_epi64(words, 0xD8);
  _mm_storeu_si128(static_cast<__m128i*>(p),
                   _mm_packs_epi16(_mm256_castsi256_si128(ordered), _mm256_extracti128_si256(ordered, 1)));
}
GPT2_INLINE const __m256i& words8(const void* p) { return *static_cast<const __m256i*>(p); }
// The bits of `words` that a mask in memory keeps. In assembly because compilers keep the mask in a register, and spill
// a sum of the widest tiles for it.
struct Mask {
  alignas(32) uint64_t bits[4];
};
GPT2_INLINE __m256i masked(__m256i words, const Mask& mask) {
  __m256i kept;
  __asm__("vpand %2, %1, %0" : "=x"(kept) : "x"(words), "m"(mask));
  return kept;
}
// Returns the two bf16 of each lane of a line as float. The high ones are read again, for the same reason: 2 sums a
// line were spilled, and the tile of 6 rows took twice the time.
GPT2_INLINE V16 bf16_low16(const unsigned char* line) {
  return {_mm256_castsi256_ps(_mm256_slli_epi32(words8(line), 16)),
          _mm256_castsi256_ps(_mm256_slli_epi32(words8(line + 32), 16))};
}
static constexpr uint64_t kHighBits = 0xFFFF0000FFFF0000;
static constexpr Mask kHighHalves = {{kHighBits, kHighBits, kHighBits, kHighBits}};
GPT2_INLINE __m256 high_halves(const unsigned char* words) {
  __m256i kept;
  __asm__("vmovdqa %1, %0\n\tvpand %2, %0, %0" : "=x"(kept) : "m"(words8(words)), "m"(kHighHalves));
  return _mm256_castsi256_ps(kept);
}
GPT2_INLINE V16 bf16_high16(const unsigned char* line) { return {high_halves(line), high_halves(line + 32)}; }
GPT2_INLINE void prefetch_line(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T1); }
GPT2_INLINE float sqrt1(float x) { return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x))); }

}  // namespace
}  // namespace gpt2
