// One record of an input of many prompts: a line of text or a JSON object becomes a prompt and a request, or the reason
// why not.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/engine/engine.h"
#include "src/model/model.h"
#include "src/text/chat_template.h"
#include "tools/record_text.h"
#include "tools/request_arguments.h"

namespace gpt2 {

struct Record {
  uint64_t index = 0;           // in the whole input, from 0
  std::string id;               // as JSON
  std::vector<int32_t> prompt;
  size_t n_prompt = 0, n_dropped = 0;  // tokens of the prompt, and those before them that were left out
  RequestArguments arguments;
  Request request;              // with the record's seed
  uint64_t made_from = 0;       // made_from.h
  std::optional<RecordFailure> failure;
};

class RecordParser {
 public:
  // `defaults`: what the command line says; its seed makes those of records without one. `escaped`: backslash escapes
  // stand in lines. `source` names the input in messages. `model` outlives the parser. Throws Error for defaults that
  // do not fit the model.
  RecordParser(const Model& model, const RequestArguments& defaults, RecordFormat format, bool escaped,
               std::string source);
  RecordParser(const RecordParser&) = delete;

  // Records have messages, which are rendered by this template, instead of prompt or tokens.
  void expect_messages(const ChatTemplate& chat) { chat_ = chat; }
  // Never throws for what stands in the record: that is its failure.
  Record parse(std::string_view text, RecordPlace place);
  // Returns the record of a line that was too long to be read, or of an input in a foreign encoding.
  Record too_long(RecordPlace place, uint64_t limit) const;
  Record foreign(RecordPlace place, const char* encoding) const;
  const Tokenizer& tokenizer() const noexcept { return model_.tokenizer(); }

 private:
  void parse_object(std::string_view text, Record& record);
  void set_key(const Json::Member& member, Record& record);
  const Option& option_of(const Json::Member& member);
  void set_option(const Option& option, const Json::Member& member);
  std::vector<std::string> prompt_keys() const;
  const Json::Member& find_prompt(const Json& json, size_t begin) const;
  void set_prompt(const Json& json, const Json::Member& member, Record& record);
  void finish(Record& record) const;
  Record failed(RecordPlace place, const std::string& message) const;

  const Model& model_;
  RequestArguments defaults_, arguments_;  // arguments_: of the record that is read; the options' values are its
  std::vector<Option> options_;
  std::vector<std::vector<std::string>> keys_;    // of each option: its long name and the aliases
  std::vector<const std::string*> written_;       // of each option: the key that the record has, nullptr for none
  RecordFormat format_;
  bool escaped_;
  std::string source_;
  std::optional<ChatTemplate> chat_;
};

}  // namespace gpt2
