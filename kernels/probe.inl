// The machine's limits: how fast lines can be read, how fast fma's retire. Text is shared; the lanes are the tier's.
namespace gpt2 {
namespace {

uint64_t probe_read(const unsigned char* data, size_t bytes) noexcept {
  constexpr size_t kStreams = 4;
  const size_t per_stream = bytes / kStreams / kLineBytes * kLineBytes;
  V16 sum[kStreams] = {set16(0.0f), set16(0.0f), set16(0.0f), set16(0.0f)};
  for (size_t i = 0; i < per_stream; i += kLineBytes) {
#pragma GCC unroll 4
    for (size_t s = 0; s < kStreams; ++s) sum[s] = or16(sum[s], load16(data + s * per_stream + i));
  }
  const V16 all = or16(or16(sum[0], sum[1]), or16(sum[2], sum[3]));
  alignas(64) uint64_t words[8];
  store16(words, all);
  return words[0] | words[1] | words[2] | words[3] | words[4] | words[5] | words[6] | words[7];
}

// As many chains at once as the registers hold (kProbeWidth, tile_*.inl), the same number of operations on every tier.
float probe_fma(size_t n) noexcept {
  static_assert(kProbeChains % kProbeWidth == 0);
  V16 acc[kProbeWidth];
  for (V16& a : acc) a = set16(1.0f);
  const V16 x = set16(0.999f), y = set16(0.5f);
  for (size_t i = 0; i < n * (kProbeChains / kProbeWidth); ++i) {
#pragma GCC unroll 12
    for (V16& a : acc) a = fma16(a, x, y);
  }
  V16 sum = acc[0];
  for (const V16& a : acc) sum = add16(sum, a);
  return sum_tree16(sum);
}

}  // namespace
}  // namespace gpt2
