// Who computes what in the next step: sequences as ids and counts, no tensors, so that thousands of arrival patterns are tested in
// seconds. First come, first served; running sequences take one step each time; prompts are computed in parts beside them; when blocks
// run out, the youngest gives its blocks back and is computed again later.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <unordered_map>
#include <vector>

namespace gpt2 {

using SequenceId = uint64_t;

struct SchedulerLimits {
  uint32_t max_running = 1;        // sequences that hold blocks
  uint32_t max_rows = 256;         // rows of a step
  uint32_t block_positions = 64;
};

// Rows of one sequence in a step: those that come next in it.
struct SchedulerPart {
  SequenceId id = 0;
  uint32_t first = 0, n_rows = 0;
};

// What the scheduler asks the owner of the blocks.
class BlockOwner {
 public:
  virtual ~BlockOwner() = default;
  virtual uint32_t free_blocks() = 0;                                    // free, or free on demand
  virtual uint32_t blocks_for(SequenceId id, uint32_t n_positions) = 0;  // more blocks for it to hold this many positions
  virtual uint32_t admit(SequenceId id) = 0;                             // it starts; returns positions that are there already
  virtual void take(SequenceId id, uint32_t n_positions) = 0;            // blocks for so many positions are its own now
  virtual void give_back(SequenceId id) = 0;                             // all of its blocks
};

class Scheduler {
 public:
  explicit Scheduler(const SchedulerLimits& limits) : limits_(limits) {}

  // A sequence of `n_tokens` >= 1 known tokens joins the end of the queue; `behind`: not before that sequence's prompt is computed, whose
  // blocks it then shares (another sample of it).
  void add(SequenceId id, uint32_t n_tokens);
  void add_behind(SequenceId id, uint32_t n_tokens, SequenceId leader);
  // The sequence has ended or is not wanted any more. Its blocks are given back by the caller.
  void remove(SequenceId id);
  // What is known and computed of a sequence now, after a step.
  void update(SequenceId id, uint32_t n_tokens, uint32_t n_computed);

  // The parts of the next step: a row for each running sequence, `extra_rows(id)` more where it drafts, and at most `prompt_rows` rows of
  // prompts beside them (alone: as many as a step holds). Valid until the next call. Empty only if there is nothing to do.
  std::span<const SchedulerPart> plan(uint32_t prompt_rows, BlockOwner& blocks,
                                      const std::function<uint32_t(SequenceId)>& extra_rows = nullptr);
  size_t waiting() const noexcept { return waiting_.size(); }
  size_t running() const noexcept { return running_.size(); }
  uint64_t preemptions() const noexcept { return preemptions_; }
  bool contains(SequenceId id) const { return entries_.contains(id); }

 private:
  struct Entry {
    uint32_t n_tokens = 0, n_computed = 0;
    uint64_t arrival = 0;
    bool is_running = false;
    SequenceId leader = 0;
    bool follows = false;        // it waits for the leader's prompt
    bool has_prompt = false;     // all tokens it arrived with were computed at some time
    uint32_t prompt_tokens = 0;  // how many those were
  };

  bool make_room(SequenceId id, uint32_t n_positions, BlockOwner& blocks, bool may_preempt);
  void preempt(SequenceId id, BlockOwner& blocks);

  SchedulerLimits limits_;
  std::unordered_map<SequenceId, Entry> entries_;
  std::deque<SequenceId> waiting_;   // by arrival
  std::vector<SequenceId> running_;  // by arrival
  std::vector<SchedulerPart> parts_;
  uint64_t next_arrival_ = 0, preemptions_ = 0;
};

}  // namespace gpt2
