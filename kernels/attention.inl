// Causal attention over the blocked cache: q k^T and p v are the register tile of the matrix product, the softmax goes
// online from block to block (Milakov & Gimelshein 2018). The queries of a tile are rows of the heads that share keys
// and values, position by position, so that a line of the cache is read once for all of them. Tiles never straddle a
// block of positions: all queries of a tile see the same last block, in part, and with a window each its own first one.
namespace gpt2 {
namespace {

static constexpr size_t kBlockPanels = kBlockPositions / kPanelRows;

// The queries of one tile: what the online softmax carries, and the scores of the current block.
struct AttentionTile {
  float max[kAttentionRows], sum[kAttentionRows];
  size_t begin[kAttentionRows], end[kAttentionRows];  // positions of the current block that each sees; both ascend
  alignas(64) float p[kAttentionRows][kBlockPositions];
  alignas(64) float out[kAttentionRows][kMaxDHead];
};

// The queries of a tile, at one stride: where they lie, or gathered where a tile reaches over several positions.
struct Queries {
  const float* q;
  size_t stride;
};

// p = q k^T for panels [begin, begin + kPanels) of a block.
template <int kRows, int kPanels, class Line>
GPT2_INLINE void scores(const AttentionArgs& args, const Queries& queries, const unsigned char* k_plane, size_t begin,
                        AttentionTile& t) {
  V16 acc[kRows][kPanels];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int i = 0; i < kPanels; ++i) acc[r][i] = set16(0.0f);
  }
  const size_t panel_stride = args.d_pad * Line::kBytes;
  tile<kRows, kPanels, Line>(acc, k_plane + begin * panel_stride, Line::kBytes, panel_stride, queries.q, queries.stride,
                             args.d_key);
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int i = 0; i < kPanels; ++i) {
      store16(&t.p[r][(begin + static_cast<size_t>(i)) * kPanelRows], mul16(acc[r][i], set16(args.scale)));
    }
  }
}

GPT2_INLINE V16 select_seen(size_t first, size_t begin, size_t end, V16 x, V16 otherwise) {
  x = select16(first_lanes(end > first ? end - first : 0), x, otherwise);
  return begin > first ? select16(first_lanes(begin - first), otherwise, x) : x;
}

// Turns query r's scores of the positions that it sees, of which there are some, into weights and rescales what it has
// gathered so far.
GPT2_INLINE void softmax_row(size_t r, size_t d_pad, AttentionTile& t) {
  const V16 low = set16(-__builtin_inff());
  const size_t begin = t.begin[r], end = t.end[r];
  V16 s[kBlockPanels];
  V16 max = low;
#pragma GCC unroll 4
  for (size_t i = 0; i < kBlockPanels; ++i) {
    s[i] = select_seen(i * kPanelRows, begin, end, load16(&t.p[r][i * kPanelRows]), low);
    max = at_least16(max, s[i]);
  }
  const float block_max = max16(max);
  const float new_max = block_max > t.max[r] ? block_max : t.max[r];
  V16 sum = set16(0.0f);
#pragma GCC unroll 4
  for (size_t i = 0; i < kBlockPanels; ++i) {
    const V16 p = select_seen(i * kPanelRows, begin, end, exp16(sub16(s[i], set16(new_max))), set16(0.0f));
    store16(&t.p[r][i * kPanelRows], p);
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
    for (int i = 0; i < kPanels; ++i)
      acc[r][i] = load16(&t.out[row + static_cast<size_t>(r)][d + 16 * static_cast<size_t>(i)]);
  }
  const size_t item = Line::kBytes / 16;
  tile<kRows, kPanels, Line>(acc, v_plane + (begin * d_pad + d) * item, d_pad * item, Line::kBytes, &t.p[row][begin],
                             kBlockPositions, end - begin);
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int i = 0; i < kPanels; ++i)
      store16(&t.out[row + static_cast<size_t>(r)][d + 16 * static_cast<size_t>(i)], acc[r][i]);
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

