// 16 lanes of float on AVX-512: one zmm. The thin layer under the shared texts (*.inl); every tier has the same names.
#pragma once

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/layout.h"

#define GPT2_INLINE static inline __attribute__((always_inline))
// A register whose value the compiler may not reason about.
#define GPT2_OPAQUE(value) __asm__ volatile("" : "+v"(value))

namespace gpt2 {
namespace {

using V16 = __m512;
using M16 = __mmask16;

GPT2_INLINE V16 set16(float x) { return _mm512_set1_ps(x); }
GPT2_INLINE V16 load16(const void* p) { return _mm512_loadu_ps(p); }
GPT2_INLINE void store16(void* p, V16 v) { _mm512_storeu_ps(p, v); }
GPT2_INLINE M16 first_lanes(size_t n) { return static_cast<M16>(n >= 16 ? 0xFFFF : (1u << n) - 1); }
GPT2_INLINE V16 load16_first(const void* p, M16 lanes) { return _mm512_maskz_loadu_ps(lanes, p); }
GPT2_INLINE void store16_first(void* p, M16 lanes, V16 v) { _mm512_mask_storeu_ps(p, lanes, v); }
GPT2_INLINE V16 load16_f16(const void* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
}
GPT2_INLINE void store16_f16(void* p, V16 v) {
  _mm256_storeu_si256(static_cast<__m256i*>(p), _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

// Lanes 0-7 of gates times lanes 8-15 of values.
GPT2_INLINE void store_gated8(float* p, V16 gates, V16 values) {
  _mm256_storeu_ps(p, _mm256_mul_ps(_mm512_castps512_ps256(gates), _mm512_extractf32x8_ps(values, 1)));
}

GPT2_INLINE V16 add16(V16 a, V16 b) { return _mm512_add_ps(a, b); }
GPT2_INLINE V16 sub16(V16 a, V16 b) { return _mm512_sub_ps(a, b); }
GPT2_INLINE V16 mul16(V16 a, V16 b) { return _mm512_mul_ps(a, b); }
GPT2_INLINE V16 div16(V16 a, V16 b) { return _mm512_div_ps(a, b); }
GPT2_INLINE V16 fma16(V16 a, V16 b, V16 c) { return _mm512_fmadd_ps(a, b, c); }
// Returns the larger (smaller) of limit and x; a NaN in x passes.
GPT2_INLINE V16 at_least16(V16 limit, V16 x) { return _mm512_max_ps(limit, x); }
GPT2_INLINE V16 at_most16(V16 limit, V16 x) { return _mm512_min_ps(limit, x); }
GPT2_INLINE M16 less16(V16 a, V16 b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
GPT2_INLINE V16 select16(M16 lanes, V16 yes, V16 no) { return _mm512_mask_blend_ps(lanes, no, yes); }
GPT2_INLINE V16 abs16(V16 x) { return _mm512_andnot_ps(_mm512_set1_ps(-0.0f), x); }
GPT2_INLINE V16 sign_of16(V16 x) { return _mm512_and_ps(_mm512_set1_ps(-0.0f), x); }
GPT2_INLINE V16 or16(V16 a, V16 b) { return _mm512_or_ps(a, b); }
// p * 2^n where t = magic + n carries n in its low bits.
GPT2_INLINE V16 scale_by_exponent16(V16 p, V16 t) {
  return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p), _mm512_slli_epi32(_mm512_castps_si512(t), 23)));
}
// All lanes finite?
GPT2_INLINE bool all_finite16(V16 v, M16 lanes) {
  return (_mm512_cmp_ps_mask(_mm512_sub_ps(v, v), _mm512_setzero_ps(), _CMP_EQ_OQ) & lanes) == lanes;
}
// Where v > best among `lanes`, or as large and in a lower panel: best = v, which = panel.
GPT2_INLINE void update_best16(V16 v, M16 lanes, int32_t panel, float* best, int32_t* which) {
  const V16 old = _mm512_load_ps(best);
  const M16 lower = _mm512_mask_cmpgt_epi32_mask(lanes, _mm512_load_si512(which), _mm512_set1_epi32(panel));
  const M16 ties = _mm512_mask_cmp_ps_mask(lower, v, old, _CMP_EQ_OQ);
  const M16 better = static_cast<M16>(ties | _mm512_mask_cmp_ps_mask(lanes, v, old, _CMP_GT_OQ));
  _mm512_mask_store_ps(best, better, v);
  _mm512_mask_store_epi32(which, better, _mm512_set1_epi32(panel));
}
// Lanes j + (j + 8), then + 4, + 2, + 1.
GPT2_INLINE float sum_tree16(V16 v) {
  const __m256 a = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
  const __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  const __m128 c = _mm_add_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_add_ss(c, _mm_movehdup_ps(c)));
}
GPT2_INLINE float max16(V16 v) { return _mm512_reduce_max_ps(v); }
// Returns the larger of two magnitudes by their bits, which for numbers is their order and above which stand infinity
// and NaN.
GPT2_INLINE V16 larger_bits16(V16 a, V16 b) {
  return _mm512_castsi512_ps(_mm512_max_epi32(_mm512_castps_si512(a), _mm512_castps_si512(b)));
}
GPT2_INLINE float largest_bits16(V16 v) {
  const __m512i bits = _mm512_castps_si512(v);
  const __m256i a = _mm256_max_epi32(_mm512_castsi512_si256(bits), _mm512_extracti32x8_epi32(bits, 1));
  const __m128i b = _mm_max_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  const __m128i c = _mm_max_epi32(b, _mm_unpackhi_epi64(b, b));
  return _mm_cvtss_f32(_mm_castsi128_ps(_mm_max_epi32(c, _mm_shuffle_epi32(c, 1))));
}
// 16 lanes of int32: one zmm.
using I16 = __m512i;
GPT2_INLINE I16 iset16(int32_t x) { return _mm512_set1_epi32(x); }
GPT2_INLINE I16 iload16(const void* p) { return _mm512_loadu_si512(p); }
GPT2_INLINE V16 to_float16(I16 x) { return _mm512_cvtepi32_ps(x); }
// Whole numbers of -128..127 as bytes.
GPT2_INLINE void store16_i8(void* p, V16 v) {
  _mm_storeu_si128(static_cast<__m128i*>(p), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(v)));
}
// Returns the two bf16 of each lane as float.
GPT2_INLINE V16 bf16_low16(const unsigned char* line) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(iload16(line), 16));
}
GPT2_INLINE V16 bf16_high16(const unsigned char* line) {
  return _mm512_castsi512_ps(_mm512_and_si512(iload16(line), _mm512_set1_epi32(static_cast<int32_t>(0xFFFF0000u))));
}
GPT2_INLINE void prefetch_line(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T1); }
GPT2_INLINE float sqrt1(float x) { return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x))); }

}  // namespace
}  // namespace gpt2
