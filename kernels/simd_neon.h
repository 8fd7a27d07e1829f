// 16 lanes of float on NEON: four q registers. The thin layer under the shared texts (*.inl); every tier has the same
// names.
#pragma once

#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/layout.h"

#define GPT2_INLINE static inline __attribute__((always_inline))
// A register whose value the compiler may not reason about.
#define GPT2_OPAQUE(value) __asm__ volatile("" : "+w"(value))

namespace gpt2 {
namespace {

struct V16 {
  float32x4_t a, b, c, d;  // lanes 0-3, 4-7, 8-11, 12-15
};
struct M16 {
  uint32x4_t a, b, c, d;  // all bits of a lane set or clear
};
// 16 lanes of int32.
struct I16 {
  int32x4_t a, b, c, d;
};

GPT2_INLINE float32x4_t load4(const void* p) { return vld1q_f32(static_cast<const float*>(p)); }
GPT2_INLINE uint8x16_t load_bytes(const unsigned char* p) { return vld1q_u8(p); }
// A line of 64 bytes by its four parts: loaded before the first is used, or the compiler does not pair the loads.
GPT2_INLINE void load_line(uint8x16_t (&parts)[4], const unsigned char* p) {
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) parts[i] = vld1q_u8(p + 16 * i);
}
GPT2_INLINE V16 set16(float x) {
  const float32x4_t v = vdupq_n_f32(x);
  return {v, v, v, v};
}
GPT2_INLINE V16 load16(const void* p) {
  const float* x = static_cast<const float*>(p);
  return {vld1q_f32(x), vld1q_f32(x + 4), vld1q_f32(x + 8), vld1q_f32(x + 12)};
}
GPT2_INLINE void store16(void* p, V16 v) {
  float* x = static_cast<float*>(p);
  vst1q_f32(x, v.a);
  vst1q_f32(x + 4, v.b);
  vst1q_f32(x + 8, v.c);
  vst1q_f32(x + 12, v.d);
}
GPT2_INLINE M16 first_lanes(size_t n) {
  const uint32x4_t count = vdupq_n_u32(static_cast<uint32_t>(n < 16 ? n : 16)), four = vdupq_n_u32(4);
  const uint32x4_t a = {0, 1, 2, 3}, b = vaddq_u32(a, four), c = vaddq_u32(b, four), d = vaddq_u32(c, four);
  return {vcltq_u32(a, count), vcltq_u32(b, count), vcltq_u32(c, count), vcltq_u32(d, count)};
}
// Returns how many lanes are set.
GPT2_INLINE size_t count_lanes(M16 m) {
  return 0u - vaddvq_u32(vaddq_u32(vaddq_u32(m.a, m.b), vaddq_u32(m.c, m.d)));
}
// There are no masked loads and stores: the parts that exist go through the stack.
GPT2_INLINE V16 load16_first(const void* p, M16 lanes) {
  float whole[16] = {};
  __builtin_memcpy(whole, p, count_lanes(lanes) * sizeof(float));
  return load16(whole);
}
GPT2_INLINE void store16_first(void* p, M16 lanes, V16 v) {
  const size_t n = count_lanes(lanes);
  if (n == 16) return store16(p, v);
  float whole[16];
  store16(whole, v);
  __builtin_memcpy(p, whole, n * sizeof(float));
}
GPT2_INLINE V16 load16_f16(const void* p) {
  const uint16_t* halves = static_cast<const uint16_t*>(p);
  const float16x8_t low = vreinterpretq_f16_u16(vld1q_u16(halves)), high = vreinterpretq_f16_u16(vld1q_u16(halves + 8));
  return {vcvt_f32_f16(vget_low_f16(low)), vcvt_high_f32_f16(low), vcvt_f32_f16(vget_low_f16(high)),
          vcvt_high_f32_f16(high)};
}
GPT2_INLINE void store16_f16(void* p, V16 v) {
  uint16_t* halves = static_cast<uint16_t*>(p);
  vst1q_u16(halves, vreinterpretq_u16_f16(vcvt_high_f16_f32(vcvt_f16_f32(v.a), v.b)));
  vst1q_u16(halves + 8, vreinterpretq_u16_f16(vcvt_high_f16_f32(vcvt_f16_f32(v.c), v.d)));
}

// Lanes 0-7 of gates times lanes 8-15 of values.
GPT2_INLINE void store_gated8(float* p, V16 gates, V16 values) {
  vst1q_f32(p, vmulq_f32(gates.a, values.c));
  vst1q_f32(p + 4, vmulq_f32(gates.b, values.d));
}

GPT2_INLINE V16 add16(V16 x, V16 y) {
  return {vaddq_f32(x.a, y.a), vaddq_f32(x.b, y.b), vaddq_f32(x.c, y.c), vaddq_f32(x.d, y.d)};
}
GPT2_INLINE V16 sub16(V16 x, V16 y) {
  return {vsubq_f32(x.a, y.a), vsubq_f32(x.b, y.b), vsubq_f32(x.c, y.c), vsubq_f32(x.d, y.d)};
}
GPT2_INLINE V16 mul16(V16 x, V16 y) {
  return {vmulq_f32(x.a, y.a), vmulq_f32(x.b, y.b), vmulq_f32(x.c, y.c), vmulq_f32(x.d, y.d)};
}
GPT2_INLINE V16 div16(V16 x, V16 y) {
  return {vdivq_f32(x.a, y.a), vdivq_f32(x.b, y.b), vdivq_f32(x.c, y.c), vdivq_f32(x.d, y.d)};
}
GPT2_INLINE V16 fma16(V16 x, V16 y, V16 z) {
  return {vfmaq_f32(z.a, x.a, y.a), vfmaq_f32(z.b, x.b, y.b), vfmaq_f32(z.c, x.c, y.c), vfmaq_f32(z.d, x.d, y.d)};
}
// Returns the larger (smaller) of limit and x; a NaN in x passes, and so does the sign of a zero in x. fmax would order
// the zeros.
GPT2_INLINE float32x4_t at_least4(float32x4_t limit, float32x4_t x) { return vbslq_f32(vcltq_f32(x, limit), limit, x); }
GPT2_INLINE float32x4_t at_most4(float32x4_t limit, float32x4_t x) { return vbslq_f32(vcgtq_f32(x, limit), limit, x); }
GPT2_INLINE V16 at_least16(V16 limit, V16 x) {
  return {at_least4(limit.a, x.a), at_least4(limit.b, x.b), at_least4(limit.c, x.c), at_least4(limit.d, x.d)};
}
GPT2_INLINE V16 at_most16(V16 limit, V16 x) {
  return {at_most4(limit.a, x.a), at_most4(limit.b, x.b), at_most4(limit.c, x.c), at_most4(limit.d, x.d)};
}
GPT2_INLINE M16 less16(V16 x, V16 y) {
  return {vcltq_f32(x.a, y.a), vcltq_f32(x.b, y.b), vcltq_f32(x.c, y.c), vcltq_f32(x.d, y.d)};
}
GPT2_INLINE V16 select16(M16 lanes, V16 yes, V16 no) {
  return {vbslq_f32(lanes.a, yes.a, no.a), vbslq_f32(lanes.b, yes.b, no.b), vbslq_f32(lanes.c, yes.c, no.c),
          vbslq_f32(lanes.d, yes.d, no.d)};
}
GPT2_INLINE V16 abs16(V16 x) { return {vabsq_f32(x.a), vabsq_f32(x.b), vabsq_f32(x.c), vabsq_f32(x.d)}; }
GPT2_INLINE float32x4_t or4(float32x4_t x, float32x4_t y) {
  return vreinterpretq_f32_u32(vorrq_u32(vreinterpretq_u32_f32(x), vreinterpretq_u32_f32(y)));
}
GPT2_INLINE V16 or16(V16 x, V16 y) { return {or4(x.a, y.a), or4(x.b, y.b), or4(x.c, y.c), or4(x.d, y.d)}; }
GPT2_INLINE float32x4_t sign_of4(float32x4_t x) {
  return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(x), vdupq_n_u32(0x80000000u)));
}
GPT2_INLINE V16 sign_of16(V16 x) { return {sign_of4(x.a), sign_of4(x.b), sign_of4(x.c), sign_of4(x.d)}; }
// p * 2^n where t = magic + n carries n in its low bits.
GPT2_INLINE float32x4_t scale_by_exponent4(float32x4_t p, float32x4_t t) {
  return vreinterpretq_f32_u32(vaddq_u32(vreinterpretq_u32_f32(p), vshlq_n_u32(vreinterpretq_u32_f32(t), 23)));
}
GPT2_INLINE V16 scale_by_exponent16(V16 p, V16 t) {
  return {scale_by_exponent4(p.a, t.a), scale_by_exponent4(p.b, t.b), scale_by_exponent4(p.c, t.c),
          scale_by_exponent4(p.d, t.d)};
}
GPT2_INLINE uint32x4_t not_finite4(float32x4_t x, uint32x4_t lanes) {
  return vbicq_u32(lanes, vceqzq_f32(vsubq_f32(x, x)));
}
// All lanes finite?
GPT2_INLINE bool all_finite16(V16 v, M16 lanes) {
  const uint32x4_t bad = vorrq_u32(vorrq_u32(not_finite4(v.a, lanes.a), not_finite4(v.b, lanes.b)),
                                   vorrq_u32(not_finite4(v.c, lanes.c), not_finite4(v.d, lanes.d)));
  return vmaxvq_u32(bad) == 0;
}
// Where v > best among `lanes`, or as large and in a lower panel: best = v, which = panel.
GPT2_INLINE void update_best4(float32x4_t v, uint32x4_t lanes, int32_t panel, float* best, int32_t* which) {
  const float32x4_t old = vld1q_f32(best);
  const int32x4_t old_panels = vld1q_s32(which), panels = vdupq_n_s32(panel);
  const uint32x4_t ties = vandq_u32(vceqq_f32(v, old), vcgtq_s32(old_panels, panels));
  const uint32x4_t better = vandq_u32(lanes, vorrq_u32(vcgtq_f32(v, old), ties));
  vst1q_f32(best, vbslq_f32(better, v, old));
  vst1q_s32(which, vbslq_s32(better, panels, old_panels));
}
GPT2_INLINE void update_best16(V16 v, M16 lanes, int32_t panel, float* best, int32_t* which) {
  update_best4(v.a, lanes.a, panel, best, which);
  update_best4(v.b, lanes.b, panel, best + 4, which + 4);
  update_best4(v.c, lanes.c, panel, best + 8, which + 8);
  update_best4(v.d, lanes.d, panel, best + 12, which + 12);
}
// Lanes j + (j + 8), then + 4, + 2, + 1.
GPT2_INLINE float sum_tree16(V16 v) {
  const float32x4_t x = vaddq_f32(vaddq_f32(v.a, v.c), vaddq_f32(v.b, v.d));
  const float32x2_t y = vadd_f32(vget_low_f32(x), vget_high_f32(x));
  return vget_lane_f32(y, 0) + vget_lane_f32(y, 1);
}
GPT2_INLINE float max16(V16 v) { return vmaxvq_f32(vmaxq_f32(vmaxq_f32(v.a, v.b), vmaxq_f32(v.c, v.d))); }
// Returns the larger of two magnitudes by their bits, which for numbers is their order and above which stand infinity
// and NaN.
GPT2_INLINE float32x4_t larger_bits4(float32x4_t x, float32x4_t y) {
  return vreinterpretq_f32_u32(vmaxq_u32(vreinterpretq_u32_f32(x), vreinterpretq_u32_f32(y)));
}
GPT2_INLINE V16 larger_bits16(V16 x, V16 y) {
  return {larger_bits4(x.a, y.a), larger_bits4(x.b, y.b), larger_bits4(x.c, y.c), larger_bits4(x.d, y.d)};
}
GPT2_INLINE float largest_bits16(V16 v) {
  const uint32_t bits = vmaxvq_u32(vreinterpretq_u32_f32(larger_bits4(larger_bits4(v.a, v.b), larger_bits4(v.c, v.d))));
  float largest;
  __builtin_memcpy(&largest, &bits, sizeof largest);
  return largest;
}
GPT2_INLINE V16 to_float16(I16 x) {
  return {vcvtq_f32_s32(x.a), vcvtq_f32_s32(x.b), vcvtq_f32_s32(x.c), vcvtq_f32_s32(x.d)};
}
// Whole numbers of -128..127 as bytes.
GPT2_INLINE void store16_i8(void* p, V16 v) {
  const int16x8_t low = vqmovn_high_s32(vqmovn_s32(vcvtq_s32_f32(v.a)), vcvtq_s32_f32(v.b));
  const int16x8_t high = vqmovn_high_s32(vqmovn_s32(vcvtq_s32_f32(v.c)), vcvtq_s32_f32(v.d));
  vst1q_s8(static_cast<int8_t*>(p), vqmovn_high_s16(vqmovn_s16(low), high));
}
GPT2_INLINE void prefetch_line(const void* p) { __builtin_prefetch(p, 0, 2); }
GPT2_INLINE float sqrt1(float x) { return vget_lane_f32(vsqrt_f32(vdup_n_f32(x)), 0); }

}  // namespace
}  // namespace gpt2
