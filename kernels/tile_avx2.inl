// The register tile for AVX2: 6 rows x 1 panel (two ymm) keep 12 accumulators, a line and a broadcast in 16 registers.
namespace gpt2 {
namespace {

static constexpr int kTileRows = 6, kTilePanels = 1;  // many rows
static constexpr int kGemvPanels = 4;                 // one row: four streams of weights
static constexpr int kAttentionRows = 6, kAttentionPanels = 1;

// The tiles of few rows fetch the next panel of f32 and bf16 while they compute (product.inl): without it 8 rows of f32
// took the time to read the weights and then the time to multiply them, 12 operations a cycle of 32.
static constexpr bool kFetchAhead = true;

struct F32Peak {
  static constexpr const char* kText = "vfmadd231ps ymm";
  using Register = __m256;
  static constexpr size_t kChains = 12, kOperations = 16;
  GPT2_INLINE Register start(float value) { return _mm256_set1_ps(value); }
  GPT2_INLINE void step(Register& acc, Register w, Register x) { acc = _mm256_fmadd_ps(acc, x, w); }
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
      const __m256 xr = _mm256_broadcast_ss(x + static_cast<size_t>(r) * x_stride + k);
#pragma GCC unroll 8
      for (int p = 0; p < kPanels; ++p) {
        acc[r][p].a = _mm256_fmadd_ps(w[p].a, xr, acc[r][p].a);
        acc[r][p].b = _mm256_fmadd_ps(w[p].b, xr, acc[r][p].b);
      }
    }
  }
}

}  // namespace
}  // namespace gpt2
