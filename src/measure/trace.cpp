#include "src/measure/trace.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/float_types.h"
#include "src/base/aligned_buffer.h"
#include "src/base/error.h"
#include "src/base/hash.h"
#include "src/base/portable_math.h"
#include "src/measure/row_logits.h"
#include "src/model/kv_cache.h"
#include "src/model/ops.h"
#include "src/model/row_map.h"

namespace gpt2 {
namespace {

const KernelTable& scalar_kernels() {
  const KernelTable* scalar = find_kernels("scalar");
  GPT2_CHECK(scalar != nullptr);
  return *scalar;
}

// n rows of values, each on a line of its own.
class Rows {
 public:
  Rows(size_t n, size_t cols)
      : n_(n), cols_(cols), stride_(round_up_size(cols, kPanelRows)), data_(n * stride_) {}
  size_t size() const { return n_; }
  size_t cols() const { return cols_; }
  float* operator[](size_t i) { return data_.data() + i * stride_; }
  const float* operator[](size_t i) const { return data_.data() + i * stride_; }
  std::span<const float> row(size_t i) const { return {data_.data() + i * stride_, cols_}; }

 private:
  size_t n_, cols_, stride_;
  AlignedBuffer<float> data_;
};

class TracePass {
 public:
  TracePass(const Model& model, std::span<const int32_t> tokens, const TraceOptions& options, const TraceWrite& write)
      : model_(model),
        c_(model.config()),
        w_(model.weights()),
        tokens_(tokens),
        n_(tokens.size()),
        products_(*options.products),
        write_(write),
        pool_(KvLayout(c_, options.kv_type), blocks_of(n_)),
        sequence_(pool_, c_.n_ctx) {
    GPT2_CHECK(sequence_.extend(static_cast<uint32_t>(n_)));
  }

  std::vector<uint64_t> run() {
    const bool parallel = c_.residual != Residual::serial;
    Rows x(n_, c_.n_embd);
    for (size_t r = 0; r < n_; ++r) {
      const float* position = c_.positions == Positions::learned ? w_.wpe.row(r).data() : nullptr;
      embed_row(w_.wte, static_cast<size_t>(tokens_[r]), c_.embedding_scale, position, x[r]);
    }
    put(x);
    for (uint32_t layer = 0; layer < c_.n_layer; ++layer) {
      const LayerWeights& h = w_.h[layer];
      const Rows heads = attention(layer, norm(h.ln_1, x));
      const Rows sum = plus(x, linear(h.attn_c_proj, heads, c_.n_embd, Epilogue::none));
      put(sum);
      const Rows& read = parallel ? x : sum;
      const Rows inner = c_.residual == Residual::parallel_one_norm
                             ? linear(h.mlp_c_fc, normed(h.ln_2, read), c_.n_inner, activation_of(c_))
                             : linear(h.mlp_c_fc, norm(h.ln_2, read), c_.n_inner, activation_of(c_));
      x = plus(sum, linear(h.mlp_c_proj, inner, c_.n_embd, Epilogue::none));
      put(x);
    }
    return head(norm(w_.ln_f, x));
  }

 private:
  // Hands on the next tensor.
  void put(const Rows& rows) {
    for (size_t r = 0; r < rows.size(); ++r) write_(next_, r * rows.cols(), rows.row(r));
    ++next_;
  }

  Rows normed(const NormWeights& weights, const Rows& x) const {
    Rows y(n_, x.cols());
    const KernelTable& scalar = scalar_kernels();
    for (size_t r = 0; r < n_; ++r) {
      const float* weight = weights.weight.data();
      if (weights.bias.empty()) {
        scalar.rms_norm(x[r], weight, x.cols(), weights.epsilon, y[r]);
      } else {
        scalar.layer_norm(x[r], weight, weights.bias.data(), x.cols(), weights.epsilon, y[r]);
      }
    }
    return y;
  }

