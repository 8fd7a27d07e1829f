// Rotary positions: pairs stand half a head apart, so two vectors turn with no shuffle (Su et al. 2021).
namespace gpt2 {
namespace {

void rotate(float* x, const float* cosines, const float* sines, size_t half) noexcept {
  for (size_t i = 0; i < half; i += 16) {
    const V16 a = load16(x + i), b = load16(x + half + i), c = load16(cosines + i), s = load16(sines + i);
    store16(x + i, fma16(a, c, sub16(set16(0.0f), mul16(b, s))));
    store16(x + half + i, fma16(b, c, mul16(a, s)));
  }
}

}  // namespace
}  // namespace gpt2
