// One forward pass for the family: against plain loops in double, and against itself bit for bit; and its kernels.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "kernels/kernels.h"
#include "src/base/aligned_buffer.h"
#include "src/base/checked.h"
#include "src/base/portable_math.h"
#include "src/model/forward.h"
#include "tests/family.h"
#include "tests/fixtures.h"
#include "tests/hostile.h"
#include "tests/kernel_cases.h"
#include "tests/runner.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

std::vector<int32_t> some_tokens(size_t n, uint32_t n_vocab, uint64_t seed = 3) {
  std::vector<int32_t> tokens;
  Numbers numbers(seed);
  for (size_t i = 0; i < n; ++i) tokens.push_back(static_cast<int32_t>(numbers.bits() % n_vocab));
  return tokens;
}

// The largest error in units of the expected values' standard deviation; NaN counts as infinite.
double relative_error(const std::vector<float>& got, const std::vector<double>& expected) {
  REQUIRE(got.size() == expected.size());
  double mean = 0, square = 0, worst = 0;
  const auto n = static_cast<double>(got.size());
  for (const double v : expected) mean += v / n;
  for (const double v : expected) square += (v - mean) * (v - mean) / n;
  for (size_t i = 0; i < got.size(); ++i) {
    const double error = std::abs(double{got[i]} - expected[i]);
    worst = error <= worst ? worst : error == error ? error : INFINITY;
  }
  return worst / std::sqrt(square);
}

template <class Check>
void each_table(Check check) {
  const KernelList list = runnable_kernels();
  for (size_t i = 0; i < list.count; ++i) check(*list.tables[i]);
}

template <class T>
bool same(const T& a, const T& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(a[0])) == 0;
}

}  // namespace

TEST_CASE("family: every architecture's logits are within 2e-4 of plain loops in double") {
  for (const FamilyCase& c : family_cases()) {
    const std::vector<int32_t> tokens = some_tokens(90, c.config.n_vocab);
    const std::vector<float> got = logits_of(make_family_model(c.config), tokens, {runnable_kernels().tables[0], 2});
    const double error = relative_error(got, expected_logits(c.config, tokens));
    CHECK_MESSAGE(error <= 2e-4, c.name << ": " << error);
  }
}

TEST_CASE("family: every architecture has the same bits on every tier, team and chunking") {
  for (const FamilyCase& c : family_cases()) {
    const std::vector<int32_t> tokens = some_tokens(100, c.config.n_vocab);
    for (const DType dtype : {DType::f32, DType::int8, DType::int4}) {
      const Model model = make_family_model(c.config, dtype);
      const KvType kv = dtype == DType::f32 ? KvType::f32 : KvType::f16;
      const std::vector<float> expected = logits_of(model, tokens, {find_kernels("scalar"), 1, 1u << 30, kv});
      for (const float value : expected) REQUIRE(std::isfinite(value));
      const std::vector<uint32_t> all_teams = {1, 2, 3, 7}, few_teams = {1, 3}, one_team = {3};
      each_table([&](const KernelTable& table) {
        const bool slow = table.name == std::string_view("scalar");
        const std::vector<uint32_t>& teams = slow ? one_team : dtype == DType::f32 ? all_teams : few_teams;
        for (const uint32_t threads : teams) {
          for (const uint32_t chunk : {1u, 7u, 1u << 30}) {
            REQUIRE_MESSAGE(same(logits_of(model, tokens, {&table, threads, chunk, kv}), expected),
                            c.name << ", type " << static_cast<int>(dtype) << ", " << table.name << ", " << threads
                                   << " threads, chunks of " << chunk);
          }
        }
      });
    }
  }
}

