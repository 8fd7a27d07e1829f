// Kernel speed over the case table of the parity tests: kernel x shape x tier. Weights rotate through a ring larger than the last
// cache, so they are cold as in decode; each row shows percent of the limit, which is probed right after the row's own loop.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "kernels/cpu.h"
#include "kernels/kernels.h"
#include "src/base/aligned_buffer.h"
#include "src/engine/probe.h"
#include "tests/kernel_cases.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

constexpr size_t kRingBytes = size_t{256} << 20;

// One thread's limits; the kernels below run on one thread too.
struct Limits {
  ThreadTeam team{1};
  MachineProbe probe;
  explicit Limits(const KernelTable& table) : probe(table, team) {}
};

AlignedBuffer<float> numbers(size_t n, uint64_t seed) {
  AlignedBuffer<float> values(n);
  Numbers random(seed);
  for (size_t i = 0; i < n; ++i) values[i] = random.next(0.1f);
  return values;
}

// Percent of the larger of the two times that bytes and flops need.
void report(benchmark::State& state, Limits& limits, double bytes, double flops) {
  double passes[3];
  for (double& pass : passes) pass = limits.probe.read_bandwidth();
  std::sort(std::begin(passes), std::end(passes));
  const double read = passes[1], fma = limits.probe.fma_peak();
  const double least = std::max(bytes / read, flops / fma);
  const auto iterations = static_cast<double>(state.iterations());
  state.counters["GB/s"] = benchmark::Counter(bytes * iterations / 1e9, benchmark::Counter::kIsRate);
  state.counters["Gflop/s"] = benchmark::Counter(flops * iterations / 1e9, benchmark::Counter::kIsRate);
  state.counters["%limit"] = benchmark::Counter(100 * least * iterations, benchmark::Counter::kIsRate);
  state.SetLabel(bytes / read > flops / fma ? "read" : "fma");
}

void bench_matmul(benchmark::State& state, const KernelTable& table, MatmulCase c, size_t n_rows, Epilogue epilogue) {
  static const AlignedBuffer<float> ring = numbers(kRingBytes / sizeof(float), 1);
  const size_t stride = c.n_inputs + kPanelRows, out_stride = round_up(c.n_outputs, kPanelRows) + kPanelRows;
  const AlignedBuffer<float> x = numbers(n_rows * stride, 2);
  AlignedBuffer<float> out(n_rows * out_stride);
  MatmulArgs args = {};
  args.w = {nullptr, DType::f32, static_cast<uint32_t>(round_up(c.n_outputs, kPanelRows)), static_cast<uint32_t>(c.n_inputs)};
  args.panel_end = n_panels(args.w);
  args.x = static_cast<const unsigned char*>(static_cast<const void*>(x.data()));
  args.x_stride = stride * sizeof(float);
  args.n_rows = n_rows;
  args.out = out.data();
  args.out_stride = out_stride;
  args.epilogue = epilogue;
  const size_t bytes = panels_bytes(args.w);
  size_t at = 0;
  for (auto _ : state) {
    args.w.data = static_cast<const unsigned char*>(static_cast<const void*>(ring.data())) + at;
    at = at + 2 * bytes <= kRingBytes ? at + bytes : 0;
    table.matmul(args);
    benchmark::ClobberMemory();
  }
  Limits limits(table);
  report(state, limits, static_cast<double>(bytes),
         2.0 * static_cast<double>(args.w.n_rows) * static_cast<double>(c.n_inputs * n_rows));
}

