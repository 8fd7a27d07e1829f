#include "tools/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <limits>

#include "src/base/error.h"

namespace gpt2 {
namespace {

// The number that is the whole of `text`; none if it is anything else or out of [min, max].
template <class T>
std::optional<T> parse_number(std::string_view text, T min, T max) {
  T number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole && number >= min && number <= max ? std::optional<T>(number) : std::nullopt;
}

template <class Out>
OptionValue whole(Out& out, uint32_t min, uint32_t max) {
  return {"N", "a whole number from " + std::to_string(min) + " to " + std::to_string(max),
          [&out, min, max](std::string_view text) {
            const auto number = parse_number<uint32_t>(text, min, max);
            if (number) out = *number;
            return number.has_value();
          },
          OptionValue::Presence::required, OptionValue::Form::number};
}

// A number of the table, for messages: 0.5, 100.
std::string short_number(float value) {
  char text[32];
  return std::string(text, std::to_chars(text, text + sizeof text, value).ptr);
}

std::string in_quotes(std::string_view text) { return "\"" + printable(text) + "\""; }

// A lone "-" and "- item" are operands.
bool looks_like_option(std::string_view word) {
  return word.size() > 1 && word[0] == '-' && word[1] != ' ' && word[1] != '\n' && word[1] != '\t';
}

std::vector<std::string> all_names(const std::vector<OptionGroup>& groups) {
  std::vector<std::string> names = {"-h", "--help"};
  for (const OptionGroup& group : groups) {
    for (const Option& option : group.options) {
      for (const std::string_view list : {option.names, option.aliases}) {
        for (std::string& name : split_names(list)) names.push_back(std::move(name));
      }
    }
  }
  return names;
}

// "--top_k=5" becomes "--top-k=5" where that is an option.
void spell_with_hyphens(std::vector<std::string>& arguments, const std::vector<std::string>& names) {
  for (std::string& argument : arguments) {
    if (!argument.starts_with("--")) continue;
    const size_t end = std::min(argument.find('='), argument.size());
    std::string name = argument.substr(0, end);
    std::replace(name.begin(), name.end(), '_', '-');
    if (std::find(names.begin(), names.end(), name) != names.end()) argument.replace(0, end, name);
  }
}

CLI::Option* declare(CLI::App& app, const Option& option) {
  const bool takes_value = !option.value.metavar.empty() && option.value.presence == OptionValue::Presence::required;
  const std::string names = option.names + (option.aliases.empty() ? "" : "," + option.aliases);
  CLI::Option* declared = takes_value ? app.add_option(names) : app.add_flag(names);
  return declared->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

void set_value(std::string_view command, const Option& option, std::string_view text) {
  if (option.value.set(text)) return;
  const std::string name = split_names(option.names).back();
  fail(ExitCode::usage,
       std::string(command) + ": " + name + ": expected " + option.value.expected + ", found " + in_quotes(text));
}

[[noreturn]] void fail_unknown(std::string_view command, std::string_view word, const std::vector<std::string>& names) {
  const std::string name(word.substr(0, word.find('=')));
  std::string message = std::string(command) + ": unknown option " + in_quotes(name);
  const std::string_view substitute = substitute_for(name);
  const std::string near = nearest_name(name, names);
  message += !substitute.empty() ? ": " + std::string(substitute)
             : near.empty()      ? " (-- before text that starts with a hyphen)"
                                 : "; did you mean " + near + "?";
  fail(ExitCode::usage, message);
}

std::string missing_value(const CLI::ParseError& error) {
  const std::string_view text = error.what();
  return std::string(text.substr(0, text.find(':'))) + " needs a value";
}

}  // namespace

OptionValue flag_value(bool& out) {
  OptionValue value = flag_value(out, true);
  value.clear = [&out] { out = false; };
  return value;
}

OptionValue text_value(std::string_view metavar, std::optional<std::string>& out) {
  return {std::string(metavar), "text", [&out](std::string_view text) {
            out = text;
            return true;
          }};
}

OptionValue name_value(std::string_view metavar, std::optional<std::string>& out) {
  return {std::string(metavar), "a name", [&out](std::string_view text) {
            out = text;
            return !text.empty();
          }};
}

OptionValue whole_value(uint32_t& out, uint32_t min, uint32_t max) { return whole(out, min, max); }
OptionValue whole_value(std::optional<uint32_t>& out, uint32_t min, uint32_t max) { return whole(out, min, max); }

OptionValue seed_value(std::optional<uint64_t>& out) {
  constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();
  return {"N", "a whole number from 0 to " + std::to_string(kMax), [&out](std::string_view text) {
            out = parse_number<uint64_t>(text, 0, kMax);
            return out.has_value();
          },
          OptionValue::Presence::required, OptionValue::Form::number};
}

OptionValue size_value(std::optional<uint64_t>& out) {
  return {"SIZE", "a number of bytes, with K, M or G behind it for powers of 1024", [&out](std::string_view text) {
            constexpr std::string_view kUnits = "KMG";
            const size_t unit = text.empty() ? std::string_view::npos : kUnits.find(text.back());
            const int shift = unit == std::string_view::npos ? 0 : 10 * (static_cast<int>(unit) + 1);
            if (shift > 0) text.remove_suffix(1);
            const auto number = parse_number<uint64_t>(text, 1, std::numeric_limits<uint64_t>::max() >> shift);
            if (number) out = *number << shift;
            return number.has_value();
          }};
}

OptionValue real_value(float& out, float min, float max) {
  return {"X", "a number from " + short_number(min) + " to " + short_number(max),
          [&out, min, max](std::string_view text) {
            const auto number = parse_number<float>(text, min, max);
            if (number) out = *number;
            return number.has_value();
          },
          OptionValue::Presence::required, OptionValue::Form::number};
}

OptionValue texts_value(std::string_view metavar, std::vector<std::string>& out) {
  return {std::string(metavar), "text that is not empty", [&out](std::string_view text) {
            out.emplace_back(text);
            return !text.empty();
          },
          OptionValue::Presence::required, OptionValue::Form::text, [&out] { out.clear(); }};
}

OptionValue token_value(std::function<void(int32_t token)> add, std::function<void()> clear) {
  return {"ID", "a token id", [add = std::move(add)](std::string_view text) {
            const auto token = parse_number<int32_t>(text, 0, std::numeric_limits<int32_t>::max());
            if (token) add(*token);
            return token.has_value();
          },
          OptionValue::Presence::required, OptionValue::Form::number, std::move(clear)};
}

OptionValue pairs_value(std::string_view metavar, float most, std::function<void(int32_t token, float value)> add,
                        std::function<void()> clear) {
  return {std::string(metavar),
          "a token id, a colon, and a number from -" + short_number(most) + " to " + short_number(most),
          [most, add = std::move(add)](std::string_view text) {
            const size_t colon = std::min(text.find(':'), text.size());
            const auto token = parse_number<int32_t>(text.substr(0, colon), 0, std::numeric_limits<int32_t>::max());
            const auto value = parse_number<float>(text.substr(std::min(colon + 1, text.size())), -most, most);
            if (token && value) add(*token, *value);
            return token && value;
          },
          OptionValue::Presence::required,
          OptionValue::Form::pairs,
          std::move(clear)};
}

Offers offers_of(std::string_view placeholder) {
  constexpr std::string_view kSmall = "abcdefghijklmnopqrstuvwxyz0123456789-_", kBetween = "[]| .";
  Offers offers;
  while (!placeholder.empty()) {
    const size_t end = std::min(placeholder.find_first_of(kBetween), placeholder.size());
    const std::string_view word = placeholder.substr(0, end);
    placeholder.remove_prefix(std::min(end + 1, placeholder.size()));
    if (word == "MODEL") offers.models = offers.files = true;
    if (word == "FILE" || word == "DIR" || word == "SRC" || word == "DST") offers.files = true;
    if (!word.empty() && word.find_first_not_of(kSmall) == std::string_view::npos) offers.words.emplace_back(word);
  }
  return offers;
}

std::vector<std::string> split_names(std::string_view names) {
  std::vector<std::string> out;
  while (!names.empty()) {
    const size_t end = std::min(names.find(','), names.size());
    out.emplace_back(names.substr(0, end));
    names.remove_prefix(std::min(end + 1, names.size()));
  }
  return out;
}

// CLI11 sees the words before "--" and declares what it does not know as extras; operands are taken from those, so that
// it never interprets one ("[a, b]" would become a list).
ParsedLine parse_options(std::string_view command, const std::vector<OptionGroup>& groups,
                         std::vector<std::string> arguments) {
  const auto dashes = std::find(arguments.begin(), arguments.end(), "--");
  const std::vector<std::string> after(dashes == arguments.end() ? dashes : dashes + 1, arguments.end());
  arguments.erase(dashes, arguments.end());
  const std::vector<std::string> names = all_names(groups);
  spell_with_hyphens(arguments, names);

  CLI::App app;
  app.allow_extras();
  app.set_help_flag("-h");
  app.set_help_all_flag("--help");
  std::vector<std::pair<const Option*, CLI::Option*>> declared;
  for (const OptionGroup& group : groups) {
    for (const Option& option : group.options) declared.emplace_back(&option, declare(app, option));
  }
  ParsedLine line;
  try {
    std::reverse(arguments.begin(), arguments.end());
    app.parse(std::move(arguments));
  } catch (const CLI::CallForAllHelp&) {
    return {Wish::full_help, {}};
  } catch (const CLI::CallForHelp&) {
    return {Wish::short_help, {}};
  } catch (const CLI::ArgumentMismatch& error) {
    fail(ExitCode::usage, std::string(command) + ": " + missing_value(error));
  } catch (const CLI::ParseError& error) {
    fail(ExitCode::usage, std::string(command) + ": " + printable(error.what(), 200));
  }
  line.operands = app.remaining();
  for (const std::string& word : line.operands) {
    if (looks_like_option(word)) fail_unknown(command, word, names);
  }
  line.operands.insert(line.operands.end(), after.begin(), after.end());
  for (const auto& [option, parsed] : declared) {
    const bool is_flag = parsed->get_items_expected_max() == 0;
    for (const std::string& text : parsed->results()) {
      set_value(command, *option, is_flag && text == "true" ? "" : text);
    }
  }
  return line;
}

std::string_view substitute_for(std::string_view name) {
  struct Substitute {
    std::string_view begin;  // of the name
    std::string_view text;
  };
  constexpr std::string_view kBeams =
      "there is no beam search; --greedy takes the most likely token each time, -N 4 draws 4 texts (with --json "
      "--logprobs 0: what each token's probability was)";
  constexpr Substitute kSubstitutes[] = {
      {"beam", kBeams},
      {"num-beam", kBeams},
      {"n-beam", kBeams},
      {"use-beam", kBeams},
      {"best-of", kBeams},
      {"length-penalty", kBeams},
      {"early-stopping", kBeams},
      {"diversity-penalty", kBeams},
      {"do-sample", "tokens are drawn unless --greedy takes the most likely one"},
      {"max-length", "-n N (max_new_tokens) counts the new tokens, without the prompt"},
  };
  std::string spelled(name.substr(std::min(name.find_first_not_of('-'), name.size())));
  std::replace(spelled.begin(), spelled.end(), '_', '-');
  for (const Substitute& substitute : kSubstitutes) {
    if (spelled.starts_with(substitute.begin)) return substitute.text;
  }
  return "";
}

// Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours count one each.
std::string nearest_name(std::string_view word, const std::vector<std::string>& names) {
  std::string nearest;
  size_t best = word.size() / 3 + 2;  // names at this distance or further are not near
  for (const std::string& name : names) {
    std::vector<size_t> before, above(name.size() + 1), row(name.size() + 1);
    for (size_t j = 0; j <= name.size(); ++j) above[j] = j;
    for (size_t i = 1; i <= word.size(); ++i) {
      row[0] = i;
      for (size_t j = 1; j <= name.size(); ++j) {
        row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (word[i - 1] != name[j - 1])});
        const bool swapped = i > 1 && j > 1 && word[i - 1] == name[j - 2] && word[i - 2] == name[j - 1];
        if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
      }
      before = above;
      std::swap(above, row);
    }
    if (above[name.size()] < best && name.size() > 2) {
      best = above[name.size()];
      nearest = name;
    }
  }
  return nearest;
}

}  // namespace gpt2
