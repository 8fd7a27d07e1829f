// The options of `generate` for inputs of many prompts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tools/chat_arguments.h"
#include "tools/options.h"
#include "tools/record_run.h"

namespace gpt2 {

class ManyArguments {
 public:
  std::vector<Option> format_options();  // what the input is
  std::vector<Option> run_options();     // how it is done and where results go

  // Returns whether the input is many prompts.
  bool wanted() const noexcept { return lines_ || null_ || jsonl_ || chat_; }
  bool chat() const noexcept { return chat_; }
  std::optional<ChatForm> chat_form() const noexcept { return form_; }
  // Throws Error (exit 2) for options that exclude or need each other; `json`: --json is given.
  void check(bool json) const;

  RecordFormat format() const noexcept {
    return jsonl_ || chat_ ? RecordFormat::jsonl : null_ ? RecordFormat::null : RecordFormat::lines;
  }
  ReorderWindow::Order order() const noexcept;
  Shard shard() const noexcept { return shard_; }
  ResultFile open_output(const InputFiles& inputs, FinishedResults& finished) const;
  std::optional<uint32_t> batch() const noexcept { return batch_; }
  uint64_t kv_memory() const noexcept { return kv_memory_.value_or(0); }
  bool resumes() const noexcept { return resume_; }
  bool writes_file() const noexcept { return output_ && *output_ != "-"; }

 private:
  bool lines_ = false, null_ = false, jsonl_ = false, chat_ = false;
  bool unordered_ = false, resume_ = false, force_ = false, is_shard_ = false;
  std::optional<ChatForm> form_;
  std::optional<uint32_t> batch_;
  std::optional<uint64_t> kv_memory_;
  std::optional<std::string> output_;
  Shard shard_;
};

}  // namespace gpt2