  Rows norm(const NormWeights& weights, const Rows& x) {
    Rows y = normed(weights, x);
    put(y);
    return y;
  }

  // epilogue(x w^T + bias) of one row, `out` being as wide as whole panels.
  void linear_row(const Panels& w, const float* x, Epilogue epilogue, float* out) const {
    AlignedBuffer<unsigned char> prepared(prepared_row_bytes(w.dtype, w.n_cols));
    MatmulArgs args = {};
    args.w = w;
    args.panel_end = n_panels(w);
    if (is_prepared(w.dtype)) {
      products_.prepare_row(w.dtype, x, w.n_cols, prepared.data());
    } else {
      std::memcpy(prepared.data(), x, w.n_cols * sizeof(float));
    }
    args.x = prepared.data();
    args.x_stride = prepared.size();
    args.n_rows = 1;
    args.out = out;
    args.out_stride = n_panels(w) * outputs_of_panel(epilogue);
    args.epilogue = epilogue;
    products_.matmul(args);
  }

  // The first `cols` outputs, handed on.
  Rows linear(const Panels& w, const Rows& x, size_t cols, Epilogue epilogue) {
    Rows y(n_, cols);
    AlignedBuffer<float> out(n_panels(w) * outputs_of_panel(epilogue));
    for (size_t r = 0; r < n_; ++r) {
      linear_row(w, x[r], epilogue, out.data());
      std::copy_n(out.data(), cols, y[r]);
    }
    put(y);
    return y;
  }

  static Rows plus(const Rows& x, const Rows& y) {
    Rows sum(x.size(), x.cols());
    for (size_t r = 0; r < x.size(); ++r) {
      for (size_t i = 0; i < x.cols(); ++i) sum[r][i] = x[r][i] + y[r][i];
    }
    return sum;
  }

  // Returns the heads of a layer; hands on q, k, v, the probabilities and the heads.
  Rows attention(uint32_t layer, const Rows& in) {
    const Panels& w = w_.h[layer].attn_c_attn;
    Rows qkv(n_, w.n_rows);
    for (size_t r = 0; r < n_; ++r) {
      linear_row(w, in[r], Epilogue::none, qkv[r]);
      turn_and_store(layer, r, qkv[r]);
    }
    put_parts(layer, qkv);
    put_probabilities(layer, qkv);
    Rows heads(n_, size_t{c_.n_head} * c_.d_head);
    for (size_t r = 0; r < n_; ++r) {
      for (size_t group = 0; group < c_.n_kv_head; ++group) attend(layer, group, r, qkv[r], heads[r]);
    }
    put(heads);
    return heads;
  }

  size_t group_width() const { return (size_t{c_.n_rep()} + 2) * c_.d_pad(); }

  // Turns q's and k of a position, and writes k and v to the cache, which rounds them to its type.
  void turn_and_store(uint32_t layer, size_t position, float* row) const {
    const KvLayout& kv = sequence_.layout();
    const size_t half = w_.frequencies.size();
    AlignedBuffer<float> cosines(half), sines(half);
    for (size_t i = 0; i < half; ++i) {
      const SineCosine angle = portable_sincos(static_cast<float>(position) * w_.frequencies[i]);
      cosines[i] = static_cast<float>(angle.cosine);
      sines[i] = static_cast<float>(angle.sine);
    }
    unsigned char* block = sequence_.blocks()[position / kBlockPositions];
    for (size_t group = 0; group < c_.n_kv_head; ++group) {
      float* k = row + group * group_width() + size_t{c_.n_rep()} * kv.d_pad;
      for (float* head = row + group * group_width(); half > 0 && head <= k; head += kv.d_pad)
        scalar_kernels().rotate(head, cosines.data(), sines.data(), half);
      scalar_kernels().store_kv(k, k + kv.d_pad, kv.d_pad, kv.type, position % kBlockPositions,
                                block + kv.k_offset(layer, group), block + kv.v_offset(layer, group));
    }
  }

