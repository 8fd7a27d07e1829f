// Answers that do not come from the code under test: published numbers, sorting everything, exact bounds. Each of them is here because a
// change of the code went unnoticed without it.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "kernels/float_types.h"
#include "kernels/kernels.h"
#include "kernels/layout.h"
#include "src/engine/noise.h"
#include "src/engine/prefix_cache.h"
#include "src/engine/sampler.h"
#include "tests/kernel_cases.h"

using namespace gpt2;
using namespace gpt2::test;

TEST_CASE("sampler: top_k of a large vocabulary is what sorting all of it gives") {
  constexpr uint32_t kVocab = 5003;  // no multiple of anything that the sampler looks at together
  Sampler sampler(kVocab);
  Numbers numbers(3);
  for (int round = 0; round < 40; ++round) {
    std::vector<float> logits(kVocab);
    for (float& logit : logits) logit = numbers.next(3.0f);
    // The likely ones side by side, in one place of the vocabulary or in two.
    for (uint32_t i = 0; i < 60; ++i) logits[(round * 97u + i + (i % 2) * (round % 3) * 1000u) % kVocab] += 9.0f;
    std::vector<float> sorted = logits;
    std::sort(sorted.begin(), sorted.end(), std::greater<>());
    for (const uint32_t k : {1u, 2u, 7u, 50u, 100u, 156u, 157u, 1000u}) {
      SamplingOptions options;
      options.top_k = k;
      std::vector<int32_t> expected, kept;
      for (uint32_t id = 0; id < kVocab; ++id) {
        if (logits[id] >= sorted[k - 1]) expected.push_back(static_cast<int32_t>(id));
      }
      for (const Candidate& candidate : sampler.filter(logits, options, {})) kept.push_back(candidate.token);
      std::sort(kept.begin(), kept.end());
      REQUIRE_MESSAGE(kept == expected, "k " << k << ": " << kept.size());
    }
  }
}

// By integers of any size and decimals of 50 digits in Python, from Steele, Lea & Flood's constants, which give the published outputs of
// splitmix64 for the seed 1234567 (6457827717110365317, 3203168211198807973, ...).
TEST_CASE("noise: bits and sampled tokens are those of another implementation") {
  CHECK(PositionNoise(0, 0, 0).bits(0) == 0x2130748aaac80268u);
  CHECK(PositionNoise(7, 0, 5).bits(123) == 0x9e13a5b3c266ef14u);
  CHECK(PositionNoise(~uint64_t{0}, 3, 1000).bits(50256) == 0x989ce16d683afcd2u);
  CHECK(PositionNoise(42, 1, 0).bits(1) == 0x391f3c4cfb6162c5u);
  CHECK(record_seed(7, 3) == 0x51dac6620fd87b1bu);
  std::vector<float> logits(100);
  for (size_t token = 0; token < 100; ++token) logits[token] = static_cast<float>(token * 37 % 101) / 16;
  SamplingOptions options;
  options.top_k = 0;
  Sampler sampler(100);
  std::vector<int32_t> tokens;
  for (uint64_t index = 0; index < 12; ++index) tokens.push_back(*sampler.sample(logits, options, {}, PositionNoise(11, 2, index)));
  CHECK(tokens == std::vector<int32_t>{90, 24, 87, 38, 73, 92, 62, 79, 48, 49, 30, 49});
}

TEST_CASE("int8, int8g32: no weight is further from its own than half a step, where the scale is hardly a number too") {
  // Scales of a few units of the smallest f16: nearest would make 1.4 of them one, and the largest weight 177 steps.
  for (const DType dtype : {DType::int8, DType::int8g32}) {
    for (const float units : {0.6f, 1.0f, 1.4f, 1.49f, 2.3f, 2.49f, 5.4f, 30.4f, 1000.4f, 3e4f, 1e6f}) {
      std::vector<float> rows(kPanelRows * 64, 0.0f), bias(kPanelRows, 0.0f), back(rows.size());
      const float largest = units * 127.0f * 0x1p-24f;
      for (size_t i = 0; i < rows.size(); ++i) rows[i] = largest * static_cast<float>(static_cast<int>(i % 64) - 31) / 32;
      std::vector<unsigned char> panel(panel_bytes(dtype, 64));
      pack_panel(dtype, rows.data(), bias.data(), 64, panel.data());
      unpack_panel(dtype, panel.data(), 64, back.data(), bias.data());
      const float step = std::max(0x1p-24f, largest / 127 * 1.001f);
      // A scale is a whole number of the smallest ones: at most one more than it need be.
      const float most = units < 2048 ? 0.5f * (std::floor(step / 0x1p-24f) + 1) * 0x1p-24f : 0.51f * step;
      for (size_t i = 0; i < rows.size(); ++i) REQUIRE_MESSAGE(std::abs(rows[i] - back[i]) <= most, units << ": " << rows[i] << " " << back[i]);
    }
  }
}

namespace {

// A pool, and texts of one block each, computed by nobody.
struct CacheWorld {
  KvPool pool;
  PrefixCache cache;
  explicit CacheWorld(size_t blocks) : pool(layout(), blocks), cache(pool) {}

  static KvLayout layout() {
    Config config;
    config.n_layer = config.n_head = 1;
    config.n_embd = config.d_head = 16;
    return KvLayout(config, KvType::f32);
  }
  static std::vector<int32_t> text(int32_t token, size_t blocks = 1) { return std::vector<int32_t>(blocks * kBlockPositions, token); }
  // Remembers a text of one block, which nobody else holds then.
  void publish(int32_t token) {
    KvSequence sequence(pool, kBlockPositions);
    REQUIRE(sequence.extend(kBlockPositions));
    cache.publish(text(token), sequence.block_ids());
  }
  bool knows(int32_t token) { return !cache.find(text(token)).empty(); }
};

}  // namespace

TEST_CASE("prefix cache: what was looked for last stays longest, whenever it came") {
  CacheWorld world(4);
  for (int32_t token = 0; token < 4; ++token) world.publish(token);
  CHECK(world.knows(0));  // the eldest is the youngest now
  CHECK(world.knows(2));
  CHECK(world.cache.evict());
  CHECK(world.cache.size() == 3);
  CHECK_FALSE(world.knows(1));
  CHECK(world.cache.evict());
  CHECK_FALSE(world.knows(3));
  CHECK(world.cache.evict());
  CHECK_FALSE(world.knows(0));
  CHECK(world.knows(2));
  CHECK(world.cache.evict());
  CHECK_FALSE(world.cache.evict());
  CHECK(world.pool.free_blocks() == 4);
}

TEST_CASE("prefix cache: a block that a sequence holds is not given back, nor one before it") {
  CacheWorld world(4);
  KvSequence holder(world.pool, 2 * kBlockPositions);
  REQUIRE(holder.extend(2 * kBlockPositions));
  world.cache.publish(CacheWorld::text(7, 2), holder.block_ids());
  world.publish(8);
  CHECK(world.cache.unused() == 1);
  CHECK(world.cache.evict());  // the youngest, but nobody's
  CHECK_FALSE(world.knows(8));
  CHECK_FALSE(world.cache.evict());
  CHECK(world.cache.size() == 2);
  holder.truncate(kBlockPositions);
  CHECK(world.cache.unused() == 1);
  CHECK(world.cache.evict());
  CHECK_FALSE(world.cache.evict());
  CHECK(world.knows(7));
  holder.truncate(0);
  CHECK(world.cache.evict());
  CHECK(world.pool.free_blocks() == 4);
}
