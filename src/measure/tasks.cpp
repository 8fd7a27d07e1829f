#include "src/measure/tasks.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "src/base/error.h"
#include "src/text/split.h"
#include "src/text/utf8.h"

namespace gpt2 {
namespace {

constexpr std::array<std::pair<Task, std::string_view>, 6> kTasks = {{{Task::choices, "choices"},
                                                                      {Task::lambada, "lambada"},
                                                                      {Task::hellaswag, "hellaswag"},
                                                                      {Task::piqa, "piqa"},
                                                                      {Task::winogrande, "winogrande"},
                                                                      {Task::arc, "arc"}}};
constexpr std::string_view kShotDelimiter = "\n\n";

// Python's str.isspace(): White_Space and the four separators of ASCII.
bool is_space(uint32_t code_point) {
  return char_class(code_point) == CharClass::space || (code_point >= 0x1C && code_point <= 0x1F);
}

size_t leading_spaces(std::string_view text) {
  size_t n = 0;
  for (CodePoint c = decode_utf8(text); c.length > 0 && is_space(c.value); c = decode_utf8(text.substr(n)))
    n += c.length;
  return n;
}

// Returns where the white space that ends a text begins.
size_t trailing_spaces(std::string_view text) {
  size_t end = 0;
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = decode_utf8(text.substr(at));
    at += c.length;
    if (!is_space(c.value)) end = at;
  }
  return end;
}

std::string_view stripped(std::string_view text) {
  text = text.substr(0, trailing_spaces(text));
  return text.substr(leading_spaces(text));
}

std::string replaced(std::string_view text, std::string_view what, std::string_view with) {
  std::string out;
  for (size_t at = 0;;) {
    const size_t found = text.find(what, at);
    out += text.substr(at, found - at);
    if (found == std::string_view::npos) return out;
    out += with;
    at = found + what.size();
  }
}

// Removes "[...]" within a line, each up to its next "]".
std::string without_brackets(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t open = text.find('['), end = open == std::string_view::npos ? open : text.find_first_of("]\n", open);
    const bool closes = end != std::string_view::npos && text[end] == ']';
    out += text.substr(0, closes || open == std::string_view::npos ? open : open + 1);
    if (open == std::string_view::npos) break;
    text.remove_prefix(closes ? end + 1 : open + 1);
  }
  return out;
}

// HellaSwag's clean text: artifacts of WikiHow are taken out.
std::string cleaned(std::string_view text) {
  return replaced(without_brackets(replaced(stripped(text), " [title]", ". ")), "  ", " ");
}

// The scripts with capitals that English texts quote: Latin, Greek, Cyrillic. All others stay as they are.
uint32_t lower(uint32_t c) {
  const auto within = [c](uint32_t first, uint32_t last) { return c >= first && c <= last; };
  if (within('A', 'Z') || (within(0xC0, 0xDE) && c != 0xD7) || within(0x391, 0x3AB) || within(0x410, 0x42F))
    return c + 0x20;
  if (within(0x400, 0x40F)) return c + 0x50;
  if (c == 0x178) return 0xFF;
  const bool even_is_capital = (within(0x100, 0x137) && c != 0x130) || within(0x14A, 0x177) || within(0x460, 0x481);
  const bool odd_is_capital = within(0x139, 0x148) || within(0x179, 0x17E);
  return c + ((even_is_capital && c % 2 == 0) || (odd_is_capital && c % 2 == 1) ? 1 : 0);
}

// The first character large if it is one of ASCII, all others small: Python's str.capitalize().
std::string capitalized(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = decode_utf8(text.substr(at));
    const bool first = at == 0;
    at += c.length;
    if (first) {
      append_utf8(c.value >= 'a' && c.value <= 'z' ? c.value - 0x20 : c.value, out);
    } else {
      append_utf8(lower(c.value), out);
    }
  }
  return out;
}

// A record's fields, with its place for messages.
class Fields {
 public:
  Fields(const Json& record, const std::string& place) : record_(record), place_(place) {
    if (record.kind != Json::Kind::object) wrong("", "an object", record.describe());
  }

