#include "src/model/attention.h"

#include "src/base/portable_math.h"

namespace gpt2 {

void turns_of(uint32_t position, std::span<const float> frequencies, float* out) noexcept {
  const size_t half = frequencies.size();
  for (size_t i = 0; i < half; ++i) {
    const SineCosine angle = portable_sincos(static_cast<float>(position) * frequencies[i]);
    out[i] = static_cast<float>(angle.cosine);
    out[half + i] = static_cast<float>(angle.sine);
  }
}

void LayerAttention::keep(const KernelTable& kernels, size_t group, Range rows) const noexcept {
  const KvSequence& sequence = sequence_of(rows);
  const KvLayout& kv = sequence.layout();
  for (size_t r = rows.begin; r < rows.end; ++r) {
    float* first = group_of(r, group);                     // [n_rep + 2, d_pad]
    float* k = first + size_t{config.n_rep()} * kv.d_pad;  // [d_pad], v behind it
    if (turns.rows() > 0) {
      const float *cosines = turns.row(r).data(), *sines = cosines + kv.d_pad / 2;
      for (float* head = first; head <= k; head += kv.d_pad) kernels.rotate(head, cosines, sines, kv.d_pad / 2);
    }
    const size_t position = batch.rows[r].position;
    unsigned char* block = sequence.blocks()[position / kBlockPositions];
    kernels.store_kv(k, k + kv.d_pad, kv.d_pad, kv.type, position % kBlockPositions,
                     block + kv.k_offset(layer, group), block + kv.v_offset(layer, group));
  }
}

void LayerAttention::attend(const KernelTable& kernels, size_t group, Range mine, Range rows) const noexcept {
  const KvSequence& sequence = sequence_of(rows);
  const KvLayout& kv = sequence.layout();
  AttentionArgs args = {};
  args.q = group_of(rows.begin, group) + mine.begin * kv.d_pad;
  args.q_stride = qkv.stride();
  args.n_rows = rows.size();
  args.n_heads = mine.size();
  args.first_position = batch.rows[rows.begin].position;
  args.window = config.window(layer);
  args.blocks = sequence.blocks().data();
  args.k_offset = kv.k_offset(layer, group);
  args.v_offset = kv.v_offset(layer, group);
  args.d_head = config.d_head;
  args.d_key = turns.rows() > 0 ? kv.d_pad : config.d_head;
  args.d_pad = kv.d_pad;
  args.scale = scale;
  args.kv_type = kv.type;
  args.out = heads.row(rows.begin).data() + (group * config.n_rep() + mine.begin) * config.d_head;
  args.out_stride = heads.stride();
  kernels.attention(args);
}

}  // namespace gpt2
