#include "src/io/json.h"

#include <simdjson.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <new>
#include <tuple>

#include "src/base/broken_utf8.h"
#include "src/base/error.h"

namespace gpt2 {
namespace {

constexpr size_t kMaxDepth = 64;
constexpr size_t kMaxMessage = 120;
constexpr size_t kFreeMemory = size_t{1} << 20;

// The values and keys of a text, as many as its commas, brackets and colons can make; so it may be no JSON at all.
struct JsonCount {
  size_t values = 1, keys = 0;

  explicit JsonCount(std::string_view text) {
    for (size_t i = 0; i < text.size(); ++i) {
      const char c = text[i];
      if (c == '"') {
        while (++i < text.size() && text[i] != '"') i += text[i] == '\\' ? 1 : 0;
      }
      values += c == ',' || c == '[' || c == '{' ? 1 : 0;
      keys += c == ':' ? 1 : 0;
    }
  }
  size_t bytes() const {
    return values * sizeof(Json) + keys * (sizeof(Json::Member) - sizeof(Json) + sizeof(PlacedKey));
  }

  // A key and where it stands, for the search of a key that is there twice.
  struct PlacedKey {
    std::string_view key;
    size_t offset;
  };
};

// Where a text stops being JSON: simdjson says only that it does.
class FaultFinder {
 public:
  explicit FaultFinder(std::string_view text) : text_(text) {}

  // The first byte that cannot stand where it stands.
  size_t find() {
    size_t valid = 0;
    while (const size_t length = utf8_sequence_length(text_.substr(valid))) valid += length;
    if (value(0)) space();
    if (valid <= at_ && is_bare_surrogate(text_.substr(valid))) {
      surrogate_ = "as three bytes";
    } else if (valid < at_) {
      surrogate_ = {};
    }
    return std::min(at_, valid);
  }

  // After find(): how half of a character beyond U+FFFF is written that stands there without its other half; empty if
  // none does.
  std::string_view surrogate() const { return surrogate_; }

 private:
  char here() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool take(char c) {
    if (here() != c) return false;
    ++at_;
    return true;
  }
  void space() { at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size()); }
  bool word(std::string_view word) {
    for (const char c : word) {
      if (!take(c)) return false;
    }
    return true;
  }

  bool value(size_t depth) {
    space();
    switch (here()) {
      case '{':
      case '[': return depth < kMaxDepth && container(depth + 1);
      case '"': return string();
      case 't': return word("true");
      case 'f': return word("false");
      case 'n': return word("null");
      default: return number();
    }
  }

  bool container(size_t depth) {
    const bool object = here() == '{';
    const char close = object ? '}' : ']';
    ++at_;
    space();
    if (take(close)) return true;
    for (;;) {
      space();
      if (object && !string()) return false;
      space();
      if (object && !take(':')) return false;
      if (!value(depth)) return false;
      space();
      if (!take(',')) return take(close);
    }
  }

  bool string() {
    if (!take('"')) return false;
    while (at_ < text_.size() && static_cast<unsigned char>(here()) >= 0x20) {
      if (take('"')) return true;
      const size_t begin = at_;
      if (!take('\\')) {
        ++at_;
        continue;
      }
      constexpr std::string_view kEscapes = "\"\\/bfnrt";
      const size_t digits = take('u') ? 4 : 0;
      if (digits == 0 && kEscapes.find(here()) == std::string_view::npos) return false;
      const size_t end = digits > 0 ? at_ + digits : at_ + 1;
      for (; digits > 0 && at_ < end; ++at_) {
        if (std::isxdigit(static_cast<unsigned char>(here())) == 0) return false;
      }
      at_ = end;
      const std::string_view escape = text_.substr(begin, end - begin);
      if (digits == 0) continue;
      const bool high = is_surrogate(escape, "dD", "89abAB"), low = is_surrogate(escape, "dD", "cdefCDEF");
      const bool pairs = high ? is_surrogate(text_.substr(end, 6), "dD", "cdefCDEF") : low && second_half_ == begin;
      if ((high || low) && !pairs) {
        surrogate_ = escape;
        return false;
      }
      if (high) second_half_ = end;
    }
    return false;
  }

  // U+D800 to U+DFFF in the form of UTF-8, which has none.
  static bool is_bare_surrogate(std::string_view text) {
    return text.size() >= 3 && text[0] == '\xED' && static_cast<unsigned char>(text[1]) >= 0xA0;
  }

  // Whether an escape \uXY.. has its first two digits among these.
  static bool is_surrogate(std::string_view escape, std::string_view first, std::string_view second) {
    return escape.size() == 6 && escape.starts_with("\\u") && first.find(escape[2]) != std::string_view::npos &&
           second.find(escape[3]) != std::string_view::npos;
  }

