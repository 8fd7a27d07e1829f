// The options of `generate` for inputs of many prompts.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tools/chat_arguments.h"
#include "tools/options.h"
#include "tools/record_text.h"
#include "tools/run_arguments.h"

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
  const RunArguments& run() const noexcept { return run_; }

 private:
  bool lines_ = false, null_ = false, jsonl_ = false, chat_ = false;
  std::optional<ChatForm> form_;
  RunArguments run_;
};

}  // namespace gpt2
