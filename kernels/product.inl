// What the products of matmul.inl and dot_*.inl share.
namespace gpt2 {
namespace {

// Where the weights of the next group of panels stand, and which part of the row tiles this one is: the tiles of a group share the
// work of fetching the next one, so that reading goes on while the later tiles compute from cache.
struct Ahead {
  const unsigned char* panel;  // nullptr: none
  size_t tile, n_tiles;
};

// A register tile: rows of activations x panels of weights.
struct TileShape {
  int rows, panels;
};

// The usual order of a group: line after line, the weights of all panels are loaded and each row steps through them.
template <class Dot, size_t kLines, size_t kStep, int kR, int kP>
GPT2_INLINE void group_by_lines(I16 (&sums)[kR][kP], const int32_t (&offset)[kR], const unsigned char* lines, size_t bytes,
                                const unsigned char* x, size_t stride) {
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