TEST_CASE("family: rows of many sequences in one step give each what it gets alone") {
  const KernelTable& kernels = *runnable_kernels().tables[0];
  for (const FamilyCase& c : family_cases()) {
    const Model model = make_family_model(c.config);
    KvPool pool(KvLayout(c.config, KvType::f32), 16);
    for (const uint32_t threads : {1u, 2u, 3u}) {
      ThreadTeam team(threads);
      Workspace workspace(c.config, 128, 4, threads);
      const std::vector<std::vector<int32_t>> prompts = {some_tokens(5, 37, 1), some_tokens(1, 37, 2),
                                                         some_tokens(71, 37, 4)};
      std::vector<KvSequence> sequences;
      std::vector<KvSequence*> pointers;
      std::vector<gpt2::Row> rows;
      for (size_t s = 0; s < prompts.size(); ++s) {
        sequences.emplace_back(pool, c.config.n_ctx);
        REQUIRE(sequences.back().extend(static_cast<uint32_t>(prompts[s].size())));
        for (size_t i = 0; i < prompts[s].size(); ++i) {
          rows.push_back({static_cast<uint32_t>(s), static_cast<uint32_t>(i), prompts[s][i],
                          i + 1 == prompts[s].size() ? Wants::logits : Wants::nothing});
        }
      }
      for (KvSequence& sequence : sequences) pointers.push_back(&sequence);
      const ForwardResult result = forward(c.config, model.weights(), {rows, pointers}, workspace, {kernels, team});
      for (size_t s = 0; s < prompts.size(); ++s) {
        const std::vector<float> alone = logits_of(model, prompts[s], {&kernels});
        const float* last = alone.data() + (prompts[s].size() - 1) * 37;
        REQUIRE_MESSAGE(std::memcmp(result.logits.row(s).data(), last, 37 * sizeof(float)) == 0, c.name);
      }
    }
  }
}

TEST_CASE("family: a file says what its block is made of, and a GPT-2 file says nothing") {
  for (const FamilyCase& c : family_cases()) {
    const Config config = make_family_model(c.config).config();
    CHECK(block_metadata(config) == block_metadata(c.config));
    CHECK_FALSE(block_metadata(config).empty());
    CHECK(config.windows == c.config.windows);
    CHECK(config.n_kv_head == c.config.n_kv_head);
    CHECK(config.head_bias == c.config.head_bias);
  }
  CHECK(block_metadata(books().config()).empty());
}

TEST_CASE("family: what is read back of a matrix is what was written, whichever rows were moved") {
  for (const FamilyCase& c : family_cases()) {
    const Model model = make_family_model(c.config);
    for (const StoredTensor& tensor : model.file().tensors) {
      if (!is_packed(tensor.spec.arrangement)) continue;
      const LogicalTensor logical = read_tensor(tensor, c.config);
      REQUIRE(logical.values.size() == tensor.spec.rows * tensor.spec.cols);
      for (size_t i = 0; i < logical.values.size(); ++i) {
        REQUIRE(logical.values[i] == family_element(tensor.spec.name, i));
      }
      for (size_t i = 0; i < logical.bias.size(); ++i) REQUIRE(logical.bias[i] == family_element(tensor.spec.bias, i));
    }
  }
}

TEST_CASE("family: a file whose block does not fit is refused by name") {
  struct Bad {
    const char *name, *from, *to, *item;
  };
  constexpr Bad kBad[] = {
      {"llama", "\"block.norm\":\"rms\"", "\"block.norm\":\"rmsx\"", "block.norm"},
      {"llama", "\"block.n_kv_head\":\"2\"", "\"block.n_kv_head\":\"x\"", "block.n_kv_head"},
      {"llama", "\"block.n_kv_head\":\"2\"", "\"block.n_kv_head\":\"0\"", "n_kv_head"},
      {"llama", "\"block.n_kv_head\":\"2\"", "\"block.n_kv_head\":\"4\"", "n_kv_head"},
      {"llama", "\"block.n_kv_head\":\"2\"", "\"block.n_kv_head\":\"3\"", "c_attn.weight"},
      {"llama", "\"block.d_head\":\"16\"", "\"block.d_head\":\"0\"", "d_head"},
      {"llama", "\"block.d_head\":\"16\"", "\"block.d_head\":\"4294967295\"", "d_head"},
      {"llama", "\"block.rotary_dims\":\"16\"", "\"block.rotary_dims\":\"15\"", "rotary_dims"},
      {"llama", "\"block.rotary_dims\":\"16\"", "\"block.rotary_dims\":\"18\"", "rotary_dims"},
      {"llama", "\"block.rotary_dims\":\"16\"", "\"block.rotary_dims\":\"0\"", "rotary_dims"},
      {"llama", "\"block.positions\":\"rotary\"", "\"block.positions\":\"learned\"", "rotary_dims"},
      {"llama", "\"block.mlp\":\"gated\"", "\"block.mlp\":\"plain\"", "mlp.c_fc.weight"},
      {"llama", "\"block.mlp\"", "\"block.softcap\":\"50\",\"block.mlp\"", "block.softcap"},
      {"llama", "\"block.mlp\"", "\"block.residual\":\"parallel\",\"block.mlp\"", "block.residual"},
      {"llama", "\"gpt2.version\":\"2\"", "\"gpt2.version\":\"1\"", "block."},
      {"llama", "\"tensor.rotary.frequencies\"", "\"tensor.rotary.frequency\"", "rotary.frequencies"},
      {"mistral", "\"block.windows\":\"5,65\"", "\"block.windows\":\"5\"", "windows"},
      {"mistral", "\"block.windows\":\"5,65\"", "\"block.windows\":\"5,,65\"", "block.windows"},
      {"gptj", "\"config.tied_lm_head\":\"false\"", "\"config.tied_lm_head\":\"true\"", "head_bias"},
      {"gemma", "\"block.embedding_scale\":\"6.3125\"", "\"block.embedding_scale\":\"nan\"", "embedding_scale"},
      {"gemma", "\"block.embedding_scale\":\"6.3125\"", "\"block.embedding_scale\":\"-1\"", "embedding_scale"}};
  for (const Bad& bad : kBad) {
    std::string file;
    for (const FamilyCase& c : family_cases()) {
      if (c.name == bad.name) file = family_file(c.config);
    }
    std::string header = header_of(file);
    const size_t size = header.size(), at = header.find(bad.from);
    REQUIRE_MESSAGE(at != std::string::npos, bad.from);
    header.replace(at, std::strlen(bad.from), bad.to);
    header.resize(size, ' ');  // what was added comes out of the padding
    const std::string changed = sealed(with_header(file, header));
    AlignedBuffer<std::byte> bytes(changed.size());
    std::memcpy(bytes.data(), changed.data(), changed.size());
    const Failure failure = failure_of([&] { Model::from_memory(std::move(bytes), "bad"); });
    CHECK_MESSAGE(failure.code == 3, bad.to);
    CHECK_MESSAGE(failure.message.find(bad.item) != std::string::npos, bad.to << ": " << failure.message);
  }
}

