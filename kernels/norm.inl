// Layer norm (two passes) and RMS norm (one): sums in 16 lanes and one tree.
namespace gpt2 {
namespace {

void layer_norm(const float* x, const float* weight, const float* bias, size_t n, float epsilon, float* y) noexcept {
  const size_t whole = n / 16 * 16;
  const M16 rest = first_lanes(n - whole);
  V16 sum = set16(0.0f);
  for (size_t i = 0; i < whole; i += 16) sum = add16(sum, load16(x + i));
  if (whole < n) sum = add16(sum, load16_first(x + whole, rest));
  const float mean = sum_tree16(sum) / static_cast<float>(n);
  V16 squares = set16(0.0f);
  for (size_t i = 0; i < whole; i += 16) {
    const V16 d = sub16(load16(x + i), set16(mean));
    squares = fma16(d, d, squares);
  }
  if (whole < n) {
    const V16 d = select16(rest, sub16(load16_first(x + whole, rest), set16(mean)), set16(0.0f));
    squares = fma16(d, d, squares);
  }
  const float variance = sum_tree16(squares) / static_cast<float>(n);
  const V16 scale = set16(1.0f / sqrt1(variance + epsilon));
  for (size_t i = 0; i < whole; i += 16) {
    store16(y + i, fma16(mul16(sub16(load16(x + i), set16(mean)), scale), load16(weight + i), load16(bias + i)));
  }
  if (whole < n) {
    const V16 d = mul16(sub16(load16_first(x + whole, rest), set16(mean)), scale);
    store16_first(y + whole, rest, fma16(d, load16_first(weight + whole, rest), load16_first(bias + whole, rest)));
  }
}

void rms_norm(const float* x, const float* weight, size_t n, float epsilon, float* y) noexcept {
  const size_t whole = n / 16 * 16;
  const M16 rest = first_lanes(n - whole);
  V16 squares = set16(0.0f);
  for (size_t i = 0; i < whole; i += 16) squares = fma16(load16(x + i), load16(x + i), squares);
  if (whole < n) {
    const V16 last = load16_first(x + whole, rest);
    squares = fma16(last, last, squares);
  }
  const V16 scale = set16(1.0f / sqrt1(sum_tree16(squares) / static_cast<float>(n) + epsilon));
  for (size_t i = 0; i < whole; i += 16) store16(y + i, mul16(mul16(load16(x + i), scale), load16(weight + i)));
  if (whole < n) {
    const V16 last = mul16(load16_first(x + whole, rest), scale);
    store16_first(y + whole, rest, mul16(last, load16_first(weight + whole, rest)));
  }
}

}  // namespace
}  // namespace gpt2
