// Kernel speed over the case table of the parity tests: kernel x shape x tier. Weights rotate through a ring larger than the last
// cache, so they are cold as in decode; each row shows percent of the limit, which is probed right after the row's own loop.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "kernels/cpu.h"
#include "kernels/kernels.h"
#include "src/base/aligned_buffer.h"
#include "src/measure/probe.h"
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

Limits& limits_of(const KernelTable& table) {
  static std::map<std::string, Limits> all;
  return all.try_emplace(table.name, table).first->second;
}

AlignedBuffer<float> numbers(size_t n, uint64_t seed) {
  AlignedBuffer<float> values(n);
  Numbers random(seed);
  for (size_t i = 0; i < n; ++i) values[i] = random.next(0.1f);
  return values;
}

// Percent of the larger of the two times that bytes and operations need.
void report(benchmark::State& state, const KernelTable& table, DType dtype, double bytes, double operations) {
  MachineProbe& probe = limits_of(table).probe;
  double passes[3];
  for (double& pass : passes) pass = probe.read_bandwidth();
  std::sort(std::begin(passes), std::end(passes));
  const double read = passes[1], peak = probe.peak(dtype);
  const double least = std::max(bytes / read, operations / peak);
  const auto iterations = static_cast<double>(state.iterations());
  state.counters["GB/s"] = benchmark::Counter(bytes * iterations / 1e9, benchmark::Counter::kIsRate);
  state.counters["Gop/s"] = benchmark::Counter(operations * iterations / 1e9, benchmark::Counter::kIsRate);
  state.counters["%limit"] = benchmark::Counter(100 * least * iterations, benchmark::Counter::kIsRate);
  state.SetLabel(bytes / read > operations / peak ? "read" : "peak");
}

// Whole copies of one packed panel, as many as the ring holds.
AlignedBuffer<unsigned char> packed_ring(DType dtype, size_t n_inputs) {
  const size_t bytes = panel_bytes(dtype, n_inputs), n = kRingBytes / bytes;
  AlignedBuffer<unsigned char> ring(n * bytes);
  const AlignedBuffer<float> rows = numbers(kPanelRows * n_inputs, 1), bias = numbers(kPanelRows, 7);
  pack_panel(dtype, rows.data(), bias.data(), n_inputs, ring.data());
  for (size_t i = 1; i < n; ++i) std::memcpy(ring.data() + i * bytes, ring.data(), bytes);
  return ring;
}

void bench_matmul(benchmark::State& state, const KernelTable& table, MatmulCase c, DType dtype, size_t n_rows, Epilogue epilogue) {
  const AlignedBuffer<unsigned char> ring = packed_ring(dtype, c.n_inputs);
  const size_t stride = round_up(prepared_row_bytes(dtype, c.n_inputs), kLineBytes) + kLineBytes;
  const size_t out_stride = round_up(c.n_outputs, kPanelRows) + kPanelRows;
  const AlignedBuffer<float> x = numbers(c.n_inputs, 2);
  AlignedBuffer<unsigned char> rows(n_rows * stride);
  for (size_t r = 0; r < n_rows; ++r) {
    if (is_prepared(dtype)) {
      table.prepare_row(dtype, x.data(), c.n_inputs, rows.data() + r * stride);
    } else {
      std::memcpy(rows.data() + r * stride, x.data(), c.n_inputs * sizeof(float));
    }
  }
  AlignedBuffer<float> out(n_rows * out_stride);
  MatmulArgs args = {};
  args.w = {nullptr, dtype, static_cast<uint32_t>(round_up(c.n_outputs, kPanelRows)), static_cast<uint32_t>(c.n_inputs)};
  args.panel_end = n_panels(args.w);
  args.x = rows.data();
  args.x_stride = stride;
  args.n_rows = n_rows;
  args.out = out.data();
  args.out_stride = out_stride;
  args.epilogue = epilogue;
  const size_t bytes = panels_bytes(args.w);
  size_t at = 0;
  for (auto _ : state) {
    args.w.data = ring.data() + at;
    at = at + 2 * bytes <= ring.size() ? at + bytes : 0;
    table.matmul(args);
    benchmark::ClobberMemory();
  }
  report(state, table, dtype, static_cast<double>(bytes),
         2.0 * static_cast<double>(args.w.n_rows) * static_cast<double>(c.n_inputs * n_rows));
}

void bench_prepare_row(benchmark::State& state, const KernelTable& table, DType dtype, size_t n) {
  const AlignedBuffer<float> x = numbers(n, 2);
  AlignedBuffer<unsigned char> row(prepared_row_bytes(dtype, n));
  for (auto _ : state) {
    table.prepare_row(dtype, x.data(), n, row.data());
    benchmark::ClobberMemory();
  }
  state.counters["values/s"] = benchmark::Counter(static_cast<double>(n), benchmark::Counter::kIsIterationInvariantRate);
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
  args.n_heads = 1;
  args.d_head = args.d_key = c.d_head;
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
  const double bytes = c.n_rows == 1 ? 2.0 * static_cast<double>(n_positions * d_pad * item_bytes(type)) : 0;
  report(state, table, DType::f32, bytes, 4.0 * static_cast<double>(c.d_head) * seen);
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

constexpr std::pair<DType, const char*> kTypes[] = {
    {DType::f32, "f32"}, {DType::bf16, "bf16"}, {DType::int8, "int8"}, {DType::int8g32, "int8g32"},
    {DType::int4, "int4"}};

void register_tier(const KernelTable& table) {
  const std::string tier = table.name;
  for (const auto& [dtype, type] : kTypes) {
    for (const MatmulCase& c : kRealMatmuls) {
      for (const size_t n_rows : {1, 4, 8, 16, 512}) {
        const std::string name = "matmul/" + tier + "/" + type + "/" + c.name + "/rows:" + std::to_string(n_rows);
        benchmark::RegisterBenchmark(name.c_str(), bench_matmul, table, c, dtype, n_rows, Epilogue::none);
      }
    }
    if (!is_prepared(dtype)) continue;
    for (const size_t n : {768, 3072}) {
      const std::string name = "prepare_row/" + tier + "/" + type + "/" + std::to_string(n);
      benchmark::RegisterBenchmark(name.c_str(), bench_prepare_row, table, dtype, n);
    }
  }
  for (const Epilogue epilogue : {Epilogue::gelu_tanh, Epilogue::gelu_erf, Epilogue::residual}) {
    const std::string name = "matmul/" + tier + "/f32/124M c_fc/rows:512/epilogue:" + std::to_string(static_cast<int>(epilogue));
    benchmark::RegisterBenchmark(name.c_str(), bench_matmul, table, kRealMatmuls[2], DType::f32, size_t{512}, epilogue);
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
