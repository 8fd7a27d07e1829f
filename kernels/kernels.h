// The arithmetic behind one table per instruction set. scalar.cpp defines every operation; the others give the same
// bits (all types but bf16). Kernels know no models, threads, files, allocation or exceptions; all pointers are valid
// and every matrix row that they write is 64-byte aligned and padded to whole panels.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernels/layout.h"

namespace gpt2 {

// What happens to an accumulator before it is stored. The accumulator starts at the bias and takes, k ascending, one
// fma per input (f32, bf16) or one fma(float(sum of w x in the group), weight scale * row scale, acc) per group (the
// others); `residual` adds the value that `out` holds, last. A gated panel holds 8 gates and their 8 values and leaves
// 8 outputs, act(gate) * value; so its matrix's outputs stand half as wide.
enum class Epilogue : uint8_t {
  none, gelu_tanh, gelu_erf, relu, silu, residual, gated_gelu_tanh, gated_gelu_erf, gated_relu, gated_silu
};
static constexpr bool is_gated(Epilogue epilogue) { return epilogue >= Epilogue::gated_gelu_tanh; }
// Returns how many outputs a panel leaves.
static constexpr size_t outputs_of_panel(Epilogue epilogue) { return is_gated(epilogue) ? kPanelRows / 2 : kPanelRows; }

// Running arg-max of one row, by lane: panel p's lane l is output 16 p + l. Ties keep the lower panel,
// in whatever order panels come.
struct ArgmaxLanes {
  alignas(64) float value[kPanelRows];
  alignas(64) int32_t panel[kPanelRows];
  int32_t nonfinite;  // set to 1 when a NaN or an infinity was seen
};

struct MatmulArgs {
  Panels w;
  size_t panel_begin, panel_end;  // outputs [16 * begin, 16 * end)
  const unsigned char* x;         // rows prepared for w.dtype (layout.h); f32: floats at any 4-byte alignment
  size_t x_stride;                // bytes
  size_t n_rows;
  // [n_rows][out_stride]: element (r, 16 p + l), or (r, 8 p + l) where gated; may be nullptr when `argmax` is set.
  float* out;
  size_t out_stride;
  Epilogue epilogue;
  ArgmaxLanes* argmax;   // [n_rows] or nullptr: also keep the running arg-max of outputs below n_valid, and whether
                         // all outputs are finite
  size_t n_valid;        // those behind are padding of the last panel or of the vocabulary
};

// The heads that share keys and values, at consecutive positions of one sequence. Row r stands at position
// first_position + r and sees the positions up to its own, of which the last `window`, whose keys and values are in the
// cache (already rounded to its type).
struct AttentionArgs {
  const float* q;  // [n_rows][q_stride]: n_heads times d_pad values each, zero where a head has none
  size_t q_stride;
  size_t n_rows;
  size_t n_heads;
  size_t first_position;
  size_t window;  // 0: all positions
  const unsigned char* const* blocks;  // the sequence's KV blocks, in order
  size_t k_offset, v_offset;           // where this layer's and head's planes stand in each block, bytes
  size_t d_head, d_pad;                // d_pad = d_head rounded up to 16 at least
  // Values of a query and a key that count: d_head, or d_pad where rotary pairs have moved them (row_map.h).
  size_t d_key;
  float scale;                         // of the scores; 1 where it was folded into q
  KvType kv_type;
  float* out;  // [n_rows][out_stride]: n_heads times d_head values each
  size_t out_stride;
};

struct KernelTable {
  const char* name;  // the GPT2_ISA name

  // One row of n_cols floats becomes what matmul takes for matrices of this type; prepared_row_bytes(dtype, n_cols) are
  // written. A value that is not finite makes the whole group's result NaN.
  void (*prepare_row)(DType dtype, const float* x, size_t n_cols, unsigned char* row) noexcept;

  // out = epilogue(x w^T + bias) for panels [panel_begin, panel_end).
  void (*matmul)(const MatmulArgs& args) noexcept;

  // y = (x - mean) / sqrt(var + epsilon) * weight + bias over n values, biased variance, two passes, 16-lane trees.
  // x and y may be the same.
  void (*layer_norm)(const float* x, const float* weight, const float* bias, size_t n, float epsilon,
                     float* y) noexcept;

  // y = x / sqrt(mean of x^2 + epsilon) * weight over n values, one 16-lane tree. x and y may be the same.
  void (*rms_norm)(const float* x, const float* weight, size_t n, float epsilon, float* y) noexcept;

  // Turns the pairs (x[i], x[i + half]) of one head by angles of which the cosines and sines are given [half]; `half`
  // is a multiple of 16. x[i] = fma(x[i], cos, -(x[i + half] sin)), x[i + half] = fma(x[i + half], cos, x[i] sin).
  void (*rotate)(float* x, const float* cosines, const float* sines, size_t half) noexcept;

  // Causal attention with an online softmax over blocks of 64 positions from 0.
  void (*attention)(const AttentionArgs& args) noexcept;

  // Rounds one position's key and value (d_pad values each) to the cache's type and stores them at `position` (0..63)
  // of a head's K and V planes.
  void (*store_kv)(const float* k, const float* v, size_t d_pad, KvType type, size_t position, unsigned char* k_plane,
                   unsigned char* v_plane) noexcept;

  // Probes of the machine's limits. read: touches every whole line of data[0, bytes), in four streams; the result only
  // keeps the loads alive. peak: n rounds of what the tier multiplies weights of this type with, in registers and
  // nothing else; returns the operations done, two for each multiply-add.
  uint64_t (*probe_read)(const unsigned char* data, size_t bytes) noexcept;
  double (*probe_peak)(DType dtype, size_t n) noexcept;
  const char* (*probe_text)(DType dtype) noexcept;  // the instructions of a round, for people
};

// Every table that this build has and this CPU can run, best first; the last is "scalar".
struct KernelList {
  const KernelTable* tables[12];
  size_t count;
};
KernelList runnable_kernels() noexcept;

// All tiers compiled in, best first, with the reason why one cannot run here (nullptr if it can).
struct TierInfo {
  const char* name;
  const char* missing;
};
size_t all_tiers(TierInfo (&tiers)[12]) noexcept;

// Returns the table with this name if it can run here; nullptr otherwise.
const KernelTable* find_kernels(const char* name) noexcept;

// Starts an arg-max over an empty set.
void clear_argmax(ArgmaxLanes& lanes) noexcept;
// Returns the output with the largest value; ties go to the lowest index; -1 if nothing was seen.
int32_t finish_argmax(const ArgmaxLanes& lanes, float* value) noexcept;

// Packs one panel: `rows` is [16][n_cols] row-major, `bias` 16 values. Writes panel_bytes(dtype, n_cols) bytes.
// int8, int8g32: scale = largest magnitude / 127, rounded to f16 so that no code is clamped by more than half a step;
// code = w / scale, nearest even. int4: the scale, of either sign, with the least squared error among kInt4Candidates
// and their refits; codes -8..7.
void pack_panel(DType dtype, const float* rows, const float* bias, size_t n_cols, unsigned char* panel) noexcept;
// Writes the values that the kernels use: rows [16][n_cols], and the bias [16].
void unpack_panel(DType dtype, const unsigned char* panel, size_t n_cols, float* rows, float* bias) noexcept;
// Embeds a token: out[i] = scale times the decoded row `row` of the matrix plus add[i] (none if nullptr), n_cols
// values.
void embed_row(const Panels& w, size_t row, float scale, const float* add, float* out) noexcept;

}  // namespace gpt2
