#include "src/engine/scheduler.h"

#include <algorithm>
#include <utility>

#include "src/base/error.h"

namespace gpt2 {

namespace {

// Whether the next row says which token comes next. It has a place in every step.
bool is_last_row(const SequenceCounts& counts) noexcept {
  return counts.known == counts.computed + 1 && !counts.ends;
}

}  // namespace

void Scheduler::add(SequenceId id, uint32_t n_tokens, uint64_t group, uint32_t n_shared) {
  GPT2_CHECK(id > 0 && n_tokens > 0 && n_shared > 0 && (waiting_.empty() || waiting_.back() < id));
  const bool added = entries_.emplace(id, Entry{n_shared, group, {n_tokens, 0, 0, false, false}, false, false}).second;
  GPT2_CHECK(added);
  waiting_.push_back(id);
}

std::optional<SequenceId> Scheduler::remove(SequenceId id) {
  const auto found = entries_.find(id);
  GPT2_CHECK(found != entries_.end());
  const Entry entry = found->second;
  entries_.erase(found);
  n_paused_ -= entry.is_paused ? 1 : 0;
  if (!entry.is_running) {
    waiting_.erase(std::lower_bound(waiting_.begin(), waiting_.end(), id));
    return std::nullopt;
  }
  running_.erase(std::lower_bound(running_.begin(), running_.end(), id));
  if (waiting_.empty() || entry.counts.has_slid) return std::nullopt;
  const SequenceId next = waiting_.front();
  Entry& heir = entries_.at(next);
  if (heir.group != entry.group || heir.counts.has_slid) return std::nullopt;
  waiting_.pop_front();
  heir.is_running = true;
  running_.insert(std::lower_bound(running_.begin(), running_.end(), next), next);
  return next;
}

void Scheduler::update(SequenceId id, const SequenceCounts& counts) {
  Entry& entry = entries_.at(id);
  GPT2_CHECK(entry.is_running && counts.computed < counts.known);
  entry.counts = counts;
}

void Scheduler::pause(SequenceId id) { n_paused_ += std::exchange(entries_.at(id).is_paused, true) ? 0 : 1; }

void Scheduler::resume(SequenceId id) { n_paused_ -= std::exchange(entries_.at(id).is_paused, false) ? 1 : 0; }

Decision Scheduler::preemption(SequenceId id) {
  Entry& entry = entries_.at(id);
  entry.is_running = false;
  entry.counts.computed = 0;
  running_.erase(std::lower_bound(running_.begin(), running_.end(), id));
  waiting_.insert(std::lower_bound(waiting_.begin(), waiting_.end(), id), id);
  return {Decision::Kind::preempt, id, 0, {}};
}

std::optional<SequenceId> Scheduler::youngest_paused() const {
  if (n_paused_ == 0) return std::nullopt;
  const auto found = std::find_if(running_.rbegin(), running_.rend(),
                                  [this](SequenceId id) { return entries_.at(id).is_paused; });
  return found == running_.rend() ? std::nullopt : std::optional(*found);
}

Decision Scheduler::decide(uint32_t prompt_rows, size_t free_blocks) {
  rows_.clear();
  const auto decodes = [&](SequenceId id) {
    const Entry& entry = entries_.at(id);
    return is_last_row(entry.counts) && !entry.is_paused;
  };
  const bool beside_others = std::any_of(running_.begin(), running_.end(), decodes);
  uint32_t budget = beside_others ? std::min(prompt_rows, limits_.prompt_rows) : limits_.prompt_rows;
  size_t left = free_blocks;
  if (const auto victim = plan_rows(budget, left)) return preemption(*victim);
  if (budget > 0) {
    if (const auto admitted = admission(free_blocks)) return *admitted;
  }
  add_drafts(left);
  return {Decision::Kind::compute, 0, 0, rows_};
}

// Plans the rows of all that run, the oldest first. Returns the youngest of those that are paused, or else of all,
// where an older one needs its blocks to get on.
std::optional<SequenceId> Scheduler::plan_rows(uint32_t& prompt_rows, size_t& free_blocks) {
  for (const SequenceId id : running_) {
    const Entry& entry = entries_.at(id);
    if (entry.is_paused) continue;
    const SequenceCounts& counts = entry.counts;
    const uint32_t missing = counts.known - counts.computed;
    const bool decodes = is_last_row(counts);
    const uint32_t n_draft = decodes && limits_.whole_drafts ? counts.draft_room : 0;
    const uint32_t wanted = decodes ? 1 : std::min(missing - (counts.draft_room > 0 ? 1 : 0), prompt_rows);
    if (wanted == 0) continue;
    const uint32_t n = rows_that_fit(counts, wanted + n_draft, free_blocks);
    if (n <= n_draft) {
      if (const auto paused = youngest_paused()) return paused;
      if (running_.back() != id) return running_.back();
      continue;
    }
    free_blocks -= blocks_between(counts.computed, counts.computed + n);
    if (!decodes) prompt_rows -= n;
    rows_.push_back({id, n - n_draft, n_draft});
  }
  return std::nullopt;
}

uint32_t Scheduler::rows_that_fit(const SequenceCounts& counts, uint32_t most, size_t free_blocks) const noexcept {
  const size_t room = (blocks(counts.computed) + free_blocks) * limits_.block_positions - counts.computed;
  return static_cast<uint32_t>(std::min<size_t>(most, room));
}

void Scheduler::add_drafts(size_t free_blocks) {
  if (limits_.whole_drafts) return;
  for (PlannedRows& part : rows_) {
    const SequenceCounts& counts = entries_.at(part.id).counts;
    if (!is_last_row(counts)) continue;
    const uint32_t n =
        rows_that_fit(counts, 1 + counts.draft_room, free_blocks + blocks_between(counts.computed, counts.known));
    part.n_draft = n - 1;
    free_blocks -= blocks_between(counts.known, counts.computed + n);
  }
}

// Admits the first sequence that waits, unless it waits for a prompt that is being computed, while there are blocks for
// all of its tokens and one more, beside those that the running ones need for theirs and one more each. What is paused
// makes room for it.
std::optional<Decision> Scheduler::admission(size_t free_blocks) {
  size_t promised = 0;
  for (const SequenceId id : running_) {
    const SequenceCounts& counts = entries_.at(id).counts;
    promised += blocks_between(counts.computed, counts.known) + 1;
  }
  uint64_t passed = 0;  // the group of a sequence that waits
  for (size_t i = 0; i < waiting_.size(); ++i) {
    const SequenceId id = waiting_[i];
    Entry& entry = entries_.at(id);
    if (entry.is_paused || (i > 0 && entry.group == passed)) continue;
    bool is_coming = false;
    const auto from = holder_of_prompt(entry, is_coming);
    passed = entry.group;
    if (is_coming) continue;
    const size_t shared = from ? std::min(entry.n_shared, entry.counts.known - 1) / limits_.block_positions : 0;
    const bool fits = running_.size() < limits_.max_running &&
                      blocks(size_t{entry.counts.known} + 1) - shared + promised <= free_blocks;
    if (!fits && !running_.empty()) {
      const auto paused = youngest_paused();
      return paused ? std::optional(preemption(*paused)) : std::nullopt;
    }
    waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(i));
    entry.is_running = true;
    running_.insert(std::lower_bound(running_.begin(), running_.end(), id), id);
    return Decision{Decision::Kind::admit, id, from.value_or(0), {}};
  }
  return std::nullopt;
}

// Returns the running sequence of its group that has computed what it shares; if there is none, says whether one
// computes it.
std::optional<SequenceId> Scheduler::holder_of_prompt(const Entry& entry, bool& is_coming) const {
  if (entry.counts.has_slid) return std::nullopt;
  for (const SequenceId id : running_) {
    const Entry& other = entries_.at(id);
    if (other.group != entry.group || other.counts.has_slid) continue;
    if (other.counts.computed + 1 >= entry.n_shared) return id;
    is_coming |= !other.is_paused;
  }
  return std::nullopt;
}

}  // namespace gpt2
