// Speculation piece by piece: look-up, the choice of a length, rejection. Over 400 lines: the cases share their models and simulations.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>

#include "src/engine/draft_length.h"
#include "src/engine/lookup.h"
#include "src/engine/noise.h"
#include "src/engine/rejection.h"
#include "src/engine/engine.h"
#include "src/engine/speculation.h"
#include "tests/counting_allocator.h"
#include "tests/fixtures.h"
#include "tests/kernel_cases.h"
#include "tests/speculated_texts.h"
#include "tests/support.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

// The longest suffix of text[begin..) that also ends earlier, by comparing everything with everything.
uint32_t longest_match(const Tokens& text, size_t begin) {
  size_t best = 0;
  for (size_t end = begin + 1; end < text.size(); ++end) {
    size_t n = 0;
    while (n < end - begin && text[end - 1 - n] == text[text.size() - 1 - n]) ++n;
    best = std::max(best, n);
  }
  return static_cast<uint32_t>(best);
}

// Whether `next` continues some earlier occurrence of the last n tokens.
bool follows_a_match(const Tokens& text, uint32_t n, const Tokens& next) {
  for (size_t end = n; end < text.size(); ++end) {
    if (!std::equal(text.end() - n, text.end(), text.begin() + static_cast<ptrdiff_t>(end - n))) continue;
    Tokens whole(text);
    for (size_t i = 0; i < next.size(); ++i) whole.push_back(whole[end + i]);
    if (std::equal(next.begin(), next.end(), whole.begin() + static_cast<ptrdiff_t>(text.size()))) return true;
  }
  return false;
}

Tokens random_tokens(uint64_t seed, size_t n, int32_t alphabet) {
  Tokens text;
  for (size_t i = 0; i < n; ++i) {
    text.push_back(static_cast<int32_t>(PositionNoise(seed, 0, i).bits(0) % static_cast<uint64_t>(alphabet)));
  }
  return text;
}

}  // namespace

TEST_CASE("lookup: the longest match and what followed it, against comparing everything with everything") {
  size_t matches = 0;
  for (const int32_t alphabet : {1, 2, 3, 10, 100}) {
    const Tokens all = random_tokens(static_cast<uint64_t>(alphabet), 300, alphabet);
    SuffixLookup lookup(300);
    for (size_t n = 1; n <= all.size(); ++n) {
      const Tokens text(all.begin(), all.begin() + static_cast<ptrdiff_t>(n));
      lookup.follow(text);
      REQUIRE(lookup.match_length() == longest_match(text, 0));
      if (lookup.match_length() == 0) continue;
      Tokens next(9);
      lookup.continuation(next);
      REQUIRE(follows_a_match(text, lookup.match_length(), next));
      ++matches;
    }
  }
  CHECK(matches > 1200);
}

TEST_CASE("lookup: cut back, another text, and many tokens at once are as if read from the start") {
  const Tokens all = random_tokens(7, 400, 4);
  SuffixLookup lookup(400);
  Tokens text;
  uint64_t at = 0;
  for (int round = 0; round < 300; ++round) {
    const uint64_t choice = PositionNoise(8, 0, static_cast<uint64_t>(round)).bits(0);
    if (choice % 5 == 0 && !text.empty()) text.resize(choice / 5 % text.size());
    if (choice % 7 == 0 && !text.empty()) text[choice / 7 % text.size()] ^= 1;
    for (uint64_t i = 0; i < choice % 4 && text.size() < 400; ++i) text.push_back(all[at++ % all.size()]);
    lookup.follow(text);
    REQUIRE(lookup.match_length() == longest_match(text, 0));
  }
  lookup.follow({});
  CHECK(lookup.match_length() == 0);
}

