#include "tests/family_goldens.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "tests/family.h"
#include "tests/kernel_cases.h"
#include "tests/runner.h"
#include "tests/support.h"

namespace gpt2::test {

Goldens::Goldens() : json(parse_json(read_file(source_path("tests/data/family/family.json")), "family.json")) {
  const std::string bytes = read_file(source_path("tests/data/family/family.f32"));
  for (const Json& id : json.find("ids")->array) ids.push_back(static_cast<int32_t>(id.integer));
  for (const Json& row : json.find("rows")->array) rows.push_back(static_cast<size_t>(row.integer));
  const size_t n = rows.size() * kVocab * sizeof(float);
  size_t at = 0;
  for (const auto& [name, value, place] : json.find("cases")->object) {
    Golden golden;
    golden.name = name;
    golden.config = value.find("config")->string;
    golden.deviation = value.find("deviation")->real;
    golden.tensors = value.find("tensors");
    golden.logits.resize(rows.size() * kVocab);
    REQUIRE(at + n <= bytes.size());
    std::memcpy(golden.logits.data(), bytes.data() + at, n);
    at += n;
    cases.push_back(std::move(golden));
  }
  REQUIRE(at == bytes.size());
}

const Golden& Goldens::of(std::string_view name) const {
  for (const Golden& golden : cases) {
    if (golden.name == name) return golden;
  }
  REQUIRE_MESSAGE(false, "no golden " << std::string(name));
  return cases[0];
}

CheckpointFixture checkpoint_of(const Golden& golden) { return checkpoint_of(golden, golden.config); }

CheckpointFixture checkpoint_of(const Golden& golden, const std::string& config) {
  return checkpoint_of(config, *golden.tensors);
}

CheckpointFixture checkpoint_of(const std::string& config, const Json& tensors) {
  CheckpointFixture fixture = make_checkpoint({});
  fixture.tensors.clear();
  fixture.shapes.clear();
  fixture.config_json = config;
  for (const auto& [name, shape, place] : tensors.object) {
    uint64_t n = 1;
    for (const Json& d : shape.array) {
      fixture.shapes[name].push_back(static_cast<uint64_t>(d.integer));
      n *= static_cast<uint64_t>(d.integer);
    }
    std::vector<float>& values = fixture.tensors[name];
    for (uint64_t i = 0; i < n; ++i) values.push_back(golden_element(name, i, shape.array.size() == 1));
  }
  return fixture;
}

double error_of(const Goldens& goldens, const Golden& golden, const Model& model) {
  const std::vector<float> logits = logits_of(model, goldens.ids, {runnable_kernels().tables[0], 2});
  double worst = 0;
  for (size_t r = 0; r < goldens.rows.size(); ++r) {
    for (size_t i = 0; i < Goldens::kVocab; ++i) {
      const double found = logits[goldens.rows[r] * Goldens::kVocab + i];
      const double difference = found - golden.logits[r * Goldens::kVocab + i];
      const double error = std::abs(difference) / golden.deviation;
      worst = error <= worst ? worst : error == error ? error : INFINITY;
    }
  }
  return worst;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  REQUIRE_MESSAGE(at != std::string::npos, from);
  return text.replace(at, from.size(), to);
}

}  // namespace gpt2::test