// The values that each query of a tile sees, ascending: those that all see together, the others alone.
template <int kRows, class Line>
GPT2_INLINE void add_seen_values(const AttentionArgs& args, const unsigned char* v_plane, AttentionTile& t) {
  const size_t begin = t.begin[kRows - 1], end = t.end[0];
  if (begin >= end) {
    for (size_t r = 0; r < kRows; ++r) {
      if (t.begin[r] < t.end[r]) add_value_rows<1, Line>(args, v_plane, t.begin[r], t.end[r], r, t);
    }
    return;
  }
  for (size_t r = 0; r + 1 < kRows && t.begin[r] < begin; ++r) {
    add_value_rows<1, Line>(args, v_plane, t.begin[r], begin, r, t);
  }
  add_value_rows<kRows, Line>(args, v_plane, begin, end, 0, t);
  for (size_t r = 1; r < kRows; ++r) {
    if (t.end[r] > end) add_value_rows<1, Line>(args, v_plane, end, t.end[r], r, t);
  }
}

// One block of 64 positions for one tile of queries.
template <int kRows, class Line>
void attend_block(const AttentionArgs& args, const Queries& queries, const unsigned char* block, AttentionTile& t) {
  const size_t panels = (t.end[kRows - 1] + kPanelRows - 1) / kPanelRows;
  size_t panel = t.begin[0] / kPanelRows;
  // One row waits for memory: its keys are read in one stream, panel after panel, 7 % of a step of 8 to 16 sequences.
  if constexpr (kRows > 1) {
    for (; panel + kAttentionPanels <= panels; panel += kAttentionPanels) {
      scores<kRows, kAttentionPanels, Line>(args, queries, block + args.k_offset, panel, t);
    }
  }
  for (; panel < panels; ++panel) scores<kRows, 1, Line>(args, queries, block + args.k_offset, panel, t);
  for (size_t r = 0; r < kRows; ++r) {
    if (t.begin[r] < t.end[r]) softmax_row(r, args.d_pad, t);
  }
  add_seen_values<kRows, Line>(args, block + args.v_offset, t);
}

// Query i of the call is head i % n_heads of row i / n_heads.
GPT2_INLINE size_t position_of(const AttentionArgs& args, size_t query) {
  return args.first_position + query / args.n_heads;
}
GPT2_INLINE const float* query_at(const AttentionArgs& args, size_t query) {
  return args.q + query / args.n_heads * args.q_stride + query % args.n_heads * args.d_pad;
}
GPT2_INLINE size_t first_seen(const AttentionArgs& args, size_t position) {
  return args.window > 0 && position + 1 > args.window ? position + 1 - args.window : 0;
}

GPT2_INLINE void start_tile(const AttentionArgs& args, size_t n, AttentionTile& t) {
  for (size_t r = 0; r < n; ++r) {
    t.max[r] = -__builtin_inff();
    t.sum[r] = 0.0f;
    for (size_t d = 0; d < args.d_pad; d += 16) store16(&t.out[r][d], set16(0.0f));
  }
}

// Block b for the tile that begins with `query`.
template <int kRows, class Line>
GPT2_INLINE void step_tile(const AttentionArgs& args, const Queries& queries, size_t query, size_t b,
                           AttentionTile& t) {
  const size_t start = b * kBlockPositions, last_block = position_of(args, query) / kBlockPositions;
  for (size_t r = 0; r < kRows; ++r) {
    const size_t position = position_of(args, query + r), first = first_seen(args, position);
    t.begin[r] = first <= start ? 0 : first - start < kBlockPositions ? first - start : kBlockPositions;
    t.end[r] = b < last_block ? kBlockPositions : position - start + 1;
  }
  attend_block<kRows, Line>(args, queries, args.blocks[b], t);
}

GPT2_INLINE void finish_tile(const AttentionArgs& args, size_t n, size_t query, const AttentionTile& t) {
  for (size_t r = 0; r < n; ++r) {
    float* out = args.out + (query + r) / args.n_heads * args.out_stride + (query + r) % args.n_heads * args.d_head;
    for (size_t d = 0; d < args.d_head; d += 16) {
      store16_first(out + d, first_lanes(args.d_head - d), div16(load16(&t.out[r][d]), set16(t.sum[r])));
    }
  }
}