TEST_CASE("lookup: memory is taken once, and old text is forgotten by halves") {
  const Tokens text = random_tokens(9, 2000, 3);
  SuffixLookup lookup(64);
  size_t allocated = 0;
  for (size_t n = 1; n <= text.size(); ++n) {
    const size_t before = allocations();
    lookup.follow(std::span(text).first(n));
    allocated += allocations() - before;
    const size_t begin = n <= 64 ? 0 : (n - 65) / 32 * 32 + 32;
    const Tokens remembered(text.begin() + static_cast<ptrdiff_t>(begin), text.begin() + static_cast<ptrdiff_t>(n));
    REQUIRE(lookup.match_length() == longest_match(remembered, 0));
  }
  CHECK(allocated == 0);
}

TEST_CASE("costs: between, below and beyond what was measured; never less for more rows; an outlier moves little") {
  StepCosts costs;
  CHECK_FALSE(costs.known());
  costs.observe(1, 10.0);
  CHECK(costs.of(1) == doctest::Approx(10.0));
  CHECK(costs.of(2) == doctest::Approx(10.6));
  for (int i = 0; i < 30; ++i) costs.observe(5, 20.0);
  CHECK(costs.of(5) == doctest::Approx(20.0));
  CHECK(costs.of(3) > costs.of(1));
  CHECK(costs.of(3) < costs.of(5));
  CHECK(costs.of(9) == doctest::Approx(20.0 / 1.24 * 1.48));
  for (uint32_t r = 1; r < 300; ++r) CHECK_FALSE(!(costs.of(r + 1) >= costs.of(r)));
  costs.observe(5, 2000.0);
  CHECK(costs.of(5) < 22.0);
  for (int i = 0; i < 50; ++i) costs.observe(8, 15.0);
  CHECK(costs.of(8) >= costs.of(5));
  for (int i = 0; i < 100; ++i) costs.observe(5, 12.0);
  CHECK(costs.of(5) == doctest::Approx(12.0).epsilon(0.01));
}

namespace {

// A target and a draft that cost what they are said to, and a coin for every proposed token.
struct Simulated {
  double draft = 0.03, slope = 0.05;           // target steps
  std::function<double(uint64_t, uint32_t)> a;  // acceptance by step and confidence
  bool lookup = false;
};

// The speed-up that the policy reaches with one sequence.
double simulate(const Simulated& world, uint32_t steps, uint64_t seed) {
  LengthPolicy policy;
  const DraftSource source = world.lookup ? DraftSource::lookup : DraftSource::model;
  double seconds = 0, tokens = 0;
  for (uint64_t step = 0; step < steps; ++step) {
    const PositionNoise dice(seed, 0, step);
    const auto uniform = [&](int32_t i) { return static_cast<double>(dice.bits(i) >> 11) * 0x1p-53; };
    std::array<uint32_t, kMaxDraft> confidence{};
    uint32_t k = 0;
    if (world.lookup) {
      const auto match = static_cast<uint32_t>(4 * uniform(99) * uniform(98));
      if (match > 0) k = policy.lookup_length({}, match, 1).more;
      for (uint32_t i = 0; i < k; ++i) confidence[i] = lookup_confidence(match + i);
    } else {
      for (double survival = 1; k < kMaxDraft; ++k) {
        if (policy.model_length({k, kMaxDraft, survival, 1 + k, world.draft, 0}, 1).more == 0) break;
        confidence[k] = static_cast<uint32_t>(uniform(static_cast<int32_t>(100 + k)) * kConfidences);
        survival *= policy.acceptance(source).rate(k, confidence[k]);
      }
    }
    uint32_t accepted = 0;
    while (accepted < k && uniform(static_cast<int32_t>(accepted)) < world.a(step, confidence[accepted])) ++accepted;
    const double verify = (1 + world.slope * k) * (1 + 0.04 * (uniform(77) - 0.5));
    const double draft = world.lookup ? 0 : k * world.draft;
    for (uint32_t i = 0; i < std::min(accepted + 1, k); ++i) policy.observe_token(source, i, confidence[i], i < accepted);
    policy.finish_step({1, 1 + k, accepted + 1, draft, verify});
    seconds += verify + draft;
    tokens += accepted + 1;
  }
  return tokens / seconds;
}

double best_fixed(double a, const Simulated& world) {
  double best = 1;
  for (uint32_t k = 1; k <= kMaxDraft; ++k) best = std::max(best, expected_speedup(a, k, world.draft, 1 + world.slope * k));
  return best;
}

}  // namespace