TEST_CASE("kernels: rms_norm equals double loops, and every tier has scalar's bits") {
  for (const size_t n : kNormLengths) {
    Numbers numbers(n);
    std::vector<float> x(n), weight(n), expected(n);
    for (float& v : x) v = numbers.next(2.0f);
    for (float& v : weight) v = 1 + numbers.next(0.2f);
    find_kernels("scalar")->rms_norm(x.data(), weight.data(), n, 1e-3f, expected.data());
    double square = 0;
    for (const float v : x) square += double{v} * v / static_cast<double>(n);
    for (size_t i = 0; i < n; ++i) {
      const double error = std::abs(expected[i] - x[i] / std::sqrt(square + double{1e-3f}) * weight[i]);
      REQUIRE(error <= 2e-6);
    }
    each_table([&](const KernelTable& table) {
      std::vector<float> got(n + 1, 7.0f);
      table.rms_norm(x.data(), weight.data(), n, 1e-3f, got.data());
      REQUIRE(got[n] == 7.0f);
      got.resize(n);
      REQUIRE_MESSAGE(same(got, expected), table.name << " " << n);
    });
  }
}

TEST_CASE("kernels: rotate turns pairs half a head apart, on every tier with scalar's bits") {
  for (const size_t half : {16, 32, 48, 128}) {
    Numbers numbers(half);
    std::vector<float> x(2 * half), cosines(half), sines(half);
    for (float& v : x) v = numbers.next();
    for (size_t i = 0; i < half; ++i) {
      const SineCosine turn = portable_sincos(numbers.next(3.0f));
      cosines[i] = i % 3 == 0 ? 1.0f : static_cast<float>(turn.cosine);
      sines[i] = i % 3 == 0 ? 0.0f : static_cast<float>(turn.sine);
    }
    std::vector<float> expected = x;
    find_kernels("scalar")->rotate(expected.data(), cosines.data(), sines.data(), half);
    for (size_t i = 0; i < half; ++i) {
      const double a = x[i], b = x[i + half], c = cosines[i], s = sines[i];
      REQUIRE(std::abs(expected[i] - (a * c - b * s)) <= 1e-6);
      REQUIRE(std::abs(expected[i + half] - (b * c + a * s)) <= 1e-6);
      if (i % 3 == 0) REQUIRE((expected[i] == x[i] && expected[i + half] == x[i + half]));
    }
    each_table([&](const KernelTable& table) {
      std::vector<float> got = x;
      table.rotate(got.data(), cosines.data(), sines.data(), half);
      REQUIRE_MESSAGE(same(got, expected), table.name << " " << half);
    });
  }
}

