#include "src/engine/model_drafter.h"

#include <algorithm>
#include <limits>

#include "src/base/error.h"
#include "src/base/hash.h"
#include "src/text/rule_differences.h"

namespace gpt2 {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();
constexpr uint32_t kCatchUpRows = 128;  // of one step, when the draft has much of a text to read

uint32_t rows_of(const Config& config, uint32_t max_sequences) {
  return affordable_rows(config, std::max(std::min(kCatchUpRows, config.n_ctx), 2 * max_sequences));
}

std::string quoted(const Tokenizer& tokenizer, TokenId id) {
  return "\"" + printable(tokenizer.token_bytes(id)) + "\"";
}

}  // namespace

std::string check_draft_tokenizer(const Model& target, const Model& draft) {
  if (target.file().tokenizer_hash == draft.file().tokenizer_hash) return {};
  const Tokenizer &mine = draft.tokenizer(), &other = target.tokenizer();
  const size_t n = std::min(mine.n_tokens(), other.n_tokens());
  for (size_t i = 0; i < n; ++i) {
    const auto id = static_cast<TokenId>(i);
    if (mine.token_bytes(id) == other.token_bytes(id)) continue;
    fail_model(draft.name(), "tokenizer", "the target's, where id " + std::to_string(id) + " is " + quoted(other, id),
               quoted(mine, id));
  }
  // A vocabulary that is padded has ids without text at its end.
  const Tokenizer& longer = mine.n_tokens() > n ? mine : other;
  for (size_t i = n; i < longer.n_tokens(); ++i) {
    const auto id = static_cast<TokenId>(i);
    if (longer.token_bytes(id).empty()) continue;
    fail_model(draft.name(), "tokenizer", "the target's " + std::to_string(other.n_tokens()) + " tokens",
               std::to_string(mine.n_tokens()) + "; the first that differs is id " + std::to_string(id) + ", " +
                   quoted(longer, id));
  }
  return rule_differences(draft.file().tokenizer, target.file().tokenizer);
}

ModelDrafter::ModelDrafter(const Model& target, const Model& draft, const Options& options)
    : target_(target),
      model_(draft),
      options_(options),
      n_tokens_(static_cast<uint32_t>(std::min(target.tokenizer().n_tokens(), draft.tokenizer().n_tokens()))),
      pool_(KvLayout(draft.config(), options.kv_type), blocks_of(draft.config().n_ctx) * options.max_sequences),
      workspace_(draft.config(), rows_of(draft.config(), options.max_sequences), options.max_sequences,
                 options.team->size()),
      choices_(target),
      sampler_(target.config().n_vocab, choices_),
      logits_(target.config().n_vocab, kNever) {
  GPT2_CHECK(options.kernels != nullptr && options.max_sequences > 0);
  check_draft_tokenizer(target, draft);
  sequences_.reserve(options.max_sequences);
  for (uint32_t i = 0; i < options.max_sequences; ++i) {
    sequences_.push_back({KvSequence(pool_, draft.config().n_ctx), {}});
    sequences_.back().tokens.reserve(draft.config().n_ctx);
  }
  rows_.reserve(workspace_.max_rows());
  row_sequences_.reserve(options.max_sequences);
  waiting_.reserve(options.max_sequences);
  tokens_.reserve(options.max_sequences);
}

// Tokens of the text whose keys and values are there; its last is computed again, for its logits.
size_t ModelDrafter::known(const Sequence& sequence, std::span<const int32_t> text) const noexcept {
  const size_t n = std::min(sequence.tokens.size(), text.size() - 1);
  const auto begin = sequence.tokens.begin();
  return static_cast<size_t>(std::mismatch(begin, begin + static_cast<ptrdiff_t>(n), text.begin()).first - begin);
}

uint32_t ModelDrafter::missing(uint32_t sequence, std::span<const int32_t> text) const noexcept {
  return static_cast<uint32_t>(text.size() - known(sequences_[sequence], text));
}

void ModelDrafter::forget_texts() noexcept {
  for (Sequence& sequence : sequences_) {
    sequence.kv.truncate(0);
    sequence.tokens.clear();
  }
}

