// The KServe messages as values: what is read, what is refused, and the bytes that are written.
#include <doctest/doctest.h>

#include <cstring>

#include "src/serve/api.h"
#include "src/serve/kserve_tensors.h"
#include "src/serve/metrics.h"

using namespace gpt2;

namespace {

std::string word(uint32_t value) {
  std::string bytes(4, '\0');
  std::memcpy(bytes.data(), &value, 4);
  return bytes;
}

KserveRequest parse(const std::string& json, const std::string& bytes = "") {
  return parse_kserve(json + bytes, bytes.empty() ? "" : std::to_string(json.size()));
}

std::string refusal(const std::string& json, const std::string& bytes = "", const std::string& length = "") {
  try {
    parse_kserve(json + bytes, length.empty() && !bytes.empty() ? std::to_string(json.size()) : length);
  } catch (const ApiError& error) {
    CHECK(error.status == 400);
    return error.what();
  }
  return "";
}

const std::string kText = R"({"name":"text_input","datatype":"BYTES","shape":[2],"data":["a","é"]})";

}  // namespace

TEST_CASE("kserve: tensors in JSON and as bytes, mixed") {
  const std::string ids = R"({"name":"input_ids","datatype":"INT32","shape":[1,2],"parameters":{"binary_data_size":8}})";
  const std::string raw = R"({"name":"more","datatype":"BYTES","shape":[2],"parameters":{"binary_data_size":11}})";
  const KserveRequest request =
      parse(R"({"id":"7","inputs":[)" + ids + "," + kText + "," + raw +
                R"(],"parameters":{"binary_data_output":true,"max_tokens":3},"outputs":[{"name":"x"},{"name":"y","parameters":{"binary_data":false}}]})",
            word(5) + word(0xFFFFFFFF) + word(0) + word(3) + "xyz");
  CHECK(request.id == "7");
  REQUIRE(request.inputs.size() == 3);
  CHECK(request.inputs[0].ids == std::vector<int32_t>{5, -1});
  CHECK(request.inputs[0].shape == std::vector<uint64_t>{1, 2});
  CHECK(request.inputs[1].texts == std::vector<std::string>{"a", "é"});
  CHECK(request.inputs[2].texts == std::vector<std::string>{"", "xyz"});
  REQUIRE(request.outputs.size() == 2);
  CHECK(request.outputs[0].binary);
  CHECK_FALSE(request.outputs[1].binary);
  CHECK(request.parameters.find("max_tokens")->integer == 3);
  const KserveRequest nested = parse(R"({"inputs":[{"name":"i","datatype":"INT32","shape":[2,2],"data":[[1,2],[3,4]]}]})");
  CHECK(nested.inputs[0].ids == std::vector<int32_t>{1, 2, 3, 4});
  CHECK_FALSE(nested.binary);
}