TEST_CASE("draft length: a useful draft reaches what its acceptance and costs allow") {
  for (const double a : {0.4, 0.6, 0.8, 0.95}) {
    for (const double c : {0.02, 0.1, 0.3}) {
      const Simulated world = {c, 0.05, [a](uint64_t, uint32_t) { return a; }};
      CAPTURE(a);
      CAPTURE(c);
      CHECK_FALSE(!(simulate(world, 2000, 1) > 0.95 * best_fixed(a, world)));
    }
  }
}

TEST_CASE("draft length: a draft that knows how sure it is does better than any fixed length") {
  const Simulated world = {0.05, 0.08, [](uint64_t, uint32_t confidence) { return confidence < 4 ? 0.2 : 0.95; }};
  CHECK_FALSE(!(simulate(world, 3000, 2) > 1.08 * best_fixed(0.575, world)));
}

TEST_CASE("draft length: a useless draft costs less than 3 %, one as dear as its target too, a useless look-up less than 2 %") {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    for (const double c : {0.02, 0.1, 0.5, 1.0}) {
      CAPTURE(c);
      CAPTURE(seed);
      CHECK_FALSE(!(simulate({c, 0.08, [](uint64_t, uint32_t) { return 0.0; }}, 100, seed) > 0.97));
      CHECK_FALSE(!(simulate({c, 0.08, [](uint64_t, uint32_t) { return 0.02; }}, 2000, seed) > 0.98));
    }
    CHECK_FALSE(!(simulate({0, 0.08, [](uint64_t, uint32_t) { return 0.03; }, true}, 150, seed) > 0.98));
    CHECK_FALSE(!(simulate({0, 0.3, [](uint64_t, uint32_t) { return 0.03; }, true}, 2000, seed) > 0.98));
  }
}

TEST_CASE("draft length: a draft that becomes good is noticed, and one that becomes bad is dropped") {
  const auto half = [](bool good_first) {
    return [good_first](uint64_t step, uint32_t) { return (step < 1500) == good_first ? 0.8 : 0.02; };
  };
  const Simulated improves = {0.05, 0.06, half(false)}, fades = {0.05, 0.06, half(true)};
  const double good = best_fixed(0.8, improves);
  // 1500 plain tokens and 1500 steps of `good` times as many per second, or nearly.
  const double tokens_when_good = good * 1.5;
  CHECK_FALSE(!(simulate(improves, 3000, 3) > 1 + 0.5 * (tokens_when_good - 1) / 2));
  CHECK_FALSE(!(simulate(fades, 3000, 3) > 1 + 0.5 * (tokens_when_good - 1) / 2));
}

