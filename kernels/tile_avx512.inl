// The register tile for AVX-512: 12 rows x 2 panels keep 24 accumulators, 2 lines and a broadcast in 32 registers.
namespace gpt2 {
namespace {

static constexpr int kTileRows = 12, kTilePanels = 2;  // many rows
// One row: four streams of weights, which is all that reading needs (99 to 100 % of the read probe). Software prefetch
// 512 to 4096 bytes ahead cost 1 to 4 % in interleaved runs, transparent huge pages changed nothing: the hardware's
// prefetchers do.
static constexpr int kGemvPanels = 4;
static constexpr int kAttentionRows = 6, kAttentionPanels = 4;

// Not measured here: whether the tiles of few rows should fetch the next panel of f32 and bf16 (tile_avx2.inl).
static constexpr bool kFetchAhead = false;

struct F32Peak {
  static constexpr const char* kText = "vfmadd231ps zmm";
  using Register = __m512;
  static constexpr size_t kChains = 12, kOperations = 32;
  GPT2_INLINE Register start(float value) { return _mm512_set1_ps(value); }
  GPT2_INLINE void step(Register& acc, Register w, Register x) { acc = _mm512_fmadd_ps(acc, x, w); }
};

template <int kRows, int kPanels, class Line>
GPT2_INLINE void tile(V16 (&acc)[kRows][kPanels], const unsigned char* lines, size_t line_stride, size_t panel_stride,
                      const float* x, size_t x_stride, size_t n_k) {
  for (size_t k = 0; k < n_k; ++k, lines += line_stride) {
    V16 w[kPanels];
#pragma GCC unroll 8
    for (int p = 0; p < kPanels; ++p) w[p] = Line::load(lines + static_cast<size_t>(p) * panel_stride);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const V16 xr = set16(x[static_cast<size_t>(r) * x_stride + k]);
#pragma GCC unroll 8
      for (int p = 0; p < kPanels; ++p) acc[r][p] = fma16(w[p], xr, acc[r][p]);
    }
  }
}

}  // namespace
}  // namespace gpt2