TEST_CASE("kserve: what is no request says why") {
  const auto input = [](const std::string& members) { return R"({"inputs":[{"name":"i",)" + members + "}]}"; };
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"{", "byte"},
      {"[]", "inputs"},
      {R"({"inputs":{}})", "inputs: found an object"},
      {R"({"inputs":[],"id":7})", "id: found"},
      {R"({"inputs":[],"parameters":[]})", "parameters: found"},
      {R"({"inputs":[],"parameters":{"binary_data_output":1}})", "binary_data_output: expected true or false"},
      {R"({"inputs":[{}]})", "name"},
      {R"({"inputs":[],"outputs":[{"name":"x","parameters":{"classification":2}}]})", "classification"},
      {input(R"("datatype":"FP32","shape":[1],"data":[1])"), "found \"FP32\""},
      {input(R"("datatype":"INT32","shape":[2],"data":[1])"), "the shape is not that of 1 elements"},
      {input(R"("datatype":"INT32","shape":[4294967296,4294967296],"data":[1])"), "the shape"},
      {input(R"("datatype":"INT32","shape":[0,18446744073709551615],"data":[])"), "shape: found"},
      {input(R"("datatype":"INT32","shape":[-1],"data":[1])"), "shape: found"},
      {input(R"("datatype":"INT32","shape":[1],"data":[2147483648])"), "INT32 numbers"},
      {input(R"("datatype":"INT32","shape":[1],"data":[1.5])"), "INT32 numbers"},
      {input(R"("datatype":"INT32","shape":[1],"data":["1"])"), "INT32 numbers"},
      {input(R"("datatype":"BYTES","shape":[1],"data":[1])"), "strings"},
      {input(R"("datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":-4})"), "binary_data_size: found"},
      {input(R"("datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":4},"data":["x"])"), "found both"},
  };
  for (const auto& [json, word_of_it] : cases) {
    CAPTURE(json);
    const std::string message = refusal(json);
    CAPTURE(message);
    CHECK(message.find(word_of_it) != std::string::npos);
  }
  const auto bytes = [&](const std::string& type, int size) {
    return input("\"datatype\":\"" + type + R"(","shape":[1],"parameters":{"binary_data_size":)" + std::to_string(size) + "}");
  };
  CHECK(refusal(bytes("INT32", 4), "123").find("only 3 bytes more") != std::string::npos);
  CHECK(refusal(bytes("INT32", 3), "123").find("no whole elements") != std::string::npos);
  CHECK(refusal(bytes("BYTES", 6), word(3) + "ab").find("no whole elements") != std::string::npos);
  CHECK(refusal(bytes("BYTES", 5), word(1) + "\xFF").find("UTF-8") != std::string::npos);
  CHECK(refusal(bytes("INT32", 4), word(1) + "x").find("1 bytes behind") != std::string::npos);
  for (const char* length : {"x", "-1", "99", "1x", "99999999999999999999"})
    CHECK(refusal("{}", "", length).find("Inference-Header-Content-Length") != std::string::npos);
}

TEST_CASE("kserve: outputs as JSON and as bytes behind it") {
  const KserveResult texts = {"t", {2}, {"a\"", "bc"}, {}, true, false};
  const KserveResult raw = {"u", {2}, {"a", "bc"}, {}, true, true};
  const KserveResult numbers = {"n", {1, 2}, {}, {0.5f, -2}, false, true};
  const HttpResponse json = kserve_response("\"id\":\"1\"", {texts});
  CHECK(json.content_type == "application/json");
  CHECK(json.body == R"({"id":"1","outputs":[{"name":"t","datatype":"BYTES","shape":[2],"data":["a\"","bc"]}]})");
  const HttpResponse mixed = kserve_response("\"id\":\"1\"", {raw, texts, numbers});
  const std::string expected =
      R"({"id":"1","outputs":[{"name":"u","datatype":"BYTES","shape":[2],"parameters":{"binary_data_size":11}},)"
      R"({"name":"t","datatype":"BYTES","shape":[2],"data":["a\"","bc"]},)"
      R"({"name":"n","datatype":"FP32","shape":[1,2],"parameters":{"binary_data_size":8}}]})";
  CHECK(mixed.body == expected + word(1) + "a" + word(2) + "bc" + word(0x3F000000) + word(0xC0000000));
  REQUIRE(mixed.headers.size() == 1);
  CHECK(mixed.headers[0].value == std::to_string(expected.size()));
}

TEST_CASE("metrics: a histogram's edges belong to the bucket below them") {
  Histogram histogram;
  for (const double seconds : {0.0, 0.001, 0.0011, 299.0, 300.0, 301.0, 1e9}) histogram.observe(seconds);
  CHECK(histogram.counts()[0] == 2);
  CHECK(histogram.counts()[1] == 1);
  CHECK(histogram.counts()[Histogram::kEdges.size() - 1] == 2);
  CHECK(histogram.counts()[Histogram::kEdges.size()] == 2);
  CHECK(histogram.count() == 7);
  CHECK(histogram.sum() == doctest::Approx(1e9 + 900.0021));
  RequestCounts counts;
  for (const int status : {0, 200, 200, 99, 600, -5}) counts.count(status);
  CHECK(counts.of(200) == 2);
  CHECK(counts.of(0) == 4);
}
