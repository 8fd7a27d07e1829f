#include "tools/completions.h"

#include <algorithm>

#include "tools/commands.h"

namespace gpt2 {
namespace {

std::string joined(const std::vector<std::string>& words, std::string_view between) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? std::string() : std::string(between)) + word;
  return out;
}

std::string command_names() {
  std::vector<std::string> names;
  for (const CommandEntry& entry : all_commands()) names.emplace_back(entry.name);
  return joined(names, " ");
}

bool takes_value(const Option& option) { return !option.value.metavar.empty(); }
bool may_lack_value(const Option& option) { return option.value.presence == OptionValue::Presence::optional; }

std::vector<Option> all_options(Command& command) {
  std::vector<Option> out;
  for (OptionGroup& group : command.options())
    std::move(group.options.begin(), group.options.end(), std::back_inserter(out));
  return out;
}

// The first sentence, which is what fits beside a name.
std::string brief(std::string_view help) {
  const size_t end = help.find(". ");
  std::string text(help.substr(0, end == std::string_view::npos ? help.size() : end));
  while (text.ends_with('.')) text.pop_back();
  return text;
}

// In single quotes for sh and zsh.
std::string quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

// -- bash --

std::string bash_action(const Offers& offers) {
  if (offers.models) return "_gpt2_models \"$1\"";
  if (offers.files)
    return offers.words.empty() ? "_gpt2_files" : "_gpt2_words_or_files \"" + joined(offers.words, " ") + "\"";
  return offers.words.empty() ? ":" : "_gpt2_words \"" + joined(offers.words, " ") + "\"";
}

// The words after which a value stands: "--name" and, where readline cuts at '=', "--name=".
std::string bash_pattern(const Option& option) {
  std::vector<std::string> patterns;
  for (const std::string& name : split_names(option.names + (option.aliases.empty() ? "" : "," + option.aliases))) {
    if (!may_lack_value(option)) patterns.push_back(name);
    if (name.starts_with("--")) patterns.push_back(name + "=");
  }
  return joined(patterns, " | ");
}

std::string bash_case(std::string_view name, Command& command) {
  std::string out = "    " + std::string(name) + ")\n      case $before in\n";
  std::vector<std::string> names = {"-h", "--help"};
  for (const Option& option : all_options(command)) {
    for (const std::string& option_name : split_names(option.names)) names.push_back(option_name);
    if (!takes_value(option)) continue;
    out += "        " + bash_pattern(option) + ") " + bash_action(offers_of(option.value.metavar)) + "; return ;;\n";
  }
  out += "      esac\n      if [[ $current == -* ]]; then\n        _gpt2_words \"" + joined(names, " ") +
         "\"\n      else\n";
  return out + "        " + bash_action(offers_of(command.text().operands)) + "\n      fi\n      ;;\n";
}

// -- zsh --

// Inside "[...]" of a specification.
std::string zsh_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string zsh_action(const Offers& offers) {
  if (offers.models) return "_gpt2_models";
  if (offers.files) return offers.words.empty() ? "_files" : " _gpt2_words_or_files " + joined(offers.words, " ");
  return offers.words.empty() ? " " : "(" + joined(offers.words, " ") + ")";
}

std::string zsh_option(const Option& option, const std::string& name) {
  const std::string text = "[" + zsh_text(brief(option.help)) + "]";
  if (!takes_value(option)) return quoted("*" + name + text);
  const std::string value = zsh_text(option.value.metavar) + ":" + zsh_action(offers_of(option.value.metavar));
  if (may_lack_value(option)) return quoted("*" + name + "=-" + text + "::" + value);
  return quoted("*" + name + (name.starts_with("--") ? "=" : "+") + text + ":" + value);
}

std::string zsh_case(std::string_view name, Command& command) {
  std::string out = "    " + std::string(name) + ")\n      _arguments -s -S : \\\n";
  for (const Option& option : all_options(command)) {
    for (const std::string& option_name : split_names(option.names))
      out += "        " + zsh_option(option, option_name) + " \\\n";
  }
  out += "        '(- *)-h[Short help with examples]' '(- *)--help[All options]'";
  const std::string_view operands = command.text().operands;
  if (!operands.empty())
    out += " \\\n        " + quoted("*:" + zsh_text(operands) + ":" + zsh_action(offers_of(operands)));
  return out + "\n      ;;\n";
}

// -- fish --

std::string fish_quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

std::string fish_action(const Offers& offers) {
  if (offers.models) return " -F -a '(gpt2 __models)'";
  const std::string words = offers.words.empty() ? "" : " -a " + fish_quoted(joined(offers.words, " "));
  return offers.files ? " -F" + words : words;
}

