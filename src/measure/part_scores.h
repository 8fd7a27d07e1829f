// What the parts of a text are worth: the scores of its tokens, summed. Sums are exact (summable()): a text's surprisal
// is the sum of its words' or its lines' to the last bit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "src/engine/score.h"
#include "src/text/text_parts.h"

namespace gpt2 {

// Of the logarithms in which surprisal and entropy are said: bits, nats, or decimal digits.
enum class LogBase : uint8_t { two, e, ten };
// Returns a logarithm of base e in another base, summable.
double in_base(double nats, LogBase base);
// Returns the base to the power of `exponent`.
double power_of(LogBase base, double exponent);

// A text and what the model says of its tokens.
struct ScoredText {
  WrittenText written;
  std::vector<TokenScore> scores;  // of each token; token is -1 where none precedes it
  // [n_tokens + 1] natural logarithm of the probability that a new word begins, or the text ends, before this token and
  // at the end; empty: surprisal of words is not corrected.
  std::vector<double> word_logprobs;
  bool goes_on = false;  // stands behind an unscored text that does not end in white space
};

struct PartScore {
  size_t n_scored = 0;       // of its tokens
  double surprisal = 0;      // sum of -log p over them
  double cumulative = 0;     // the same from the text's beginning to the part's end
  double entropy = 0;        // sum of the entropies of what could have stood in their places
  uint32_t rank = 0;         // the largest of theirs; 0: none
  bool is_greedy = true;     // each is the most likely token in its place
};

// Returns the scores of the parts in `base`. With word_logprobs, where B are the tokens that begin a word or end the
// text, a part from token a to token b is worth
//   sum of -log p(t) - log P(B | tokens before b) + log P(B | tokens before a):
// a tokenizer that puts the space before a word says only with the next token that a word has ended (Pimentel and
// Meister 2024, Oh and Schuler 2024). The probabilities of all words in one place then sum to one. Where the text
// begins or a token has ended the word with white space, that is certain, and log P is 0.
std::vector<PartScore> score_parts(const ScoredText& text, std::span<const TextPart> parts, LogBase base);

// Returns the tokens B, ascending: those that begin with white space, special ones, and those that end a text.
std::vector<int32_t> word_beginnings(const Tokenizer& tokenizer, std::span<const int32_t> eos_tokens);

}  // namespace gpt2
