// bf16 weights by vdpbf16ps: pairs of bf16 products added to f32. Activations are rounded to bf16 too, for one row and
// for many; this instruction rounds in its own way, so bf16 has the same bits within this tier only.
namespace gpt2 {
namespace {

GPT2_INLINE __m512bh as_bf16(__m512i bits) { return reinterpret_cast<__m512bh>(bits); }

// n_cols bf16, and a zero behind an odd one.
GPT2_INLINE void prepare_bf16(const float* x, size_t n_cols, unsigned char* row) {
  for (size_t i = 0; i < n_cols; i += 16) {
    const V16 values = i + 16 <= n_cols ? load16(x + i) : load16_first(x + i, first_lanes(n_cols - i));
    _mm256_storeu_si256(static_cast<__m256i*>(static_cast<void*>(row + i * sizeof(uint16_t))),
                        reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(values)));
  }
}

struct Bf16Peak {
  static constexpr const char* kText = "vdpbf16ps zmm";
  using Register = __m512;
  static constexpr size_t kChains = 12, kOperations = 64;
  GPT2_INLINE Register start(float value) { return _mm512_set1_ps(value); }
  GPT2_INLINE void step(Register& acc, Register w, Register x) {
    acc = _mm512_dpbf16_ps(acc, as_bf16(_mm512_castps_si512(w)), as_bf16(_mm512_castps_si512(x)));
  }
};

struct Bf16Product {
  static constexpr int kOneRowPanels = 4;
  static constexpr TileShape kTiles[] = {{12, 2}};
  template <int kR, int kP>
  GPT2_INLINE void add(V16 (&acc)[kR][kP], const MatmulArgs& args, const unsigned char* panel, size_t bytes,
                       const unsigned char* x, const Ahead& /*ahead*/) {
    const unsigned char* lines = panel + panel_lines_offset(DType::bf16, args.w.n_cols);
    for (size_t k = 0; k < args.w.n_cols; k += 2, lines += kLineBytes, x += 2 * sizeof(uint16_t)) {
      I16 w[kP];
#pragma GCC unroll 8
      for (int p = 0; p < kP; ++p) w[p] = iload16(lines + static_cast<size_t>(p) * bytes);
#pragma GCC unroll 16
      for (int r = 0; r < kR; ++r) {
        int32_t pair;
        __builtin_memcpy(&pair, x + static_cast<size_t>(r) * args.x_stride, sizeof pair);
        const I16 xr = _mm512_set1_epi32(pair);
#pragma GCC unroll 8
        for (int p = 0; p < kP; ++p) acc[r][p] = _mm512_dpbf16_ps(acc[r][p], as_bf16(w[p]), as_bf16(xr));
      }
    }
  }
};

}  // namespace
}  // namespace gpt2