  bool digits() {
    const size_t begin = at_;
    while (here() >= '0' && here() <= '9') ++at_;
    return at_ > begin;
  }

  bool number() {
    const size_t begin = at_;
    take('-');
    if (!take('0') && !digits()) return false;
    if (take('.') && !digits()) return false;
    if (take('e') || take('E')) {
      if (!take('+')) take('-');
      if (!digits()) return false;
    }
    // The grammar allows what no type holds.
    const std::string_view text = text_.substr(begin, at_ - begin);
    double real = 0;
    const std::errc error = std::from_chars(text.data(), text.data() + text.size(), real).ec;
    if (error != std::errc()) at_ = begin;
    return error == std::errc();
  }

  std::string_view text_, surrogate_;
  size_t at_ = 0, second_half_ = 0;  // second_half_: where the escape that completes a pair begins
};

// Whether a number is a whole one that no integer type holds.
bool is_past_integers(std::string_view number) {
  if (number.find_first_of(".eE") != std::string_view::npos) return false;
  const char *const begin = number.data(), *const end = begin + number.size();
  int64_t negative = 0;
  uint64_t natural = 0;
  const std::errc error =
      number[0] == '-' ? std::from_chars(begin, end, negative).ec : std::from_chars(begin, end, natural).ec;
  return error == std::errc::result_out_of_range;
}

// Makes reals of as many characters of the whole numbers that no integer type holds: 1234567890123456789012 becomes
// 12345678901234567890e2. (Every tokenizer_config.json without a longest text has 1000000000000000019884624838656.)
void write_as_reals(std::string& text) {
  constexpr std::string_view kNumber = "+-.0123456789eE";
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"') {
      while (++i < text.size() && text[i] != '"') i += text[i] == '\\' ? 1 : 0;
    } else if (text[i] == '-' || (text[i] >= '0' && text[i] <= '9')) {
      const size_t end = std::min(text.find_first_not_of(kNumber, i), text.size());
      if (is_past_integers(std::string_view(text).substr(i, end - i))) text.replace(end - 2, 2, "e2");
      i = end - 1;
    }
  }
}

// What stands where a value could: Python writes numbers that JSON has not.
std::string describe_fault(std::string_view rest, std::string_view otherwise) {
  for (const std::string_view word : {"NaN", "Infinity"}) {
    if (rest.starts_with(word)) return std::string(word) + ", which JSON does not have (null stands for no value)";
  }
  return std::string(otherwise);
}

// Copies simdjson's tree with the places of its keys, refusing what a map would hide.
class Copier {
 public:
  explicit Copier(std::string_view text) : text_(text) {}

  Json copy(simdjson::dom::element element) {
    Json json;
    switch (element.type()) {
      case simdjson::dom::element_type::NULL_VALUE: break;
      case simdjson::dom::element_type::BOOL:
        json.kind = Json::Kind::boolean;
        json.boolean = bool(element);
        break;
      case simdjson::dom::element_type::INT64:
        json.kind = Json::Kind::integer;
        json.integer = int64_t(element);
        break;
      case simdjson::dom::element_type::UINT64:
        json.kind = Json::Kind::unsigned_integer;
        json.unsigned_integer = uint64_t(element);
        break;
      case simdjson::dom::element_type::DOUBLE:
        json.kind = Json::Kind::real;
        json.real = double(element);
        break;
      case simdjson::dom::element_type::STRING:
        json.kind = Json::Kind::string;
        json.string = std::string_view(element);
        break;
      case simdjson::dom::element_type::ARRAY:
        json.kind = Json::Kind::array;
        copy_array(element, json);
        break;
      case simdjson::dom::element_type::OBJECT: copy_object(element, json); break;
    }
    return json;
  }

  const std::optional<JsonFault>& fault() const { return fault_; }

 private:
  void copy_array(simdjson::dom::array array, Json& json) {
    std::vector<Json> items;
    items.reserve(array.size());
    for (const simdjson::dom::element child : array) items.push_back(copy(child));
    json.array.set(std::move(items));
  }

  void copy_object(simdjson::dom::object object, Json& json) {
    json.kind = Json::Kind::object;
    std::vector<Json::Member> members;
    std::vector<JsonCount::PlacedKey> keys;
    members.reserve(object.size());
    keys.reserve(object.size());
    for (const simdjson::dom::key_value_pair member : object) {
      const size_t offset = next_key();
      keys.push_back({member.key, offset});
      members.push_back({std::string(member.key), copy(member.value), offset});
    }
    json.object.set(std::move(members));
    find_twice(keys);
  }

