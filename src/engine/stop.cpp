#include "src/engine/stop.h"

#include <algorithm>

#include "src/base/error.h"

namespace gpt2 {

StopMatcher::StopMatcher(const std::vector<std::string>& stops, Keep keep) : keep_(keep) {
  for (const std::string& text : stops) {
    GPT2_CHECK(!text.empty());
    Pattern pattern = {text, std::vector<uint32_t>(text.size() + 1, 0), 0};
    for (size_t n = 1, length = 0; n < text.size(); ++n) {
      while (length > 0 && text[n] != text[length]) length = pattern.border[length];
      if (text[n] == text[length]) ++length;
      pattern.border[n + 1] = static_cast<uint32_t>(length);
    }
    patterns_.push_back(std::move(pattern));
  }
  std::stable_sort(patterns_.begin(), patterns_.end(),
                   [](const Pattern& a, const Pattern& b) { return a.text.size() > b.text.size(); });
}

void StopMatcher::push(std::string_view bytes, std::string& out) {
  if (matched()) return;
  for (const char byte : bytes) {
    held_ += byte;
    size_t held_back = 0;
    for (size_t i = 0; i < patterns_.size(); ++i) {
      Pattern& p = patterns_[i];
      while (p.state > 0 && (p.state == p.text.size() || p.text[p.state] != byte)) p.state = p.border[p.state];
      if (p.text[p.state] == byte) ++p.state;
      if (p.state == p.text.size() && !matched()) matched_ = i;
      held_back = std::max<size_t>(held_back, p.state);
    }
    if (matched()) {
      if (keep_ == Keep::nothing) held_.resize(held_.size() - stop().size());
      finish(out);
      return;
    }
    if (held_.size() > held_back) {
      out.append(held_, 0, held_.size() - held_back);
      held_.erase(0, held_.size() - held_back);
    }
  }
}

void StopMatcher::finish(std::string& out) {
  out += held_;
  held_.clear();
}

void StopMatcher::reset() {
  held_.clear();
  matched_ = kNone;
  for (Pattern& pattern : patterns_) pattern.state = 0;
}

}  // namespace gpt2
