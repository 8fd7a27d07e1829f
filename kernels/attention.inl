// Causal attention over the blocked cache: q k^T and p v are the register tile of the matrix product, the softmax goes online
// from block to block (Milakov & Gimelshein 2018). Row tiles never straddle a block of positions, so all rows of a tile see
// the same blocks, and only the last of them in part.
namespace gpt2 {
namespace {

static constexpr size_t kBlockPanels = kBlockPositions / kPanelRows;

// The rows of one tile: what the online softmax carries, and the scores of the current block.
struct AttentionTile {
  float max[kAttentionRows], sum[kAttentionRows];
  alignas(64) float p[kAttentionRows][kBlockPositions];
  alignas(64) float out[kAttentionRows][kMaxDHead];
};

// p = q k^T for panels [begin, begin + kPanels) of a block.
template <int kRows, int kPanels, class Line>
GPT2_INLINE void scores(const AttentionArgs& args, const float* q, const unsigned char* k_plane, size_t begin,
                        AttentionTile& t) {
  V16 acc[kRows][kPanels];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int i = 0; i < kPanels; ++i) acc[r][i] = set16(0.0f);
  }
  const size_t panel_stride = args.d_pad * Line::kBytes;
  tile<kRows, kPanels, Line>(acc, k_plane + begin * panel_stride, Line::kBytes, panel_stride, q, args.q_stride, args.d_head);
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int i = 0; i < kPanels; ++i) {
      store16(&t.p[r][(begin + static_cast<size_t>(i)) * kPanelRows], mul16(acc[r][i], set16(args.scale)));
    }
  }
}

// Turns row r's scores of the first n_seen positions into weights and rescales what the row has gathered so far.
GPT2_INLINE void softmax_row(size_t r, size_t n_seen, size_t d_pad, AttentionTile& t) {
  const V16 low = set16(-__builtin_inff());
  V16 s[kBlockPanels];
  V16 max = low;
#pragma GCC unroll 4
  for (size_t i = 0; i < kBlockPanels; ++i) {
    const size_t first = i * kPanelRows;
    const M16 seen = first_lanes(n_seen > first ? n_seen - first : 0);
    s[i] = select16(seen, load16(&t.p[r][first]), low);
    max = at_least16(max, s[i]);
  }
  const float block_max = max16(max);
  const float new_max = block_max > t.max[r] ? block_max : t.max[r];
  V16 sum = set16(0.0f);
#pragma GCC unroll 4
  for (size_t i = 0; i < kBlockPanels; ++i) {
    const size_t first = i * kPanelRows;
    const M16 seen = first_lanes(n_seen > first ? n_seen - first : 0);
    const V16 p = select16(seen, exp16(sub16(s[i], set16(new_max))), set16(0.0f));
    store16(&t.p[r][first], p);
    sum = add16(sum, p);
  }
  const V16 rescale = exp16(set16(t.max[r] - new_max));
  alignas(64) float lanes[16];
  store16(lanes, fma16(set16(t.sum[r]), rescale, set16(sum_tree16(sum))));
  t.sum[r] = lanes[0];
  t.max[r] = new_max;
  for (size_t d = 0; d < d_pad; d += 16) store16(&t.out[r][d], mul16(load16(&t.out[r][d]), rescale));
}

// out[r][d] += sum over j in [begin, end) of p[r][j] v[j][d], for kPanels x 16 values of d.
template <int kRows, int kPanels, class Line>
GPT2_INLINE void add_values(size_t d_pad, const unsigned char* v_plane, size_t begin, size_t end, size_t row, size_t d,
                            AttentionTile& t) {
  V16 acc[kRows][kPanels];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int i = 0; i < kPanels; ++i) acc[r][i] = load16(&t.out[row + static_cast<size_t>(r)][d + 16 * static_cast<size_t>(i)]);
  }
  const size_t item = Line::kBytes / 16;
  tile<kRows, kPanels, Line>(acc, v_plane + (begin * d_pad + d) * item, d_pad * item, Line::kBytes, &t.p[row][begin],
                             kBlockPositions, end - begin);
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int i = 0; i < kPanels; ++i) store16(&t.out[row + static_cast<size_t>(r)][d + 16 * static_cast<size_t>(i)], acc[r][i]);
  }
}

template <int kRows, class Line>
void add_value_rows(const AttentionArgs& args, const unsigned char* v_plane, size_t begin, size_t end, size_t row,
                    AttentionTile& t) {
  constexpr size_t kWide = 16 * kAttentionPanels;
  size_t d = 0;
  for (; d + kWide <= args.d_pad; d += kWide) {
    add_values<kRows, kAttentionPanels, Line>(args.d_pad, v_plane, begin, end, row, d, t);
  }
  for (; d < args.d_pad; d += 16) add_values<kRows, 1, Line>(args.d_pad, v_plane, begin, end, row, d, t);
}