  void attend(uint32_t layer, size_t group, size_t position, const float* row, float* out) const {
    const KvLayout& kv = sequence_.layout();
    AttentionArgs args = {};
    args.q = row + group * group_width();
    args.n_rows = 1;
    args.n_heads = c_.n_rep();
    args.first_position = position;
    args.window = c_.window(layer);
    args.blocks = sequence_.blocks().data();
    args.k_offset = kv.k_offset(layer, group);
    args.v_offset = kv.v_offset(layer, group);
    args.d_head = c_.d_head;
    args.d_pad = kv.d_pad;
    args.d_key = d_key();
    args.scale = w_.h[layer].attention_scale;
    args.kv_type = kv.type;
    args.out = out + group * c_.n_rep() * c_.d_head;
    args.out_stride = size_t{c_.n_head} * c_.d_head;
    scalar_kernels().attention(args);
  }

  size_t d_key() const { return c_.positions == Positions::rotary ? c_.d_pad() : c_.d_head; }

  // Hands on q, k and v in their logical order, q without the scale that was folded into it.
  void put_parts(uint32_t layer, const Rows& qkv) {
    const auto& tensors = model_.file().tensors;
    const auto found = std::find_if(tensors.begin(), tensors.end(), [&](const StoredTensor& tensor) {
      const Arrangement a = tensor.spec.arrangement;
      return tensor.spec.layer == layer && (a == Arrangement::qkv || a == Arrangement::qkv_scaled);
    });
    GPT2_CHECK(found != tensors.end());
    const RowMap map(found->spec, c_);
    const size_t n_q = size_t{c_.n_head} * c_.d_head, n_k = size_t{c_.n_kv_head} * c_.d_head;
    std::vector<float> all(n_q + 2 * n_k);
    for (size_t r = 0; r < n_; ++r) {
      for (size_t i = 0; i < qkv.cols(); ++i) {
        const PackedRow row = map[i];
        if (row.logical >= 0) all[static_cast<size_t>(row.logical)] = qkv[r][i] / row.factor;
      }
      write_(next_, r * n_q, std::span(all).first(n_q));
      write_(next_ + 1, r * n_k, std::span(all).subspan(n_q, n_k));
      write_(next_ + 2, r * n_k, std::span(all).subspan(n_q + n_k, n_k));
    }
    next_ += 3;
  }

  // Value d of the key at a position, as the cache holds it (layout.h).
  double key(uint32_t layer, size_t group, size_t position, size_t d) const {
    const KvLayout& kv = sequence_.layout();
    const unsigned char* plane = sequence_.blocks()[position / kBlockPositions] + kv.k_offset(layer, group);
    const size_t at = position % kBlockPositions;
    const size_t index = (at / kPanelRows * kv.d_pad + d) * kPanelRows + at % kPanelRows;
    if (kv.type == KvType::f16) {
      uint16_t half;
      std::memcpy(&half, plane + index * sizeof half, sizeof half);
      return static_cast<double>(f16_to_float(half));
    }
    float value;
    std::memcpy(&value, plane + index * sizeof value, sizeof value);
    return static_cast<double>(value);
  }

  // softmax(scale q k^T) in double: attention() keeps no probabilities.
  void put_probabilities(uint32_t layer, const Rows& qkv) {
    const double scale = static_cast<double>(w_.h[layer].attention_scale);
    std::vector<double> scores(n_);
    std::vector<float> probabilities(n_);
    for (size_t head = 0; head < c_.n_head; ++head) {
      const size_t group = head / c_.n_rep();
      for (size_t r = 0; r < n_; ++r) {
        const float* q = qkv[r] + group * group_width() + head % c_.n_rep() * c_.d_pad();
        const size_t window = c_.window(layer), first = window > 0 && r + 1 > window ? r + 1 - window : 0;
        double largest = -INFINITY, sum = 0;
        for (size_t j = first; j <= r; ++j) {
          scores[j] = 0;
          for (size_t d = 0; d < d_key(); ++d) scores[j] += static_cast<double>(q[d]) * key(layer, group, j, d);
          scores[j] *= scale;
          largest = std::max(largest, scores[j]);
        }
        for (size_t j = first; j <= r; ++j) sum += scores[j] = std::exp(scores[j] - largest);
        std::fill(probabilities.begin(), probabilities.end(), 0.0f);
        for (size_t j = first; j <= r; ++j) probabilities[j] = static_cast<float>(scores[j] / sum);
        write_(next_, (head * n_ + r) * n_, probabilities);
      }
    }
    ++next_;
  }