namespace {

// The probability that chi-square with n degrees of freedom exceeds x: the upper incomplete gamma function, by series or
// continued fraction (Abramowitz & Stegun 6.5.29 and 6.5.31).
double chi_square_tail(double x, double n) {
  const double a = n / 2, z = x / 2, scale = std::exp(-z + a * std::log(z) - std::lgamma(a));
  if (z < a + 1) {
    double term = 1 / a, sum = term;
    for (int i = 1; i < 500; ++i) sum += term *= z / (a + i);
    return 1 - scale * sum;
  }
  double b = z + 1 - a, c = 1e300, d = 1 / b, fraction = d;
  for (int i = 1; i < 500; ++i) {
    const double numerator = -i * (i - a);
    b += 2;
    d = 1 / (numerator * d + b);
    c = b + numerator / c;
    fraction *= d * c;
  }
  return scale * fraction;
}

constexpr int kToy = 16;
using Counts = std::array<uint64_t, kToy>;

std::vector<Candidate> toy_candidates(uint64_t seed) {
  std::vector<Candidate> out;
  Numbers numbers(seed);
  for (int32_t i = 0; i < kToy; ++i) out.push_back({i, numbers.next(2.0f)});
  return out;
}

// Draws with a draft, as speculation does; every fourth token is a look-up's.
template <class Residual>
Counts draw(const std::vector<Candidate>& p, const std::vector<TokenProbability>& q, uint64_t seed, Residual residual) {
  RejectionVerifier verifier(kToy);
  Counts counts{};
  for (uint64_t i = 0; i < 100000; ++i) {
    const PositionNoise drafting = draft_noise(seed, 0, i), noise(seed, 0, i);
    int32_t drafted = static_cast<int32_t>(i / 4 % kToy);
    std::vector<TokenProbability> point = {{drafted, 1.0}};
    if (i % 4 != 0) {
      double best = -1e300;
      for (const TokenProbability& candidate : q) {
        const double score = std::log(candidate.probability) + PositionNoise::gumbel(drafting.bits(candidate.token));
        if (score > best) best = score, drafted = candidate.token;
      }
    }
    const std::span<const TokenProbability> draft = i % 4 == 0 ? std::span<const TokenProbability>(point) : q;
    ++counts[static_cast<size_t>(verifier.verify(p, draft, drafted, drafting, noise, residual).token)];
  }
  return counts;
}

double chi_square(const Counts& counts, const std::vector<TokenProbability>& p, double draws) {
  double sum = 0;
  for (const TokenProbability& expected : p) {
    const double mean = expected.probability * draws;
    const double off = static_cast<double>(counts[static_cast<size_t>(expected.token)]) - mean;
    sum += off * off / mean;
  }
  return sum;
}

// Seeds of 100,000 draws each; `make spec-proof` takes 20.
int n_seeds() {
  const char* wanted = std::getenv("GPT2_REJECTION_SEEDS");
  return wanted != nullptr ? std::atoi(wanted) : 4;
}

// The smallest p of the seeds, and p of all their draws together.
template <class Residual>
std::pair<double, double> rejection_p_values(Residual residual) {
  const std::vector<Candidate> target = toy_candidates(1);
  std::vector<TokenProbability> p, q;
  append_softmax(target, p);
  append_softmax(toy_candidates(2), q);
  q.resize(kToy - 2);  // the draft's filters leave fewer, and not the target's
  double total = 0, least = 1;
  for (const TokenProbability& item : q) total += item.probability;
  for (TokenProbability& item : q) item.probability /= total;
  Counts all{};
  for (int seed = 0; seed < n_seeds(); ++seed) {
    const Counts counts = draw(target, q, static_cast<uint64_t>(seed), residual);
    least = std::min(least, chi_square_tail(chi_square(counts, p, 100000), kToy - 1));
    for (size_t i = 0; i < counts.size(); ++i) all[i] += counts[i];
  }
  return {least, chi_square_tail(chi_square(all, p, 1e5 * n_seeds()), kToy - 1)};
}

}  // namespace

TEST_CASE("rejection: 100,000 draws follow the target for each seed, and a residual that is a little off is found") {
  CHECK(chi_square_tail(24.996, 15) == doctest::Approx(0.05).epsilon(1e-3));
  CHECK(chi_square_tail(7.261, 15) == doctest::Approx(0.95).epsilon(1e-3));
  const auto [least, together] = rejection_p_values(PositivePart{});
  CHECK_FALSE(!(least > 1e-4));
  CHECK_FALSE(!(together > 1e-4));
  // The weight of the residual's likeliest token, too large by what that many draws can tell: 2 % for 20 seeds.
  const double factor = 1 + 0.02 * std::sqrt(20.0 / n_seeds());
  const auto off = [&](int32_t token, double p, double q) { return PositivePart{}(token, p, q) * (p > 0.2 ? factor : 1.0); };
  CHECK(rejection_p_values(off).second < 1e-4);
}

