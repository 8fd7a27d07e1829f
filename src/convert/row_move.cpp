#include "src/convert/row_move.h"

namespace gpt2 {

RowRange rows_of(Part part, const Config& c, uint64_t rows) {
  const uint64_t q = uint64_t{c.n_head} * c.d_head, k = uint64_t{c.n_kv_head} * c.d_head;
  switch (part) {
    case Part::all: return {0, rows};
    case Part::queries: return {0, q};
    case Part::keys: return {q, k};
    case Part::values: return {q + k, k};
    case Part::gates: return {0, rows / 2};
    case Part::inputs: return {rows / 2, rows / 2};
  }
  return {};
}

uint64_t their_row(Move move, const Config& c, uint64_t row) {
  const uint64_t d = c.d_head, head = row / d, e = row % d, half = c.rotary_dims / 2;
  switch (move) {
    case Move::none:
    case Move::add_one: return row;
    case Move::skip_two: return row + 2;
    case Move::unpair: return e < c.rotary_dims ? head * d + 2 * (e % half) + e / half : row;
    case Move::by_group: break;
  }
  const uint64_t n_rep = c.n_rep(), size = n_rep + 2;
  if (head < c.n_head) return (head / n_rep * size + head % n_rep) * d + e;
  const uint64_t key = (head - c.n_head) % c.n_kv_head, part = (head - c.n_head) / c.n_kv_head;  // 0: k, 1: v
  return (key * size + n_rep + part) * d + e;
}

uint64_t our_row(Move move, const Config& c, uint64_t row) {
  const uint64_t d = c.d_head, head = row / d, e = row % d, half = c.rotary_dims / 2;
  switch (move) {
    case Move::none:
    case Move::add_one: return row;
    case Move::skip_two: return row - 2;
    case Move::unpair: return e < c.rotary_dims ? head * d + e % 2 * half + e / 2 : row;
    case Move::by_group: break;
  }
  const uint64_t n_rep = c.n_rep(), size = n_rep + 2, group = head / size, within = head % size;
  if (within < n_rep) return (group * n_rep + within) * d + e;
  return (c.n_head + (within - n_rep) * c.n_kv_head + group) * d + e;
}

}  // namespace gpt2