  const Json& field(std::string_view key) const { return field(record_, key, key); }
  std::string_view text(std::string_view key) const { return text(field(key), key); }

  std::vector<std::string> texts(std::string_view key) const { return texts(field(key), key); }

  // {"text": [...]} or [{"text": ...}, ...], of "label" the same.
  std::vector<std::string> column(const Json& table, std::string_view key) const {
    if (table.kind == Json::Kind::object) return texts(field(table, key, key), key);
    if (table.kind != Json::Kind::array) wrong("choices", "an array or an object", table.describe());
    std::vector<std::string> out;
    for (const Json& row : table.array) out.emplace_back(text(field(row, key, key), key));
    return out;
  }

  // A whole number below n, or its digits as a string.
  size_t index(std::string_view key, size_t n) const {
    const Json& json = field(key);
    std::optional<size_t> index;
    if (json.kind == Json::Kind::integer && json.integer >= 0) index = static_cast<size_t>(json.integer);
    if (json.kind == Json::Kind::string) {
      const char *begin = json.string.data(), *end = begin + json.string.size();
      size_t number = 0;
      if (const auto read = std::from_chars(begin, end, number); read.ec == std::errc() && read.ptr == end)
        index = number;
    }
    if (!index || *index >= n) wrong(key, "a whole number below " + std::to_string(n), json.describe());
    return *index;
  }

  [[noreturn]] void wrong(std::string_view key, const std::string& expected, const std::string& found) const {
    const std::string item = key.empty() ? "" : std::string(key) + ": ";
    fail(ExitCode::input, place_ + item + "expected " + expected + ", found " + found);
  }

  const Json& field(const Json& object, std::string_view key, std::string_view shown) const {
    const Json* found = object.find(key);
    if (found == nullptr) wrong("", "the field \"" + std::string(shown) + "\"", object.describe() + " without it");
    return *found;
  }

  std::string_view text(const Json& json, std::string_view key) const {
    if (json.kind != Json::Kind::string) wrong(key, "text", json.describe());
    return json.string;
  }

 private:
  std::vector<std::string> texts(const Json& json, std::string_view key) const {
    if (json.kind != Json::Kind::array) wrong(key, "an array of texts", json.describe());
    std::vector<std::string> out;
    for (const Json& item : json.array) out.emplace_back(text(item, key));
    return out;
  }

  const Json& record_;
  const std::string& place_;
};

// One context and several continuations behind `delimiter`.
Example question(const Fields& fields, std::string context, std::vector<std::string> choices, size_t label,
                 std::string_view delimiter) {
  if (choices.size() < 2) fields.wrong("choices", "at least 2", std::to_string(choices.size()));
  Example example;
  for (const std::string& choice : choices) example.pairs.push_back({context, std::string(delimiter) + choice});
  example.label = label;
  example.shot = context + std::string(delimiter) + choices[label] + std::string(kShotDelimiter);
  example.choices = std::move(choices);
  return example;
}

// The last word of the text behind all others: words are what stands between single spaces.
Example last_word(const Fields& fields) {
  const std::string_view text = fields.text("text");
  const size_t space = text.rfind(' ');
  const bool one_word = space == std::string_view::npos;
  Example example;
  TextPair pair = {std::string(one_word ? "" : text.substr(0, space)),
                   " " + std::string(one_word ? text : text.substr(space + 1))};
  example.shot = pair.context + " " + pair.continuation + std::string(kShotDelimiter);  // two spaces: so it is there
  example.pairs.push_back(std::move(pair));
  return example;
}

// Both contexts before one continuation: partial scoring (Trinh and Le 2018).
Example filled_blank(const Fields& fields) {
  const std::string_view sentence = fields.text("sentence");
  const size_t blank = sentence.find('_');
  if (blank == std::string_view::npos) fields.wrong("sentence", "a \"_\"", "none");
  const std::string rest = " " + std::string(stripped(sentence.substr(blank + 1)));
  Example example;
  for (const std::string_view option : {fields.text("option1"), fields.text("option2")}) {
    example.choices.push_back(std::string(sentence.substr(0, blank)) + std::string(option));
    example.pairs.push_back({example.choices.back(), rest});
  }
  const std::string_view answer = fields.text("answer");
  if (answer != "1" && answer != "2") fields.wrong("answer", "\"1\" or \"2\"", fields.field("answer").describe());
  example.label = answer == "1" ? 0 : 1;
  example.shot = example.choices[example.label];
  if (rest.size() > 1) example.shot += rest + std::string(kShotDelimiter);
  return example;
}