TEST_CASE("rejection: a drafted token that the target's filters forbid is never taken, and the same noise gives the same token") {
  RejectionVerifier verifier(8);
  const std::vector<Candidate> target = {{1, 0.5f}, {3, 1.0f}};
  for (uint64_t i = 0; i < 200; ++i) {
    const std::vector<TokenProbability> point = {{5, 1.0}};
    const PositionNoise drafting = draft_noise(1, 0, i), noise(1, 0, i);
    const Verdict verdict = verifier.verify(target, point, 5, drafting, noise);
    CHECK_FALSE(verdict.accepted);
    CHECK((verdict.token == 1 || verdict.token == 3));
    CHECK(verifier.verify(target, point, 5, drafting, noise).token == verdict.token);
  }
}

namespace {

const Model& small_draft() {
  static const Model model = [] {
    FixtureShape shape;
    shape.n_vocab = books().config().n_vocab;
    shape.n_ctx = 100;  // less than the target's
    CheckpointFixture fixture = make_checkpoint(shape, 3);
    const std::string source = source_path("models/books/");
    fixture.vocab_json = read_file(source + "vocab.json");
    fixture.merges_txt = read_file(source + "merges.txt");
    return convert_fixture(fixture);
  }();
  return model;
}

std::vector<SpecCase> some_cases() {
  std::vector<SpecCase> cases;
  SamplingOptions penalized = warm(1.0f, 0, 0.9f), blocked = greedy();
  penalized.repetition_penalty = 1.3f;
  penalized.logit_bias = {{300, 2.0f}};
  blocked.no_repeat_ngram = 3;
  blocked.min_new_tokens = 10;
  blocked.frequency_penalty = 0.5f;
  blocked.presence_penalty = 1.0f;
  uint64_t seed = 0;
  for (const SamplingOptions& sampling : {greedy(), warm(0.8f, 40, 1.0f), warm(1.0f, 0, 0.95f), penalized, blocked}) {
    for (const size_t n : {9, 1}) {
      Tokens prompt = random_tokens(++seed, n, 4000);
      if (n == 9) prompt.insert(prompt.end(), prompt.begin(), prompt.end());
      cases.push_back({sampling, prompt, 24});
    }
  }
  cases.push_back({greedy(), random_tokens(50, 85, 4000), 30});    // beyond the context of one of the drafts
  cases.push_back({warm(1.0f, 40, 1.0f), random_tokens(51, 240, 4000), 30});  // and of the target
  return cases;
}

}  // namespace

TEST_CASE("speculation: the text is that without it, over drafts, threads, batches and sampler options") {
  const std::vector<SpecCase> cases = some_cases();
  const std::vector<Tokens> expected = texts(books(), cases, 1, 1, nullptr);
  // The target as its own draft agrees wherever it is asked; random weights hardly ever do.
  const Model* const drafts[] = {&books(), &small_draft(), nullptr};
  for (const DraftPolicy policy : {DraftPolicy::force, DraftPolicy::automatic}) {
    for (const Model* draft : drafts) {
      for (const bool lookup : {true, false}) {
        if (draft == nullptr && !lookup) continue;
        SpeculationOptions options;
        options.draft = draft;
        options.lookup = lookup;
        options.lookup_match = 1;
        options.policy = policy;
        options.max_draft = lookup ? 15 : 5;
        const uint32_t threads = lookup ? 1 : 2, batch = draft == &small_draft() ? 8 : 1;
        SpeculationStats stats;
        REQUIRE(texts(books(), cases, threads, batch, &options, &stats) == expected);
        if (policy == DraftPolicy::automatic) continue;
        CHECK(stats.drafted[0] + stats.drafted[1] > 100);
        if (draft == &books() && !lookup) CHECK(stats.accepted[1] > stats.drafted[1] * 8 / 10);
      }
    }
  }
}