TEST_CASE("kernels: a gated panel leaves act(gate) times value, on every tier with scalar's bits") {
  const size_t n_inputs = 70, n_panels = 5, n_outputs = n_panels * 8, stride = n_outputs + 16;
  const size_t plain_stride = n_panels * 16;
  for (const DType dtype : {DType::f32, DType::int8, DType::int8g32, DType::int4}) {
    const size_t bytes = panel_bytes(dtype, n_inputs);
    AlignedBuffer<unsigned char> panels(n_panels * bytes);
    Numbers numbers(5);
    std::vector<float> rows(16 * n_inputs), bias(16);
    for (size_t p = 0; p < n_panels; ++p) {
      for (float& v : rows) v = numbers.next(0.3f);
      for (float& v : bias) v = numbers.next();
      pack_panel(dtype, rows.data(), bias.data(), n_inputs, panels.data() + p * bytes);
    }
    for (const size_t n_rows : {1, 2, 3, 6, 13}) {
      const size_t row_bytes = prepared_row_bytes(dtype, n_inputs);
      const auto run = [&](const KernelTable& table, Epilogue epilogue) {
        AlignedBuffer<unsigned char> x(n_rows * row_bytes);
        Numbers inputs(9);
        for (size_t r = 0; r < n_rows; ++r) {
          std::vector<float> row(n_inputs);
          for (float& v : row) v = inputs.next();
          table.prepare_row(dtype, row.data(), n_inputs, x.data() + r * row_bytes);
        }
        // The panels themselves, or what the gates leave.
        const size_t out_stride = epilogue == Epilogue::none ? plain_stride : stride;
        AlignedBuffer<float> out(n_rows * out_stride);
        for (float& v : out.span()) v = 7;
        MatmulArgs args = {};
        args.w = {panels.data(), dtype, static_cast<uint32_t>(n_panels * 16), static_cast<uint32_t>(n_inputs)};
        args.panel_end = n_panels;
        args.x = x.data();
        args.x_stride = row_bytes;
        args.n_rows = n_rows;
        args.out = out.data();
        args.out_stride = out_stride;
        args.epilogue = epilogue;
        table.matmul(args);
        return std::vector<float>(out.span().begin(), out.span().end());
      };
      const std::vector<float> plain = run(*find_kernels("scalar"), Epilogue::none);
      for (const Epilogue epilogue :
           {Epilogue::gated_gelu_tanh, Epilogue::gated_gelu_erf, Epilogue::gated_relu, Epilogue::gated_silu}) {
        const std::vector<float> expected = run(*find_kernels("scalar"), epilogue);
        for (size_t r = 0; r < n_rows; ++r) {
          for (size_t i = 0; i < stride; ++i) {
            if (i >= n_outputs) {
              REQUIRE(expected[r * stride + i] == 7);
              continue;
            }
            const float* panel = &plain[r * plain_stride + i / 8 * 16];
            const double gate = panel[i % 8], value = panel[8 + i % 8];
            const double u = std::sqrt(2 / M_PI) * (gate + 0.044715 * gate * gate * gate);
            const double act = epilogue == Epilogue::gated_gelu_tanh  ? 0.5 * gate * (1 + std::tanh(u))
                               : epilogue == Epilogue::gated_gelu_erf ? 0.5 * gate * (1 + std::erf(gate / std::sqrt(2.0)))
                               : epilogue == Epilogue::gated_relu     ? std::max(0.0, gate)
                                                                      : gate / (1 + std::exp(-gate));
            REQUIRE(std::abs(expected[r * stride + i] - act * value) <= 2e-6 * (1 + std::abs(act * value)));
          }
        }
        each_table([&](const KernelTable& table) {
          REQUIRE_MESSAGE(same(run(table, epilogue), expected),
                          table.name << " rows " << n_rows << " type " << static_cast<int>(dtype));
        });
      }
    }
  }
}