template <int kRows, class Line>
void attend_queries(const AttentionArgs& args, const Queries& queries, size_t query, AttentionTile& t) {
  start_tile(args, kRows, t);
  const size_t last_block = position_of(args, query) / kBlockPositions;
  for (size_t b = first_seen(args, position_of(args, query)) / kBlockPositions; b <= last_block; ++b) {
    step_tile<kRows, Line>(args, queries, query, b, t);
  }
  finish_tile(args, kRows, query, t);
}

template <int kRows, class Line>
void attend_tile(const AttentionArgs& args, size_t query) {
  AttentionTile t;
  if (args.n_heads == 1) return attend_queries<kRows, Line>(args, {query_at(args, query), args.q_stride}, query, t);
  if (query % args.n_heads + kRows <= args.n_heads) {
    return attend_queries<kRows, Line>(args, {query_at(args, query), args.d_pad}, query, t);
  }
  alignas(64) float gathered[kRows][kMaxDHead];
  for (size_t r = 0; r < kRows; ++r) {
    const float* q = query_at(args, query + r);
    for (size_t d = 0; d < args.d_pad; d += 16) store16(&gathered[r][d], load16(q + d));
  }
  attend_queries<kRows, Line>(args, {gathered[0], kMaxDHead}, query, t);
}

template <class Line, int kRows = kAttentionRows>
GPT2_INLINE void attend_some(const AttentionArgs& args, size_t n, size_t query) {
  if constexpr (kRows > 1) {
    if (n < kRows) return attend_some<Line, kRows - 1>(args, n, query);
  }
  attend_tile<kRows, Line>(args, query);
}

template <class Line, int kRows = kAttentionRows>
GPT2_INLINE void step_some(const AttentionArgs& args, size_t n, size_t query, size_t b, AttentionTile& t) {
  if constexpr (kRows > 1) {
    if (n < kRows) return step_some<Line, kRows - 1>(args, n, query, b, t);
  }
  step_tile<kRows, Line>(args, {query_at(args, query), args.d_pad}, query, b, t);
}

// One row of more heads than a tile holds: block after block for all of them, so that a block comes from memory once.
template <class Line>
void attend_one_row(const AttentionArgs& args) {
  constexpr size_t kTiles = 8, kMost = kTiles * kAttentionRows;
  AttentionTile tiles[kTiles];
  const size_t position = args.first_position;
  for (size_t first = 0; first < args.n_heads; first += kMost) {
    const size_t n = args.n_heads - first < kMost ? args.n_heads - first : kMost;
    const auto rows_of = [n](size_t i) { return n - i < kAttentionRows ? n - i : kAttentionRows; };
    for (size_t i = 0; i < n; i += kAttentionRows) start_tile(args, rows_of(i), tiles[i / kAttentionRows]);
    for (size_t b = first_seen(args, position) / kBlockPositions; b <= position / kBlockPositions; ++b) {
      for (size_t i = 0; i < n; i += kAttentionRows) {
        step_some<Line>(args, rows_of(i), first + i, b, tiles[i / kAttentionRows]);
      }
    }
    for (size_t i = 0; i < n; i += kAttentionRows) finish_tile(args, rows_of(i), first + i, tiles[i / kAttentionRows]);
  }
}

template <class Line>
void attention_over(const AttentionArgs& args) {
  if (args.n_rows == 1 && args.n_heads > kAttentionRows) return attend_one_row<Line>(args);
  const size_t n_queries = args.n_rows * args.n_heads;
  for (size_t query = 0; query < n_queries;) {
    const size_t rows_left = kBlockPositions - position_of(args, query) % kBlockPositions;
    const size_t in_block = rows_left * args.n_heads - query % args.n_heads;
    const size_t left = n_queries - query < in_block ? n_queries - query : in_block;
    const size_t n = left < kAttentionRows ? left : kAttentionRows;
    attend_some<Line>(args, n, query);
    query += n;
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
