#include "src/measure/part_scores.h"

#include <algorithm>

#include "src/base/error.h"
#include "src/base/portable_math.h"
#include "src/base/summable.h"

namespace gpt2 {
namespace {

constexpr double kLn2 = 0x1.62e42fefa39efp-1, kLn10 = 0x1.26bb1bbb55516p+1;

double log_of(LogBase base) { return base == LogBase::two ? kLn2 : base == LogBase::ten ? kLn10 : 1.0; }

// Whether it takes a token to tell that a word has ended before token i: text without white space stands before it, and
// behind it nothing or what begins a word.
bool is_open_border(const ScoredText& text, size_t i) {
  const WrittenText& written = text.written;
  if (i == 0 ? !text.goes_on : written.is_special[i - 1] || written.begins[i] == 0) return false;
  if (i > 0 && separates_words(written.text[written.begins[i] - 1])) return false;
  if (i == written.n_tokens()) return true;
  return written.is_special[i] || (!written.token(i).empty() && separates_words(written.token(i).front()));
}

// -log P(B | tokens before i).
double end_of_word(const ScoredText& text, size_t i, LogBase base) {
  if (text.word_logprobs.empty() || !is_open_border(text, i)) return 0;
  return in_base(-text.word_logprobs[i], base);
}

}  // namespace

double in_base(double nats, LogBase base) { return summable(base == LogBase::e ? nats : nats / log_of(base)); }

double power_of(LogBase base, double exponent) { return portable_exp(exponent * log_of(base)); }

std::vector<PartScore> score_parts(const ScoredText& text, std::span<const TextPart> parts, LogBase base) {
  GPT2_CHECK(text.scores.size() == text.written.n_tokens());
  std::vector<PartScore> scored;
  scored.reserve(parts.size());
  double cumulative = 0;
  for (const TextPart& part : parts) {
    PartScore score;
    for (size_t i = part.first_token; i < part.end_token; ++i) {
      const TokenScore& token = text.scores[i];
      if (token.token < 0) {
        score.is_greedy = false;
        continue;
      }
      ++score.n_scored;
      score.surprisal += in_base(-token.logprob, base);
      score.entropy += in_base(token.entropy, base);
      score.rank = std::max(score.rank, token.rank);
      score.is_greedy = score.is_greedy && token.best.token == token.token;
    }
    if (part.end_token > part.first_token) {
      score.surprisal += end_of_word(text, part.end_token, base) - end_of_word(text, part.first_token, base);
    }
    cumulative += score.surprisal;
    score.cumulative = cumulative;
    scored.push_back(score);
  }
  return scored;
}

std::vector<int32_t> word_beginnings(const Tokenizer& tokenizer, std::span<const int32_t> eos_tokens) {
  std::vector<int32_t> ids;
  for (size_t id = 0; id < tokenizer.n_tokens(); ++id) {
    const auto token = static_cast<int32_t>(id);
    const std::string_view bytes = tokenizer.token_bytes(token);
    const bool begins_word = !bytes.empty() && separates_words(bytes.front());
    const bool ends_text = std::find(eos_tokens.begin(), eos_tokens.end(), token) != eos_tokens.end();
    if (begins_word || ends_text || tokenizer.is_special(token)) ids.push_back(token);
  }
  return ids;
}

}  // namespace gpt2