// One block of 64 positions for one tile of rows; the first row sees n_seen of them, each next row one more, none over 64.
template <int kRows, class Line>
void attend_block(const AttentionArgs& args, const float* q, const unsigned char* block, size_t n_seen, AttentionTile& t) {
  const size_t last_seen = n_seen + kRows - 1 < kBlockPositions ? n_seen + kRows - 1 : kBlockPositions;
  const size_t panels = (last_seen + kPanelRows - 1) / kPanelRows;
  size_t panel = 0;
  // One row waits for memory: its keys are read in one stream, panel after panel, which is 7 % of a step of 8 to 16 sequences.
  if constexpr (kRows > 1) {
    for (; panel + kAttentionPanels <= panels; panel += kAttentionPanels) {
      scores<kRows, kAttentionPanels, Line>(args, q, block + args.k_offset, panel, t);
    }
  }
  for (; panel < panels; ++panel) scores<kRows, 1, Line>(args, q, block + args.k_offset, panel, t);
  const unsigned char* v_plane = block + args.v_offset;
  for (size_t r = 0; r < kRows; ++r) {
    softmax_row(r, n_seen + r < kBlockPositions ? n_seen + r : kBlockPositions, args.d_pad, t);
  }
  add_value_rows<kRows, Line>(args, v_plane, 0, n_seen, 0, t);
  for (size_t r = 1; r < kRows && n_seen < kBlockPositions; ++r) {
    add_value_rows<1, Line>(args, v_plane, n_seen, n_seen + r, r, t);
  }
}

template <int kRows, class Line>
void attend_tile(const AttentionArgs& args, size_t row) {
  AttentionTile t;
  for (int r = 0; r < kRows; ++r) {
    t.max[r] = -__builtin_inff();
    t.sum[r] = 0.0f;
    for (size_t d = 0; d < args.d_pad; d += 16) store16(&t.out[r][d], set16(0.0f));
  }
  const float* q = args.q + row * args.q_stride;
  const size_t position = args.first_position + row, last_block = position / kBlockPositions;
  for (size_t b = 0; b < last_block; ++b) attend_block<kRows, Line>(args, q, args.blocks[b], kBlockPositions, t);
  attend_block<kRows, Line>(args, q, args.blocks[last_block], position % kBlockPositions + 1, t);
  for (size_t r = 0; r < kRows; ++r) {
    float* out = args.out + (row + r) * args.out_stride;
    for (size_t d = 0; d < args.d_head; d += 16) {
      store16_first(out + d, first_lanes(args.d_head - d), div16(load16(&t.out[r][d]), set16(t.sum[r])));
    }
  }
}

template <class Line, int kRows = kAttentionRows>
GPT2_INLINE void attend_rows(const AttentionArgs& args, size_t rows, size_t row) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return attend_rows<Line, kRows - 1>(args, rows, row);
  }
  attend_tile<kRows, Line>(args, row);
}

template <class Line>
void attention_over(const AttentionArgs& args) {
  for (size_t row = 0; row < args.n_rows;) {
    const size_t to_boundary = kBlockPositions - (args.first_position + row) % kBlockPositions;
    const size_t left = args.n_rows - row < to_boundary ? args.n_rows - row : to_boundary;
    const size_t rows = left < kAttentionRows ? left : kAttentionRows;
    attend_rows<Line>(args, rows, row);
    row += rows;
  }
}

void attention(const AttentionArgs& args) noexcept {
  if (args.kv_type == KvType::f32) return attention_over<LineF32>(args);
  attention_over<LineF16>(args);
}

template <class T>
GPT2_INLINE void scatter_key(const T* lane_values, size_t d, size_t d_pad, size_t position, unsigned char* k_plane) {
  for (size_t i = 0; i < 16; ++i) {
    const size_t index = (position / kPanelRows * d_pad + d + i) * kPanelRows + position % kPanelRows;
    __builtin_memcpy(k_plane + index * sizeof(T), &lane_values[i], sizeof(T));
  }
}

void store_kv(const float* k, const float* v, size_t d_pad, KvType type, size_t position, unsigned char* k_plane,
              unsigned char* v_plane) noexcept {
  for (size_t d = 0; d < d_pad; d += 16) {
    if (type == KvType::f32) {
      scatter_key(k + d, d, d_pad, position, k_plane);
      store16(v_plane + (position * d_pad + d) * sizeof(float), load16(v + d));
    } else {
      uint16_t halves[16];
      store16_f16(halves, load16(k + d));
      scatter_key(halves, d, d_pad, position, k_plane);
      store16_f16(v_plane + (position * d_pad + d) * sizeof(uint16_t), load16(v + d));
    }
  }
}

}  // namespace
}  // namespace gpt2
