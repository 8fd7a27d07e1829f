#include "src/engine/scheduler.h"

#include <algorithm>

#include "src/base/error.h"

namespace gpt2 {

void Scheduler::add(SequenceId id, uint32_t n_tokens) {
  GPT2_CHECK(n_tokens > 0);
  Entry entry;
  entry.n_tokens = entry.prompt_tokens = n_tokens;
  entry.arrival = next_arrival_++;
  const bool added = entries_.emplace(id, entry).second;
  GPT2_CHECK(added);
  waiting_.push_back(id);
}

void Scheduler::add_behind(SequenceId id, uint32_t n_tokens, SequenceId leader) {
  add(id, n_tokens);
  Entry& entry = entries_.at(id);
  entry.follows = true;
  entry.leader = leader;
}

void Scheduler::remove(SequenceId id) {
  const auto found = entries_.find(id);
  GPT2_CHECK(found != entries_.end());
  if (found->second.is_running) {
    running_.erase(std::find(running_.begin(), running_.end(), id));
  } else {
    waiting_.erase(std::find(waiting_.begin(), waiting_.end(), id));
  }
  entries_.erase(found);
}

void Scheduler::update(SequenceId id, uint32_t n_tokens, uint32_t n_computed) {
  Entry& entry = entries_.at(id);
  GPT2_CHECK(entry.is_running && n_computed <= n_tokens);
  entry.n_tokens = n_tokens;
  entry.n_computed = n_computed;
  if (entry.has_prompt || n_computed < entry.prompt_tokens) return;
  entry.has_prompt = true;
  for (const SequenceId waiting : waiting_) {
    Entry& other = entries_.at(waiting);
    if (other.leader == id) other.follows = false;
  }
}

// The youngest goes back to the queue, where its arrival puts it.
void Scheduler::preempt(SequenceId id, BlockOwner& blocks) {
  Entry& entry = entries_.at(id);
  blocks.give_back(id);
  entry.is_running = false;
  entry.n_computed = 0;
  running_.erase(std::find(running_.begin(), running_.end(), id));
  const auto later = std::find_if(waiting_.begin(), waiting_.end(),
                                  [&](SequenceId other) { return entries_.at(other).arrival > entry.arrival; });
  waiting_.insert(later, id);
  ++preemptions_;
}

bool Scheduler::make_room(SequenceId id, uint32_t n_positions, BlockOwner& blocks, bool may_preempt) {
  while (blocks.blocks_for(id, n_positions) > blocks.free_blocks()) {
    if (!may_preempt || running_.empty() || entries_.at(running_.back()).arrival <= entries_.at(id).arrival) return false;
    preempt(running_.back(), blocks);
  }
  blocks.take(id, n_positions);
  return true;
}

std::span<const SchedulerPart> Scheduler::plan(uint32_t prompt_rows, BlockOwner& blocks,
                                               const std::function<uint32_t(SequenceId)>& extra_rows) {
  parts_.clear();
  uint32_t rows = 0;
  // One row, or a draft's, for each sequence whose tokens are computed but for the newest. Only younger ones, which have no part yet, can
  // lose their blocks to it.
  for (size_t i = 0; i < running_.size() && rows < limits_.max_rows; ++i) {
    const SequenceId id = running_[i];
    const Entry& entry = entries_.at(id);
    if (entry.n_tokens > entry.n_computed + 1) continue;
    const uint32_t extra = extra_rows ? std::min(extra_rows(id), limits_.max_rows - rows - 1) : 0;
    uint32_t n = 1 + extra;
    if (extra > 0 && !make_room(id, entry.n_computed + n, blocks, false)) n = 1;
    if (n == 1 && !make_room(id, entry.n_computed + 1, blocks, true)) continue;
    parts_.push_back({id, entry.n_computed, n});
    rows += n;
  }
  uint32_t budget = parts_.empty() ? limits_.max_rows : std::min(prompt_rows, limits_.max_rows - rows);
  // Prompts that have begun.
  const auto compute_part = [&](SequenceId id) {
    const Entry& entry = entries_.at(id);
    const uint32_t n = std::min(entry.n_tokens - entry.n_computed, budget);
    const uint32_t block_end = (entry.n_computed / limits_.block_positions + 1) * limits_.block_positions;
    for (const uint32_t end : {entry.n_computed + n, std::min(entry.n_computed + n, block_end)}) {
      if (!make_room(id, end, blocks, parts_.empty())) continue;
      parts_.push_back({id, entry.n_computed, end - entry.n_computed});
      budget -= end - entry.n_computed;
      return;
    }
  };
  for (size_t i = 0; i < running_.size() && budget > 0; ++i) {
    const Entry& entry = entries_.at(running_[i]);
    if (entry.n_tokens > entry.n_computed + 1) compute_part(running_[i]);
  }
  // Those that wait, in order, while there are blocks for all of their tokens and one more for each that runs.
  for (size_t i = 0; i < waiting_.size() && budget > 0 && running_.size() < limits_.max_running;) {
    const SequenceId id = waiting_[i];
    Entry& entry = entries_.at(id);
    if (entry.follows) {
      ++i;
      continue;
    }
    const uint64_t needed = uint64_t{blocks.blocks_for(id, entry.n_tokens + 1)} + running_.size();
    if (!running_.empty() && needed > blocks.free_blocks()) break;
    waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(i));
    entry.is_running = true;
    entry.n_computed = blocks.admit(id);
    const auto later = std::find_if(running_.begin(), running_.end(),
                                    [&](SequenceId other) { return entries_.at(other).arrival > entry.arrival; });
    running_.insert(later, id);
    if (entry.n_tokens > entry.n_computed + 1) {
      compute_part(id);
    } else if (make_room(id, entry.n_computed + 1, blocks, parts_.empty())) {
      parts_.push_back({id, entry.n_computed, 1});
      --budget;
    }
  }
  return parts_;
}

}  // namespace gpt2