Example hellaswag(const Fields& fields) {
  const std::string context = std::string(fields.text("activity_label")) + ": " + std::string(fields.text("ctx_a")) +
                              " " + capitalized(fields.text("ctx_b"));
  std::vector<std::string> endings;
  for (const std::string& ending : fields.texts("endings")) endings.push_back(cleaned(ending));
  const size_t label = fields.index("label", endings.size());
  return question(fields, cleaned(context), std::move(endings), label, " ");
}

// AI2's own records ({"question": {"stem", "choices": [{"text", "label"}]}}) and the hub's.
Example arc(const Fields& fields) {
  const Json& asked = fields.field("question");
  const bool own = asked.kind == Json::Kind::object;
  const std::string_view stem = own ? fields.text(fields.field(asked, "stem", "question.stem"), "stem")
                                    : fields.text("question");
  const Json& table = own ? fields.field(asked, "choices", "question.choices") : fields.field("choices");
  std::vector<std::string> texts = fields.column(table, "text");
  const std::vector<std::string> labels = fields.column(table, "label");
  if (labels.size() != texts.size())
    fields.wrong("choices", "a label for each of " + std::to_string(texts.size()), std::to_string(labels.size()));
  const auto right = std::find(labels.begin(), labels.end(), fields.text("answerKey"));
  if (right == labels.end())
    fields.wrong("answerKey", "the label of a choice", fields.field("answerKey").describe());
  return question(fields, "Question: " + std::string(stem) + "\nAnswer:", std::move(texts),
                  static_cast<size_t>(right - labels.begin()), " ");
}

Example any_choices(const Fields& fields, std::string_view delimiter) {
  std::vector<std::string> choices = fields.texts("choices");
  const Json& label = fields.field("label");
  const auto named = label.kind == Json::Kind::string ? std::find(choices.begin(), choices.end(), label.string)
                                                       : choices.end();
  const size_t right = named != choices.end() ? static_cast<size_t>(named - choices.begin())
                                              : fields.index("label", choices.size());
  return question(fields, std::string(fields.text("context")), std::move(choices), right, delimiter);
}

}  // namespace

std::string_view name_of(Task task) {
  for (const auto& [known, name] : kTasks) {
    if (known == task) return name;
  }
  return "?";
}

std::optional<Task> find_task(std::string_view name) {
  for (const auto& [task, known] : kTasks) {
    if (known == name) return task;
  }
  return std::nullopt;
}

bool has_length_norm(Task task) { return task != Task::lambada && task != Task::winogrande; }

Example make_example(Task task, const Json& record, std::string_view delimiter, const std::string& place) {
  const Fields fields(record, place);
  switch (task) {
    case Task::choices: return any_choices(fields, delimiter);
    case Task::lambada: return last_word(fields);
    case Task::hellaswag: return hellaswag(fields);
    case Task::piqa: {
      std::vector<std::string> solutions = {std::string(fields.text("sol1")), std::string(fields.text("sol2"))};
      return question(fields, "Question: " + std::string(fields.text("goal")) + "\nAnswer:", std::move(solutions),
                      fields.index("label", 2), " ");
    }
    case Task::winogrande: return filled_blank(fields);
    case Task::arc: return arc(fields);
  }
  GPT2_CHECK(false);
}

TextPair joined(std::string_view shots, const TextPair& pair) {
  std::string context = std::string(shots) + pair.context;
  const size_t end = trailing_spaces(context);
  std::string continuation = context.substr(end) + pair.continuation;
  context.resize(end);
  return {std::move(context), std::move(continuation)};
}

size_t count_characters(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

}  // namespace gpt2
