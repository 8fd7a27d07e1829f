// The one table of options: the parser and the help walk it, and so can manual pages and shell completions.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace gpt2 {

// What an option takes and where it goes.
struct OptionValue {
  std::string metavar;                             // "N"; empty: a flag
  std::string expected;                            // "a whole number from 0 to 10": what a message says was expected
  std::function<bool(std::string_view text)> set;  // false: no such value; a flag's text is empty
  enum class Presence { required, optional } presence = Presence::required;  // optional: --name or --name=VALUE
  // How JSON writes it: true, "text", 3, {"ID": 3}.
  enum class Form { flag, text, number, pairs } form = Form::text;
  std::function<void()> clear = nullptr;  // what can be given several times is empty, a flag is off; others have none
};

struct Option {
  std::string names;    // "-n,--max-new-tokens", as help shows them
  std::string aliases;  // "--predict,--n-predict": understood, not shown
  std::string help;
  OptionValue value;
};

struct OptionGroup {
  std::string title;
  std::vector<Option> options;
};

// The kinds of values; `out` outlives the table. Numbers are finite and the whole text.
OptionValue flag_value(bool& out);
OptionValue text_value(std::string_view metavar, std::optional<std::string>& out);
OptionValue name_value(std::string_view metavar, std::optional<std::string>& out);  // not empty
OptionValue whole_value(uint32_t& out, uint32_t min, uint32_t max);
OptionValue whole_value(std::optional<uint32_t>& out, uint32_t min, uint32_t max);
OptionValue size_value(std::optional<uint64_t>& out);  // bytes: 1000, 64K, 2G; not 0
OptionValue seed_value(std::optional<uint64_t>& out);
OptionValue real_value(float& out, float min, float max);

// Those that can be given several times, each adding to what came before.
OptionValue texts_value(std::string_view metavar, std::vector<std::string>& out);  // not empty
OptionValue token_value(std::function<void(int32_t token)> add, std::function<void()> clear);
OptionValue pairs_value(std::string_view metavar, float most, std::function<void(int32_t token, float value)> add,
                        std::function<void()> clear);

// A flag that sets `out` to `meaning`.
template <class T>
OptionValue flag_value(T& out, typename std::type_identity<T>::type meaning) {
  return {"", "no value", [&out, meaning](std::string_view text) {
            out = meaning;
            return text.empty();
          },
          OptionValue::Presence::required, OptionValue::Form::flag};
}

// One of a few words. `metavar` is "a|b|c".
template <class T>
OptionValue choice_value(T& out, std::vector<std::pair<std::string, typename std::type_identity<T>::type>> choices) {
  OptionValue value;
  for (const auto& choice : choices) value.metavar += (value.metavar.empty() ? "" : "|") + choice.first;
  value.expected = choices.size() > 1 ? "one of " + value.metavar : value.metavar;
  value.set = [&out, choices = std::move(choices)](std::string_view text) {
    for (const auto& [name, meaning] : choices) {
      if (name == text) {
        out = meaning;
        return true;
      }
    }
    return false;
  };
  return value;
}

// What a shell can offer for a placeholder. Words in small letters stand for themselves ("f32|f16"); MODEL stands for
// the names that -m finds and for files, FILE, DIR, SRC and DST for files; all else is the user's to write.
struct Offers {
  std::vector<std::string> words;
  bool files = false, models = false;
};
Offers offers_of(std::string_view placeholder);

// "a,b" as {"a", "b"}.
std::vector<std::string> split_names(std::string_view names);

enum class Wish { run, short_help, full_help };

struct ParsedLine {
  Wish wish = Wish::run;
  std::vector<std::string> operands;  // everything that is no option; all after "--"
};

// Parses the arguments after the command's name and sets the values; the last of an option given twice counts. `_`
// stands for `-` in long names. Throws Error (exit 2) that starts with `command` and names option and value.
ParsedLine parse_options(std::string_view command, const std::vector<OptionGroup>& groups,
                         std::vector<std::string> arguments);

// Returns what to use instead of an option that other programs have and this one does not, written with - or _; empty
// if it is none of these.
std::string_view substitute_for(std::string_view name);

// Returns the name nearest to `word`, for "did you mean"; empty if none is near.
std::string nearest_name(std::string_view word, const std::vector<std::string>& names);

}  // namespace gpt2