std::span<const DraftToken> ModelDrafter::step(std::span<const DraftRequest> requests,
                                               std::span<std::vector<TokenProbability>* const> distributions) {
  GPT2_CHECK(requests.size() <= options_.max_sequences &&
             (distributions.empty() || distributions.size() == requests.size()));
  tokens_.assign(requests.size(), DraftToken{});
  rows_.clear();
  row_sequences_.clear();
  for (size_t i = 0; i < requests.size(); ++i) {
    const std::span<const int32_t> text = requests[i].text;
    GPT2_CHECK(requests[i].sequence < sequences_.size() && !text.empty() && fits(text));
    Sequence& sequence = sequences_[requests[i].sequence];
    size_t next = known(sequence, text);
    // A token that only the target's padding has cannot be read.
    const auto vocabulary = static_cast<int32_t>(model_.config().n_vocab);
    const auto unread = text.subspan(next);
    if (std::any_of(unread.begin(), unread.end(), [&](int32_t t) { return t >= vocabulary; })) continue;
    sequence.kv.truncate(static_cast<uint32_t>(next));
    sequence.tokens.resize(next);
    while (next < text.size()) {
      const size_t n = std::min(text.size() - next, workspace_.max_rows() - rows_.size());
      const bool extended = sequence.kv.extend(static_cast<uint32_t>(next + n));
      GPT2_CHECK(extended);
      for (const size_t end = next + n; next < end; ++next) {
        const Wants wants = next + 1 == text.size() ? Wants::logits : Wants::nothing;
        rows_.push_back({static_cast<uint32_t>(row_sequences_.size()), static_cast<uint32_t>(next), text[next], wants});
        sequence.tokens.push_back(text[next]);
      }
      row_sequences_.push_back(&sequence.kv);
      if (next == text.size()) waiting_.push_back(i);
      if (rows_.size() == workspace_.max_rows()) compute(requests, distributions);
    }
  }
  if (!rows_.empty()) compute(requests, distributions);
  return tokens_;
}

void ModelDrafter::compute(std::span<const DraftRequest> requests,
                           std::span<std::vector<TokenProbability>* const> distributions) {
  const ForwardResult result = forward(model_.config(), model_.weights(), {rows_, row_sequences_}, workspace_,
                                       {*options_.kernels, *options_.team});
  for (size_t i = 0; i < waiting_.size(); ++i) {
    const size_t request = waiting_[i];
    if (!result.argmax[i].finite) continue;
    tokens_[request] = choose(target_logits(result.logits.row(i)), requests[request],
                              distributions.empty() ? nullptr : distributions[request]);
  }
  rows_.clear();
  row_sequences_.clear();
  waiting_.clear();
}

// The draft's logits by the target's ids; what it cannot propose is as if forbidden.
std::span<const float> ModelDrafter::target_logits(std::span<const float> logits) {
  const bool whole = model_.weights().draft_ids.empty();
  if (whole && logits.size() == logits_.size() && n_tokens_ == logits.size()) return logits;
  const std::span<const uint32_t> ids = model_.weights().draft_ids;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < n_tokens_) logits_[ids[i]] = logits[i];
  }
  if (whole) std::copy_n(logits.begin(), n_tokens_, logits_.begin());
  return logits_;
}

DraftToken ModelDrafter::choose(std::span<const float> logits, const DraftRequest& request,
                                std::vector<TokenProbability>* distribution) {
  const SamplingOptions& options = *request.sampling;
  const bool rejection = options_.verification == Verification::rejection;
  const PositionNoise noise = rejection ? draft_noise(request.seed, request.sample, request.token_index)
                                        : PositionNoise(request.seed, request.sample, request.token_index);
  DraftToken choice;
  double best = -std::numeric_limits<double>::infinity(), second = best;
  const auto consider = [&](int32_t token, double score) {
    if (score > best || (score == best && token < choice.token)) {
      second = best;
      best = score;
      choice.token = token;
    } else if (score > second) {
      second = score;
    }
  };
  if (options.is_plain_argmax()) {
    float least = kNever;
    for (size_t i = 0; i < logits.size(); ++i) {
      if (!(logits[i] > least) || !choices_.contains(static_cast<int32_t>(i))) continue;
      consider(static_cast<int32_t>(i), logits[i]);
      least = static_cast<float>(second);
    }
  } else {
    const TextSoFar text = {request.text, request.n_generated, target_.config().eos_token_ids};
    const std::span<const Candidate> candidates = sampler_.filter(logits, options, text);
    for (const Candidate& candidate : candidates) {
      if (options.greedy) {
        consider(candidate.token, candidate.logit);
        continue;
      }
      const uint64_t bits = noise.bits(candidate.token);
      if (candidate.logit + PositionNoise::gumbel_bound(bits) < second) continue;
      consider(candidate.token, candidate.logit + PositionNoise::gumbel(bits));
    }
    if (rejection && !options.greedy && distribution != nullptr && !candidates.empty()) {
      append_softmax(candidates, *distribution);
    }
  }
  choice.margin = second > -std::numeric_limits<double>::infinity() ? best - second : 100.0;
  return choice;
}

}  // namespace gpt2
