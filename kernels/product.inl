// What the products of matmul.inl and dot_*.inl share.
namespace gpt2 {
namespace {

// Where the weights of the next group of panels stand, and which part of the row tiles this one is: the tiles of a
// group share the work of fetching the next one, so that reading goes on while the later tiles compute from cache.
struct Ahead {
  const unsigned char* panel;  // nullptr: none
  size_t tile, n_tiles;
};

// A register tile: rows of activations x panels of weights.
struct TileShape {
  int rows, panels;
};

// Calls part(first line, number of lines) for all lines of a panel in small parts, and before each fetches some lines
// of the next panels: all tiles together every line once, evenly, since a burst of requests waits for the memory
// (bursts of 16 lines cost 8 rows of f32 a quarter). Calls it once for all lines where nothing is to be fetched.
template <bool kFetch, int kP, class Part>
GPT2_INLINE void in_parts(size_t n_lines, size_t lines_offset, size_t bytes, const Ahead& ahead, Part&& part) {
  constexpr size_t kFewTiles = 16, kLeast = 4;  // lines of a part
  if (!kFetch || ahead.panel == nullptr || ahead.n_tiles > kFewTiles) return part(size_t{0}, n_lines);
  const size_t fetched = ahead.n_tiles >= kLeast ? 1 : kLeast / ahead.n_tiles, step = ahead.n_tiles * fetched;
  const unsigned char* next = ahead.panel + lines_offset + ahead.tile * kLineBytes;
  for (size_t first = 0; first < n_lines; first += step) {
    for (size_t i = 0; i < fetched; ++i, next += ahead.n_tiles * kLineBytes) {
#pragma GCC unroll 8
      for (int p = 0; p < kP; ++p) prefetch_line(next + static_cast<size_t>(p) * bytes);
    }
    part(first, n_lines - first < step ? n_lines - first : step);
  }
}

// How a tier keeps a row's codes of 8 bits: 16 of them at a time, from whole numbers of -127..127.
struct ByteCodes {
  static constexpr size_t kBytes = 1;
  GPT2_INLINE void store(unsigned char* p, V16 codes) { store16_i8(p, codes); }
};

// The usual order of a group: line after line, the weights of all panels are loaded and each row steps through them.
template <class Dot, size_t kLines, size_t kStep, int kR, int kP>
GPT2_INLINE void group_by_lines(I16 (&sums)[kR][kP], const int32_t (&offset)[kR], const unsigned char* lines,
                                size_t bytes, const unsigned char* x, size_t stride) {
  typename Dot::Acc acc[kR][kP];
#pragma GCC unroll 16
  for (int r = 0; r < kR; ++r) {
#pragma GCC unroll 8
    for (int p = 0; p < kP; ++p) acc[r][p] = Dot::start(offset[r]);
  }
#pragma GCC unroll 2
  for (size_t i = 0; i < kLines; ++i, lines += kLineBytes, x += kStep) {
    typename Dot::Line w[kP];
#pragma GCC unroll 8
    for (int p = 0; p < kP; ++p) w[p] = Dot::load(lines + static_cast<size_t>(p) * bytes);
#pragma GCC unroll 16
    for (int r = 0; r < kR; ++r) Dot::step(acc[r], w, x + static_cast<size_t>(r) * stride);
  }
#pragma GCC unroll 16
  for (int r = 0; r < kR; ++r) {
#pragma GCC unroll 8
    for (int p = 0; p < kP; ++p) sums[r][p] = Dot::finish(acc[r][p], offset[r]);
  }
}

}  // namespace
}  // namespace gpt2