std::string fish_lines(std::string_view name, Command& command) {
  const std::string line = "complete -c gpt2 -n '__fish_seen_subcommand_from " + std::string(name) + "'";
  std::string out;
  for (const Option& option : all_options(command)) {
    out += line;
    for (const std::string& option_name : split_names(option.names)) {
      out += option_name.starts_with("--") ? " -l " + option_name.substr(2) : " -s " + option_name.substr(1);
    }
    if (takes_value(option)) {
      const Offers offers = offers_of(option.value.metavar);
      if (!may_lack_value(option)) out += offers.files ? " -r" : " -x";
      out += fish_action(offers);
    }
    out += " -d " + fish_quoted(brief(option.help)) + "\n";
  }
  out += line + " -s h -d 'Short help with examples'\n" + line + " -l help -d 'All options'\n";
  const std::string action = fish_action(offers_of(command.text().operands));
  return action.empty() ? out : out + line + action + "\n";
}

// Calls `append(name, command)` for each command.
template <class Append>
void for_commands(Append append) {
  for (const CommandEntry& entry : all_commands()) append(entry.name, *entry.make());
}

}  // namespace

std::string bash_completion() {
  std::string out =
      "# bash completion of gpt2; made by: gpt2 completions bash\n"
      "_gpt2_words() { mapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$current\"); }\n"
      "_gpt2_files() {\n"
      "  compopt -o filenames 2>/dev/null\n"
      "  mapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n"
      "}\n"
      "_gpt2_words_or_files() {\n"
      "  compopt -o filenames 2>/dev/null\n"
      "  mapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$current\"; compgen -f -- \"$current\")\n"
      "}\n"
      "_gpt2_models() {\n"
      "  compopt -o filenames 2>/dev/null\n"
      "  mapfile -t COMPREPLY < <(compgen -W \"$(\"$1\" __models 2>/dev/null)\" -- \"$current\"; compgen -f -- "
      "\"$current\")\n"
      "}\n"
      "_gpt2() {\n"
      "  local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}\n"
      "  COMPREPLY=()\n"
      "  if [[ $current == = ]]; then\n"
      "    before+== current=\n"
      "  elif [[ $before == = ]]; then\n"
      "    before=${COMP_WORDS[COMP_CWORD - 2]}=\n"
      "  fi\n"
      "  if ((COMP_CWORD == 1)); then\n";
  out += "    _gpt2_words \"" + command_names() +
         " help -h --help --version\"\n    return\n  fi\n  case ${COMP_WORDS[1]} in\n";
  for_commands([&](std::string_view name, Command& command) { out += bash_case(name, command); });
  return out + "    help) _gpt2_words \"" + command_names() + "\" ;;\n  esac\n}\ncomplete -F _gpt2 gpt2\n";
}

std::string zsh_completion() {
  std::string out =
      "#compdef gpt2\n"
      "# zsh completion of gpt2; made by: gpt2 completions zsh\n"
      "_gpt2_words_or_files() { _alternative \"words:word:($*)\" 'files:file:_files' }\n"
      "_gpt2_models() {\n"
      "  local -a names=(${(f)\"$(gpt2 __models 2>/dev/null)\"})\n"
      "  compadd -a names\n"
      "  _files\n"
      "}\n"
      "_gpt2() {\n"
      "  local -a commands=(\n";
  for_commands([&](std::string_view name, Command& command) {
    out += "    " + quoted(std::string(name) + ":" + brief(command.text().summary)) + "\n";
  });
  out +=
      "    'help:Prints the full help of a command'\n"
      "  )\n"
      "  if ((CURRENT == 2)); then\n"
      "    _describe -t commands command commands\n"
      "    return\n"
      "  fi\n"
      "  local command=$words[2]\n"
      "  shift words\n"
      "  ((CURRENT--))\n"
      "  case $command in\n";
  for_commands([&](std::string_view name, Command& command) { out += zsh_case(name, command); });
  return out +
         "    help) _describe -t commands command commands ;;\n"
         "  esac\n"
         "}\n"
         "if [[ $funcstack[1] == _gpt2 ]]; then _gpt2 \"$@\"; else compdef _gpt2 gpt2; fi\n";
}

std::string fish_completion() {
  std::string out =
      "# fish completion of gpt2; made by: gpt2 completions fish\n"
      "complete -c gpt2 -f\n";
  for_commands([&](std::string_view name, Command& command) {
    out += "complete -c gpt2 -n __fish_use_subcommand -a " + std::string(name) + " -d " +
           fish_quoted(brief(command.text().summary)) + "\n";
  });
  out += "complete -c gpt2 -n __fish_use_subcommand -a help -d 'Prints the full help of a command'\n";
  out += "complete -c gpt2 -n '__fish_seen_subcommand_from help' -a " + fish_quoted(command_names()) + "\n";
  for_commands([&](std::string_view name, Command& command) { out += fish_lines(name, command); });
  return out;
}

}  // namespace gpt2