void bench_attention(benchmark::State& state, const KernelTable& table, AttentionCase c, KvType type) {
  const size_t d_pad = round_up(c.d_head, kPanelRows), n_positions = c.first_position + c.n_rows;
  const size_t n_blocks = (n_positions + kBlockPositions - 1) / kBlockPositions, plane = kv_plane_bytes(type, d_pad);
  const size_t head_bytes = n_blocks * 2 * plane, n_heads = c.n_rows == 1 ? kRingBytes / head_bytes : 12;
  AlignedBuffer<unsigned char> memory(n_heads * head_bytes);
  const AlignedBuffer<float> values = numbers(c.n_rows * (d_pad + kPanelRows), 3);
  AlignedBuffer<float> out(c.n_rows * (d_pad + kPanelRows));
  std::vector<const unsigned char*> blocks(n_blocks);
  for (size_t h = 0; h < n_heads; ++h) {
    for (size_t p = 0; p < n_positions; ++p) {
      unsigned char* block = memory.data() + h * head_bytes + p / kBlockPositions * 2 * plane;
      table.store_kv(values.data(), values.data(), d_pad, type, p % kBlockPositions, block, block + plane);
    }
  }
  AttentionArgs args = {};
  args.q = values.data();
  args.q_stride = args.out_stride = d_pad + kPanelRows;
  args.n_rows = c.n_rows;
  args.first_position = c.first_position;
  args.v_offset = plane;
  args.d_head = c.d_head;
  args.d_pad = d_pad;
  args.scale = 1;
  args.kv_type = type;
  args.out = out.data();
  size_t head = 0;
  for (auto _ : state) {
    for (size_t b = 0; b < n_blocks; ++b) blocks[b] = memory.data() + head * head_bytes + b * 2 * plane;
    args.blocks = blocks.data();
    table.attention(args);
    head = (head + 1) % n_heads;
    benchmark::ClobberMemory();
  }
  const auto rows = static_cast<double>(c.n_rows);
  const double seen = rows * static_cast<double>(c.first_position) + rows * (rows + 1) / 2;
  Limits limits(table);
  const double bytes = c.n_rows == 1 ? 2.0 * static_cast<double>(n_positions * d_pad * item_bytes(type)) : 0;
  report(state, limits, bytes, 4.0 * static_cast<double>(c.d_head) * seen);
}

void bench_norm(benchmark::State& state, const KernelTable& table, size_t n) {
  const AlignedBuffer<float> x = numbers(n, 4), weight = numbers(n, 5), bias = numbers(n, 6);
  AlignedBuffer<float> y(n);
  for (auto _ : state) {
    table.layer_norm(x.data(), weight.data(), bias.data(), n, 1e-5f, y.data());
    benchmark::ClobberMemory();
  }
  state.counters["values/s"] = benchmark::Counter(static_cast<double>(n), benchmark::Counter::kIsIterationInvariantRate);
}

void register_tier(const KernelTable& table) {
  const std::string tier = table.name;
  for (const MatmulCase& c : kRealMatmuls) {
    for (const size_t n_rows : {1, 4, 8, 16, 512}) {
      const std::string name = "matmul/" + tier + "/" + c.name + "/rows:" + std::to_string(n_rows);
      benchmark::RegisterBenchmark(name.c_str(), bench_matmul, table, c, n_rows, Epilogue::none);
    }
  }
  for (const Epilogue epilogue : {Epilogue::gelu_tanh, Epilogue::gelu_erf, Epilogue::residual}) {
    const std::string name = "matmul/" + tier + "/124M c_fc/rows:512/epilogue:" + std::to_string(static_cast<int>(epilogue));
    benchmark::RegisterBenchmark(name.c_str(), bench_matmul, table, kRealMatmuls[2], size_t{512}, epilogue);
  }
  for (const KvType type : {KvType::f32, KvType::f16}) {
    for (const AttentionCase c : {AttentionCase{64, 1023, 1}, AttentionCase{64, 0, 512}, AttentionCase{64, 0, 1024}}) {
      const std::string name = "attention/" + tier + "/" + (type == KvType::f32 ? "f32" : "f16") + "/depth:" +
                               std::to_string(c.first_position) + "/rows:" + std::to_string(c.n_rows);
      benchmark::RegisterBenchmark(name.c_str(), bench_attention, table, c, type);
    }
  }
  for (const size_t n : {768, 1024, 1600}) {
    benchmark::RegisterBenchmark(("layer_norm/" + tier + "/" + std::to_string(n)).c_str(), bench_norm, table, n);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const KernelList list = runnable_kernels();
  for (size_t i = 0; i < list.count; ++i) {
    if (std::string(list.tables[i]->name) != "scalar") register_tier(*list.tables[i]);
  }
  char name[64];
  cpu_name(name);
  benchmark::AddCustomContext("cpu", name);
  benchmark::AddCustomContext("compiler", __VERSION__);
  benchmark::AddCustomContext("threads", "1");
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
