#include "tools/record_lines.h"

#include "tools/signals.h"

namespace gpt2 {

LineReader::Got RecordLines::next(std::string& line, LineReader::Wait wait, RecordPlace& place) {
  while (!interrupt_flag()) {
    const LineReader::Got got = input_.next(line, wait);
    if (got == LineReader::Got::end || got == LineReader::Got::nothing) return got;
    place = next_;
    ++next_.line;
    if (got == LineReader::Got::line && format_ == RecordFormat::jsonl && record_begin(line) == std::string::npos)
      continue;
    ++next_.index;
    // An input in a foreign encoding is one record, and every shard's.
    if (got == LineReader::Got::foreign || place.index % shard_.step == shard_.first) return got;
  }
  return LineReader::Got::nothing;
}

}  // namespace gpt2