TEST_CASE("kernels: heads that share keys, and windows, have scalar's bits on every tier, which are each head's alone") {
  struct Case {
    size_t d_head, n_heads, first_position, n_rows, window;
  };
  constexpr Case kCases[] = {{16, 3, 0, 7, 0},    {64, 3, 100, 1, 0},  {24, 4, 60, 9, 0},   {80, 13, 130, 2, 0},
                             {16, 1, 0, 70, 5},   {64, 1, 62, 70, 64}, {16, 2, 50, 90, 65}, {40, 5, 127, 3, 1},
                             {16, 7, 300, 1, 129}, {128, 2, 1, 67, 33}, {32, 51, 200, 1, 0}};
  for (const Case& c : kCases) {
    const size_t d_pad = round_up(c.d_head, kPanelRows), n_positions = c.first_position + c.n_rows;
    const size_t n_blocks = (n_positions + 63) / 64;
    for (const KvType type : {KvType::f32, KvType::f16}) {
      const size_t plane = kv_plane_bytes(type, d_pad);
      const size_t q_stride = c.n_heads * d_pad + 32, out_stride = c.n_heads * c.d_head + 3;
      AlignedBuffer<unsigned char> memory(n_blocks * 2 * plane);
      std::memset(memory.data(), 0xFF, memory.size());  // NaN where nothing is stored
      Numbers numbers(c.d_head + c.window);
      std::vector<const unsigned char*> blocks;
      for (size_t b = 0; b < n_blocks; ++b) blocks.push_back(memory.data() + b * 2 * plane);
      std::vector<float> k(d_pad), v(d_pad), q(c.n_rows * q_stride, 0.0f);
      const size_t first_seen = c.window > 0 && c.first_position + 1 > c.window ? c.first_position + 1 - c.window : 0;
      for (size_t p = first_seen; p < n_positions; ++p) {  // what no row sees stays NaN
        for (size_t d = 0; d < c.d_head; ++d) {
          k[d] = numbers.next();
          v[d] = numbers.next();
        }
        unsigned char* block = memory.data() + p / 64 * 2 * plane;
        find_kernels("scalar")->store_kv(k.data(), v.data(), d_pad, type, p % 64, block, block + plane);
      }
      for (size_t r = 0; r < c.n_rows; ++r) {
        for (size_t i = 0; i < c.n_heads * d_pad; ++i) {
          q[r * q_stride + i] = i % d_pad < c.d_head ? numbers.next() : 0.0f;
        }
      }
      const auto run = [&](const KernelTable& table, size_t row, size_t n_rows, size_t head, size_t n_heads) {
        std::vector<float> out(n_rows * out_stride, 7.0f);
        AttentionArgs args = {};
        args.q = q.data() + row * q_stride + head * d_pad;
        args.q_stride = q_stride;
        args.n_rows = n_rows;
        args.n_heads = n_heads;
        args.first_position = c.first_position + row;
        args.window = c.window;
        args.blocks = blocks.data();
        args.v_offset = plane;
        args.d_head = c.d_head;
        args.d_key = args.d_pad = d_pad;
        args.scale = 0.3f;
        args.kv_type = type;
        args.out = out.data();
        args.out_stride = out_stride;
        table.attention(args);
        return out;
      };
      const std::vector<float> expected = run(*find_kernels("scalar"), 0, c.n_rows, 0, c.n_heads);
      for (const float value : expected) REQUIRE(std::isfinite(value));
      each_table([&](const KernelTable& table) {
        REQUIRE_MESSAGE(same(run(table, 0, c.n_rows, 0, c.n_heads), expected),
                        table.name << " d_head " << c.d_head << " window " << c.window);
        for (const size_t row : {size_t{0}, c.n_rows / 2, c.n_rows - 1}) {
          const size_t head = row % c.n_heads;
          const std::vector<float> alone = run(table, row, 1, head, 1);
          const float* together = &expected[row * out_stride + head * c.d_head];
          REQUIRE(std::memcmp(alone.data(), together, c.d_head * sizeof(float)) == 0);
        }
      });
    }
  }
}

TEST_CASE("portable_sincos: near the C library's, far out too, NaN where it does not reach") {
  for (double x = -40; x < 40; x += 0.37) {
    CHECK(std::abs(portable_sincos(x).sine - std::sin(x)) <= 1e-14);
    CHECK(std::abs(portable_sincos(x).cosine - std::cos(x)) <= 1e-14);
  }
  for (const double x : {131071.0, 1048575.5, -999983.25}) {
    CHECK(std::abs(portable_sincos(x).sine - std::sin(x)) <= 1e-12);
    CHECK(std::abs(portable_sincos(x).cosine - std::cos(x)) <= 1e-12);
  }
  CHECK(std::isnan(portable_sincos(1e9).sine));
  CHECK(std::isnan(portable_sincos(std::nan("")).cosine));
}