  std::vector<uint64_t> head(const Rows& in) {
    std::vector<uint64_t> hashes;
    AlignedBuffer<float> out(w_.lm_head.n_rows);
    const std::span<const float> logits = std::span<const float>(out.data(), out.size()).first(c_.n_logits());
    for (size_t r = 0; r < n_; ++r) {
      linear_row(w_.lm_head, in[r], Epilogue::none, out.data());
      write_(next_, r * logits.size(), logits);
      hashes.push_back(xxh3(std::as_bytes(logits)));
    }
    return hashes;
  }

  const Model& model_;
  const Config& c_;
  const Weights& w_;
  std::span<const int32_t> tokens_;
  size_t n_;
  const KernelTable& products_;
  const TraceWrite& write_;
  KvPool pool_;
  KvSequence sequence_;
  size_t next_ = 0;  // the next tensor
};

}  // namespace

std::vector<TraceTensor> trace_tensors(const Config& config, size_t n) {
  const uint64_t d_head = config.d_head, n_head = config.n_head, n_kv_head = config.n_kv_head;
  const std::vector<uint64_t> stream = {n, config.n_embd};
  std::vector<TraceTensor> tensors = {{"embedding", stream}};
  for (uint32_t layer = 0; layer < config.n_layer; ++layer) {
    const auto add = [&](const char* name, std::vector<uint64_t> shape) {
      tensors.push_back({"h." + std::to_string(layer) + "." + name, std::move(shape)});
    };
    add("ln_1", stream);
    add("attn.q", {n, n_head, d_head});
    add("attn.k", {n, n_kv_head, d_head});
    add("attn.v", {n, n_kv_head, d_head});
    add("attn.probabilities", {n_head, n, n});
    add("attn.heads", {n, n_head * d_head});
    add("attn.out", stream);
    add("attn.residual", stream);
    if (config.residual != Residual::parallel_one_norm) add("ln_2", stream);
    add("mlp.inner", {n, config.n_inner});
    add("mlp.out", stream);
    add("residual", stream);
  }
  tensors.push_back({"ln_f", stream});
  tensors.push_back({"logits", {n, config.n_logits()}});
  return tensors;
}

std::vector<uint64_t> trace(const Model& model, std::span<const int32_t> tokens, const TraceOptions& options,
                            const TraceWrite& write) {
  GPT2_CHECK(!tokens.empty() && tokens.size() <= model.config().n_ctx && options.products != nullptr);
  return TracePass(model, tokens, options, write).run();
}

std::optional<size_t> first_other_row(Engine& engine, std::span<const int32_t> tokens,
                                      std::span<const uint64_t> hashes) {
  GPT2_CHECK(hashes.size() == tokens.size());
  std::optional<size_t> first;
  each_row_logits(engine, tokens, [&](size_t row, std::span<const float> logits) {
    if (!first && xxh3(std::as_bytes(logits)) != hashes[row]) first = row;
  });
  return first;
}

bool has_matrix_of(const Model& model, DType dtype) {
  const auto& tensors = model.file().tensors;
  return std::any_of(tensors.begin(), tensors.end(), [&](const StoredTensor& tensor) {
    return is_packed(tensor.spec.arrangement) && tensor.dtype == dtype;
  });
}

}  // namespace gpt2
