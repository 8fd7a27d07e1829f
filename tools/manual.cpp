#include "tools/manual.h"

#include "src/base/error.h"
#include "tools/commands.h"
#include "tools/help.h"
#include "tools/version.h"

namespace gpt2 {
namespace {

// Text that roff prints as it is. A hyphen of ours is never a hyphenation point.
std::string roff(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool control = (c == '.' || c == '\'') && (out.empty() || out.back() == '\n');
    if (control) out += "\\&";
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
  }
  return out;
}

std::string bold(std::string_view text) { return "\\fB" + roff(text) + "\\fR"; }
std::string slanted(std::string_view text) { return "\\fI" + roff(text) + "\\fR"; }

std::string capitals(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return out;
}

std::string title(std::string_view page, std::string_view summary) {
  std::string name(summary);
  while (name.ends_with('.')) name.pop_back();
  return ".TH " + capitals(page) + " 1 \"" + std::string(version_date()) + "\" \"gpt2 " + std::string(version()) +
         "\" \"User Commands\"\n.SH NAME\n" + roff(page) + " \\- " + roff(name) + "\n";
}

std::string section(std::string_view name) { return ".SH " + capitals(name) + "\n"; }

// "-n, --max-new-tokens N", the names bold and the placeholder slanted.
std::string option_tag(const Option& option) {
  std::string tag;
  for (const std::string& name : split_names(option.names)) tag += (tag.empty() ? "" : ", ") + bold(name);
  if (option.value.metavar.empty()) return tag;
  if (option.value.presence == OptionValue::Presence::optional) return tag + "[=" + slanted(option.value.metavar) + "]";
  return tag + " " + slanted(option.value.metavar);
}

std::string tagged(std::string_view tag, std::string_view text) {
  return ".TP\n" + std::string(tag) + "\n" + roff(text) + "\n";
}

std::string tagged_rows(std::span<const NamedText> rows) {
  std::string out;
  for (const NamedText& row : rows) out += tagged(bold(row.name.substr(row.name.find_first_not_of(' '))), row.text);
  return out;
}

// After the heading of a section, which is a paragraph's beginning itself.
std::string paragraphs(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    out += (out.empty() ? "" : ".PP\n") + roff(text.substr(0, end)) + "\n";
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

std::string examples(std::string_view text) { return section("examples") + ".EX\n" + roff(text) + "\n.EE\n"; }

std::string see_also(std::string_view page) {
  std::string out = section("see also");
  std::string between;
  for (const std::string& other : manual_pages()) {
    if (other == page) continue;
    out += between + "\\fB" + roff(other) + "\\fR(1)";
    between = ",\n";
  }
  return out + "\n";
}

std::string program_page() {
  std::string out = title("gpt2", "runs GPT-2 on the CPU");
  out += section("synopsis") + bold("gpt2") + " " + slanted("COMMAND") + " [" + slanted("OPTION") + "]... [" +
         slanted("ARGUMENT") + "]...\n";
  out += section("commands");
  for (const CommandEntry& entry : all_commands()) out += tagged(bold(entry.name), entry.make()->text().summary);
  out += tagged(bold("help") + " [" + slanted("COMMAND") + "]", "Prints the full help of a command.");
  out += section("options") + tagged_rows(program_options());
  out += examples(program_examples());
  out += section("environment") + tagged_rows(environment_table());
  out += section("exit status") + tagged_rows(exit_status_table());
  return out + see_also("gpt2");
}

std::string command_page(Command& command) {
  const CommandText text = command.text();
  const std::string page = "gpt2-" + std::string(text.name);
  std::string out = title(page, text.summary);
  out += section("synopsis") + bold("gpt2 " + std::string(text.name)) + " [" + slanted("OPTION") + "]... " +
         slanted(text.operands) + "\n";
  out += section("description") + (text.details.empty() ? roff(text.summary) + "\n" : paragraphs(text.details));
  out += section("options");
  for (const OptionGroup& group : command.options()) {
    if (group.title != "Options") out += ".SS \"" + roff(group.title) + "\"\n";
    for (const Option& option : group.options) out += tagged(option_tag(option), option.help);
  }
  out += ".SS Help\n" + tagged(bold("-h"), "Short help with examples.") + tagged(bold("--help"), "All options.");
  out += examples(text.examples);
  out += section("exit status") + tagged_rows(exit_status_table());
  return out + see_also(page);
}

}  // namespace

std::vector<std::string> manual_pages() {
  std::vector<std::string> pages = {"gpt2"};
  for (const CommandEntry& entry : all_commands()) pages.push_back("gpt2-" + std::string(entry.name));
  return pages;
}

std::string manual_page(std::string_view page) {
  if (page == "gpt2") return program_page();
  const auto command = make_command(page.starts_with("gpt2-") ? page.substr(5) : page);
  if (command == nullptr) fail(ExitCode::usage, "no manual page of \"" + printable(page) + "\"");
  return command_page(*command);
}

}  // namespace gpt2
