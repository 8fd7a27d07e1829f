#include "src/text/utf8.h"

#include "src/base/broken_utf8.h"
#include "src/base/error.h"

namespace gpt2 {
namespace {

constexpr uint32_t kReplacement = 0xFFFD;

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
    if (may_become_utf8(rest) && !final) break;
    const size_t subpart = broken_utf8_length(rest);
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
