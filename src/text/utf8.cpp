#include "src/text/utf8.h"

#include "src/base/error.h"

namespace gpt2 {
namespace {

constexpr uint32_t kReplacement = 0xFFFD;

// How many bytes the lead byte announces; 1 for a byte that cannot lead.
size_t announced_length(unsigned char lead) {
  if (lead >= 0xF0 && lead <= 0xF4) return 4;
  if (lead >= 0xE0 && lead <= 0xEF) return 3;
  return lead >= 0xC2 && lead <= 0xDF ? 2 : 1;
}

// Whether `text` could still become a well-formed sequence with more bytes: some completion is well-formed.
bool is_proper_prefix(std::string_view text) {
  const size_t length = announced_length(static_cast<unsigned char>(text[0]));
  if (text.size() >= length) return false;
  // The second byte alone decides among E0, ED, F0, F4; 0x80 or 0xBF or 0x90 completes whatever can be completed.
  for (const char second : {'\x80', '\xBF', '\x90'}) {
    std::string whole(text);
    if (whole.size() == 1) whole += second;
    whole.resize(length, '\x80');
    if (utf8_sequence_length(whole) == length) return true;
  }
  return false;
}

}  // namespace

CodePoint decode_utf8(std::string_view text) {
  if (text.empty()) return {};
  const size_t length = utf8_sequence_length(text);
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<unsigned char>(text[i])); };
  switch (length) {
    case 1: return {byte(0), 1, true};
    case 2: return {(byte(0) & 0x1F) << 6 | (byte(1) & 0x3F), 2, true};
    case 3: return {(byte(0) & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F), 3, true};
    case 4:
      return {(byte(0) & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F), 4, true};
    default: return {kReplacement, 1, false};
  }
}

void append_utf8(uint32_t c, std::string& out) {
  const auto put = [&](uint32_t byte) { out += static_cast<char>(byte); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | c >> 6);
    put(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    put(0xE0 | c >> 12);
    put(0x80 | (c >> 6 & 0x3F));
    put(0x80 | (c & 0x3F));
  } else {
    put(0xF0 | c >> 18);
    put(0x80 | (c >> 12 & 0x3F));
    put(0x80 | (c >> 6 & 0x3F));
    put(0x80 | (c & 0x3F));
  }
}

void Utf8Stream::push(std::string_view bytes, std::string& out) {
  held_ += bytes;
  drain(false, out);
}

void Utf8Stream::finish(std::string& out) { drain(true, out); }

void Utf8Stream::drain(bool final, std::string& out) {
  const std::string_view text = held_;
  size_t at = 0;
  while (at < text.size()) {
    const std::string_view rest = text.substr(at);
    if (const size_t length = utf8_sequence_length(rest); length > 0) {
      out += rest.substr(0, length);
      at += length;
      continue;
    }
    if (is_proper_prefix(rest) && !final) break;
    // The maximal subpart: the longest start of a well-formed sequence, at least one byte.
    size_t subpart = 1;
    while (subpart < rest.size() && is_proper_prefix(rest.substr(0, subpart + 1))) ++subpart;
    if (policy_ == InvalidUtf8::keep) {
      out += rest.substr(0, subpart);
    } else {
      append_utf8(kReplacement, out);
    }
    at += subpart;
  }
  held_.erase(0, at);
}

}  // namespace gpt2