TEST_CASE("speculation: rejection is reproducible, and for greedy choice the text is the same") {
  const std::vector<SpecCase> cases = some_cases();
  const std::vector<Tokens> plain = texts(books(), cases, 1, 1, nullptr);
  SpeculationOptions options;
  options.draft = &books();
  options.max_draft = 4;
  options.lookup = true;
  options.verification = Verification::rejection;
  for (const DraftPolicy policy : {DraftPolicy::force, DraftPolicy::automatic}) {
    options.policy = policy;
    const std::vector<Tokens> once = texts(books(), cases, 1, 1, &options);
    CHECK(texts(books(), cases, 2, 1, &options) == once);
    CHECK(texts(books(), cases, 1, 5, &options) == once);
    CHECK(once != plain);
    for (size_t i = 0; i < cases.size(); ++i) {
      if (cases[i].sampling.greedy) CHECK(once[i] == plain[i]);
    }
  }
}

TEST_CASE("speculation: a step allocates nothing") {
  for (const Verification verification : {Verification::coupled, Verification::rejection}) {
    SpeculationOptions options;
    options.draft = &books();
    options.lookup = true;
    options.policy = DraftPolicy::force;
    options.verification = verification;
    EngineOptions engine_options;
    engine_options.kernels = runnable_kernels().tables[0];
    engine_options.max_draft = kMaxDraft;
    engine_options.max_slots = 2;
    Engine engine(books(), engine_options);
    Speculation speculation(books(), options, *engine_options.kernels, engine.team(), 2);
    for (uint64_t seed = 0; seed < 2; ++seed) {
      Request request;
      request.seed = seed;
      request.max_new_tokens = 1000;
      request.ignore_eos = true;
      engine.insert(engine.prefill(engine.start(random_tokens(seed, 9, 4000), request)));
    }
    const auto step = [&] {
      std::array<SpeculatedSequence, 2> texts;
      std::array<StepRows, 2> rows;
      for (SlotId slot = 0; slot < 2; ++slot) texts[slot] = {slot, &engine.sequence(slot), engine.draft_room(slot)};
      speculation.propose(texts);
      for (SlotId slot = 0; slot < 2; ++slot) rows[slot] = {slot, 1, speculation.draft(slot)};
      std::array<uint32_t, 2> n_tokens = {};
      for (const StepResult& result : engine.generate(rows)) n_tokens[result.slot] = static_cast<uint32_t>(result.tokens.size());
      speculation.observe(n_tokens, 0.001, 0);
    };
    for (int i = 0; i < 3; ++i) step();
    const size_t before = allocations();
    for (int i = 0; i < 8; ++i) step();
    CHECK(allocations() == before);
  }
}

TEST_CASE("speculation: a draft with another tokenizer is refused with the first id that differs; a padded tail is not") {
  CheckpointFixture fixture = make_checkpoint({}, 3);
  const Model target = convert_fixture(fixture);
  fixture.vocab_json = R"({"b": 0, "a": 1, "ab": 2})";
  CheckpointFixture same = make_checkpoint({}, 3);
  FixtureShape wide;
  wide.n_vocab = 7;
  CheckpointFixture padded = make_checkpoint(wide, 4);
  padded.vocab_json = same.vocab_json;
  check_draft_tokenizer(target, convert_fixture(padded));
  check_draft_tokenizer(convert_fixture(padded), target);
  const Model other = convert_fixture(fixture);
  const Failure failure = failure_of([&] { check_draft_tokenizer(target, other); });
  CHECK(failure.code == 3);
  CHECK(failure.message.find("id 0") != std::string::npos);
}
