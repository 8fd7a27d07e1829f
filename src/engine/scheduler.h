// What happens next: sequences as ids and counts, no tensors, so that thousands of arrival patterns are tested in
// seconds. First come, first served: when blocks run out, the youngest that runs gives its own back and is computed
// again later, one that is paused before all others. Decisions are returned as values; whoever holds the sequences
// carries them out and says what came of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

namespace gpt2 {

using SequenceId = uint64_t;  // above 0

struct SchedulerLimits {
  uint32_t max_running = 1;        // sequences that hold blocks
  uint32_t prompt_rows = 256;      // of a step, of all sequences with more than one token to compute
  uint32_t block_positions = 64;
  bool whole_drafts = false;       // a sequence waits for blocks rather than draft less than it may
};

// Where a sequence stands. known - computed tokens are to be computed; the last of them has a step of its own where
// `draft_room` tokens of a draft may follow it.
struct SequenceCounts {
  uint32_t known = 0, computed = 0;
  uint32_t draft_room = 0;
  bool has_slid = false;  // it has nothing in common with its group any more
  bool ends = false;      // no token follows the last that is known: all are a prompt's, and it ends with them
};

// The next tokens of one sequence, and how many of a draft may be computed behind them.
struct PlannedRows {
  SequenceId id = 0;
  uint32_t n_rows = 0, n_draft = 0;
};

struct Decision {
  enum class Kind : uint8_t {
    preempt,  // `id` gives all of its blocks back and waits again: done, ask again
    // `id` runs, beginning with what it has in common with `from` where that is not 0: call update(), ask again.
    admit,
    compute,  // `rows`: empty only if there is nothing to do
  };
  Kind kind = Kind::compute;
  SequenceId id = 0, from = 0;
  std::span<const PlannedRows> rows;  // valid until the next call
};

class Scheduler {
 public:
  explicit Scheduler(const SchedulerLimits& limits) : limits_(limits) {}

  // Adds a prompt with n_tokens >= 1 to compute to the end of the queue. Sequences of one `group` have their first
  // n_shared tokens in common: one of them computes all of these but the last, the others begin with its blocks.
  void add(SequenceId id, uint32_t n_tokens, uint64_t group, uint32_t n_shared);
  // Takes out a sequence that has ended or was cancelled. Returns the one of its group, if one is next in the queue,
  // that takes its place and what it has computed: call update() for it.
  std::optional<SequenceId> remove(SequenceId id);
  // Says where a running sequence stands now.
  void update(SequenceId id, const SequenceCounts& counts);
  // Until resume() no row of the sequence is planned. It keeps its place and blocks while no other wants them.
  void pause(SequenceId id);
  void resume(SequenceId id);

  // Returns what to do next, with so many blocks free. Rows: the newest token of each running sequence and its draft as
  // far as blocks are left, and beside them at most `prompt_rows` rows of prompts (alone: as many as a step holds).
  Decision decide(uint32_t prompt_rows, size_t free_blocks);

  size_t waiting() const noexcept { return waiting_.size(); }
  size_t running() const noexcept { return running_.size(); }
  size_t paused() const noexcept { return n_paused_; }  // of both

 private:
  struct Entry {
    uint32_t n_shared = 0;
    uint64_t group = 0;
    SequenceCounts counts;
    bool is_running = false, is_paused = false;
  };

  size_t blocks(size_t positions) const noexcept {
    return (positions + limits_.block_positions - 1) / limits_.block_positions;
  }
  size_t blocks_between(size_t computed, size_t end) const noexcept { return blocks(end) - blocks(computed); }
  std::optional<SequenceId> plan_rows(uint32_t& prompt_rows, size_t& free_blocks);
  uint32_t rows_that_fit(const SequenceCounts& counts, uint32_t most, size_t free_blocks) const noexcept;
  void add_drafts(size_t free_blocks);
  std::optional<Decision> admission(size_t free_blocks);
  Decision preemption(SequenceId id);
  std::optional<SequenceId> youngest_paused() const;
  std::optional<SequenceId> holder_of_prompt(const Entry& entry, bool& is_coming) const;

  SchedulerLimits limits_;
  std::unordered_map<SequenceId, Entry> entries_;
  std::deque<SequenceId> waiting_;   // by arrival, which is the order of ids
  std::vector<SequenceId> running_;  // the same
  std::vector<PlannedRows> rows_;
  size_t n_paused_ = 0;
};

}  // namespace gpt2
