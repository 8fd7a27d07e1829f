#include "src/text/merger.h"

#include <algorithm>

#include "src/base/error.h"

namespace gpt2 {
namespace {

// Of unused tokens, so that their parts are not nested deeper.
constexpr uint32_t kMaxUnusedBytes = 1024;

}  // namespace

void Merger::merge(std::vector<TokenId>& out, size_t first) {
  const size_t n = out.size() - first;
  if (n == 0 || (n == 1 && tables_.rules.unused.empty())) return;
  GPT2_CHECK(n < kEnd);
  symbols_.resize(n);
  for (uint32_t i = 0; i < n; ++i) {
    symbols_[i] = {static_cast<uint32_t>(out[first + i]), i == 0 ? kEnd : i - 1, i + 1 == n ? kEnd : i + 1};
  }
  for (uint32_t i = 0; i + 1 < n; ++i) push_pair(i);
  while (!pairs_.empty()) {
    const Pair pair = pairs_.top();
    pairs_.pop();
    apply(pair);
  }
  out.resize(first);
  for (uint32_t i = 0; i != kEnd; i = symbols_[i].next) push_used(symbols_[i].id, first, out);
}

void Merger::push_pair(uint32_t at) {
  const uint32_t left = symbols_[at].id, right = symbols_[symbols_[at].next].id;
  const MergeSlot* merge = find(left, right);
  if (merge == nullptr) return;
  pairs_.push({merge->rank, at, left, right, merge->result});
  if (is_unused(merge->result)) parts_[merge->result] = {left, right};
}

// The tables may lie: a bounded number of probes, and no result outside the vocabulary.
const MergeSlot* Merger::find(uint32_t left, uint32_t right) const {
  const size_t n = tables_.merges.size();
  const size_t most = std::min(n, kMaxProbes);
  size_t slot = merge_slot(left, right, n);
  for (size_t probe = 0; probe < most; ++probe, slot = (slot + 1) & (n - 1)) {
    const MergeSlot& merge = tables_.merges[slot];
    if (merge.left == kNoToken) return nullptr;
    if (merge.left == left && merge.right == right) return merge.result < n_tokens_ ? &merge : nullptr;
  }
  fail_model(file_, "tokenizer.merges", "an empty slot within " + std::to_string(most), "none");
}

void Merger::apply(const Pair& pair) {
  Symbol& left = symbols_[pair.at];
  if (left.id != pair.left || left.next == kEnd || symbols_[left.next].id != pair.right) return;  // merged meanwhile
  Symbol& right = symbols_[left.next];
  left.id = pair.result;
  left.next = right.next;
  right.id = kNoToken;
  if (left.next != kEnd) {
    symbols_[left.next].previous = pair.at;
    push_pair(pair.at);
  }
  if (left.previous != kEnd) push_pair(left.previous);
}

bool Merger::is_unused(uint32_t id) const {
  const auto& unused = tables_.rules.unused;
  return !unused.empty() && std::binary_search(unused.begin(), unused.end(), static_cast<TokenId>(id));
}

uint32_t Merger::length_of(uint32_t id) const { return tables_.offsets[id + 1] - tables_.offsets[id]; }

// An unused token falls into the parts that it was last seen to be made of (as in SentencePiece, where its text leads
// to them), which are shorter than it; one character without parts is one that has no token.
void Merger::push_used(uint32_t id, size_t first, std::vector<TokenId>& out) const {
  if (!is_unused(id)) return push_known(id, first, out);
  const auto parts = parts_.find(id);
  if (parts == parts_.end()) return push_without_token(id, first, out);
  const auto [left, right] = parts->second;
  if (std::max(length_of(left), length_of(right)) >= length_of(id) || length_of(id) > kMaxUnusedBytes) {
    fail_model(file_, "tokenizer.merges of unused token " + std::to_string(id), "shorter parts of a short text",
               std::to_string(length_of(id)) + " bytes of " + std::to_string(length_of(left)) + " and " +
                   std::to_string(length_of(right)));
  }
  push_used(left, first, out);
  push_used(right, first, out);
}

void Merger::push_known(uint32_t id, size_t first, std::vector<TokenId>& out) const {
  const auto token = static_cast<TokenId>(id);
  const bool fuses = tables_.rules.fuse_unknown && token == tables_.rules.unknown;
  if (!fuses || out.size() == first || out.back() != token) out.push_back(token);
}

// Its bytes' tokens, or the unknown one; itself where there is neither.
void Merger::push_without_token(uint32_t id, size_t first, std::vector<TokenId>& out) const {
  const size_t begin = tables_.offsets[id], size = length_of(id);
  if (begin > tables_.bytes.size() || size > std::min<size_t>(tables_.bytes.size() - begin, kMaxUnusedBytes)) {
    fail_model(file_, "tokenizer.offsets of token " + std::to_string(id), "ascending ones of a short text",
               std::to_string(begin) + ", " + std::to_string(tables_.offsets[id + 1]));
  }
  const auto bytes = tables_.bytes.subspan(begin, size);
  const auto token_of = [&](char byte) { return tables_.byte_tokens[static_cast<unsigned char>(byte)]; };
  if (std::all_of(bytes.begin(), bytes.end(), [&](char byte) { return token_of(byte) < n_tokens_; })) {
    for (const char byte : bytes) out.push_back(static_cast<TokenId>(token_of(byte)));
    return;
  }
  push_known(tables_.rules.unknown >= 0 ? static_cast<uint32_t>(tables_.rules.unknown) : id, first, out);
}

}  // namespace gpt2
