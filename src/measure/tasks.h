// Tasks that compare continuations of a text, as lm-evaluation-harness 0.4.13 puts them to a model: a JSON record
// becomes pairs of context and continuation. Knows texts, neither tokens nor models.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/io/json.h"

namespace gpt2 {

enum class Task : uint8_t { choices, lambada, hellaswag, piqa, winogrande, arc };
std::string_view name_of(Task task);
std::optional<Task> find_task(std::string_view name);
// Returns whether the harness divides log-likelihoods by the choices' lengths in this task.
bool has_length_norm(Task task);

struct TextPair {
  std::string context, continuation;
};

// One record as a question.
struct Example {
  std::vector<TextPair> pairs;          // one for each choice; of lambada one in all
  std::vector<std::string> choices;     // as their lengths count; empty: the one continuation is right or not
  size_t label = 0;                     // the right choice
  std::string shot;                     // how it stands before others, with its answer
};

// Returns the example that a record is. `delimiter` stands between context and choice where the task is `choices`, and
// is a space in all others. Throws Error (exit 4) that starts with `place` and names the field.
Example make_example(Task task, const Json& record, std::string_view delimiter, const std::string& place);

// Returns the pair with `shots` before it and, as the harness has it, the white space that ends its context moved to
// the continuation.
TextPair joined(std::string_view shots, const TextPair& pair);

// Returns how many characters (code points) a text has.
size_t count_characters(std::string_view text);

}  // namespace gpt2
