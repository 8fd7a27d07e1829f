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

// Chains of one instruction sequence, as many as the registers hold. `Peak` (tile_*.inl, bf16_*.inl, dot_*.inl) names
// the register type, the number of chains, the operations of a step, and the step.
template <class Peak>
GPT2_INLINE double probe_chains(size_t n) {
  typename Peak::Register acc[Peak::kChains], w = Peak::start(0.5f), x = Peak::start(0.999f);
#pragma GCC unroll 12
  for (auto& a : acc) {
    a = Peak::start(1.0f);
    GPT2_OPAQUE(a);  // else all chains are one
  }
  for (size_t i = 0; i < n; ++i) {
    GPT2_OPAQUE(w);  // else the same product again
    GPT2_OPAQUE(x);
#pragma GCC unroll 12
    for (auto& a : acc) Peak::step(a, w, x);
  }
#pragma GCC unroll 12
  for (auto& a : acc) GPT2_OPAQUE(a);
  return static_cast<double>(n * Peak::kChains * Peak::kOperations);
}

double probe_peak(DType dtype, size_t n) noexcept {
  switch (dtype) {
    case DType::f32: return probe_chains<F32Peak>(n);
    case DType::bf16: return probe_chains<Bf16Peak>(n);
    case DType::int8:
    case DType::int8g32: return probe_chains<Int8Peak>(n);
    case DType::int4: return probe_chains<Int4Peak>(n);
  }
  return 0;
}

const char* probe_text(DType dtype) noexcept {
  switch (dtype) {
    case DType::f32: return F32Peak::kText;
    case DType::bf16: return Bf16Peak::kText;
    case DType::int8:
    case DType::int8g32: return Int8Peak::kText;
    case DType::int4: return Int4Peak::kText;
  }
  return "";
}

}  // namespace
}  // namespace gpt2