  // The first key of the text that its object has before it is the fault.
  void find_twice(std::vector<JsonCount::PlacedKey>& keys) {
    std::sort(keys.begin(), keys.end(),
              [](const auto& a, const auto& b) { return std::tie(a.key, a.offset) < std::tie(b.key, b.offset); });
    for (size_t i = 1; i < keys.size(); ++i) {
      if (keys[i].key != keys[i - 1].key || (fault_ && fault_->offset <= keys[i].offset)) continue;
      fault_ = {"each key once", "\"" + std::string(keys[i].key) + "\" twice in one object", keys[i].offset};
    }
  }

  // The tree is walked in the order of the text, so the next key is the next string that stands before a colon.
  size_t next_key() {
    for (;;) {
      const size_t quote = text_.find('"', at_);
      at_ = quote + 1;
      while (text_[at_] != '"') at_ += text_[at_] == '\\' ? 2 : 1;
      at_ = text_.find_first_not_of(" \t\r\n", at_ + 1);
      if (at_ < text_.size() && text_[at_] == ':') return quote;
    }
  }

  std::string_view text_;
  size_t at_ = 0;
  std::optional<JsonFault> fault_;
};

}  // namespace

const Json* Json::find(std::string_view key) const {
  for (const Member& member : object) {
    if (member.first == key) return &member.second;
  }
  return nullptr;
}

std::string Json::describe() const {
  switch (kind) {
    case Kind::null: return "null";
    case Kind::boolean: return boolean ? "true" : "false";
    case Kind::integer: return "the number " + std::to_string(integer);
    case Kind::unsigned_integer: return "the number " + std::to_string(unsigned_integer);
    case Kind::real: return "the number " + json_number(real);
    case Kind::string: return "the string \"" + printable(string, kMaxMessage) + "\"";
    case Kind::array: return "an array of " + std::to_string(array.size());
    case Kind::object: return "an object";
  }
  return "?";
}

std::optional<JsonFault> read_json(std::string_view text, Json& out) {
  const JsonCount count(text);
  if (count.bytes() > kJsonMemory * text.size() + kFreeMemory) {
    return JsonFault{"a text of fewer values for its " + std::to_string(text.size()) + " bytes",
                     std::to_string(count.values) + " values", 0};
  }
  // simdjson's parser keeps one stack entry a level; a document that is too deep is refused, not followed.
  simdjson::dom::parser parser;
  std::string padded;
  padded.reserve(text.size() + simdjson::SIMDJSON_PADDING);
  padded = text;
  auto error = parser.allocate(text.size() > 0 ? text.size() : 1, kMaxDepth);
  simdjson::dom::element root;
  if (!error) error = parser.parse(padded.data(), text.size(), false).get(root);
  if (error == simdjson::NUMBER_ERROR) {
    write_as_reals(padded);
    error = parser.parse(padded.data(), text.size(), false).get(root);
  }
  if (error == simdjson::MEMALLOC) throw std::bad_alloc();
  if (error) {
    FaultFinder finder(text);
    const size_t offset = finder.find();
    const std::string_view surrogate = finder.surrogate();
    return JsonFault{"valid JSON",
                     surrogate.empty() ? describe_fault(text.substr(offset), simdjson::error_message(error))
                                       : "a lone surrogate (" + std::string(surrogate) + "), half a character",
                     offset};
  }
  Copier copier(text);
  Json json = copier.copy(root);
  if (copier.fault()) return copier.fault();
  out = std::move(json);
  return std::nullopt;
}

Json parse_json(std::string_view text, std::string_view file, std::string_view item) {
  Json json;
  if (const auto fault = read_json(text, json)) fail_model(file, item, fault->expected, fault->found);
  return json;
}

std::string json_quote(std::string_view text) {
  std::string out = "\"";
  out.reserve(text.size() + 2);
  for (size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c < 0x7F && c != '"' && c != '\\') {
      out += text[i++];
      continue;
    }
    const size_t length = utf8_sequence_length(text.substr(i));
    if (c == '"' || c == '\\') {
      out += '\\';
      out += text[i];
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c < 0x20 || c == 0x7F) {
      constexpr char digits[] = "0123456789abcdef";
      out += "\\u00";
      out += digits[c >> 4];
      out += digits[c & 15];
    } else if (length == 0) {
      out += "\xEF\xBF\xBD";
    } else {
      out += text.substr(i, length);
    }
    i += length > 0 ? length : broken_utf8_length(text.substr(i));
  }
  return out + "\"";
}

namespace {
template <class T>
std::string shortest(T value) {
  if (!std::isfinite(value)) return "null";
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}
}  // namespace

std::string json_number(double value) { return shortest(value); }
std::string json_number(float value) { return shortest(value); }

}  // namespace gpt2
