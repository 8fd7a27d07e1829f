#include "tests/fuzz/serve_targets.h"

#include "src/serve/api.h"
#include "src/serve/kserve_tensors.h"
#include "tests/fuzz/expect.h"

namespace gpt2::fuzz {
namespace {

// Three bytes: whether the header names the JSON's length, and that length.
std::string head_of(const std::string& json) {
  return {'\1', static_cast<char>(json.size() % 256), static_cast<char>(json.size() / 256)};
}

void run_kserve(std::string_view input) {
  if (input.size() < 3) return;
  const size_t length = static_cast<unsigned char>(input[1]) + size_t{256} * static_cast<unsigned char>(input[2]);
  const std::string json_bytes = (input[0] & 1) != 0 ? std::to_string(length) : "";
  try {
    const KserveRequest request = parse_kserve(input.substr(3), json_bytes);
    for (const KserveTensor& tensor : request.inputs) {
      uint64_t n = 1;
      for (const uint64_t dim : tensor.shape) n *= dim;
      require(n == (tensor.is_text ? tensor.texts.size() : tensor.ids.size()), "a shape of other elements");
      require(n <= input.size(), "more elements than bytes");
    }
  } catch (const ApiError& error) {
    require(error.status == 400 && error.what()[0] != '\0', "a refusal without its reason");
  }
}

std::vector<std::string> kserve_seeds() {
  const std::string json =
      R"({"id":"7","inputs":[{"name":"text_input","datatype":"BYTES","shape":[1,2],"data":["a","b"]},)"
      R"({"name":"input_ids","datatype":"INT32","shape":[2],"parameters":{"binary_data_size":8}},)"
      R"({"name":"raw","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":5}}],)"
      R"("outputs":[{"name":"logits","parameters":{"binary_data":true}}],"parameters":{"max_tokens":3}})";
  const std::string bytes("\1\0\0\0\2\0\0\0\1\0\0\0x", 13);
  return {head_of(json) + json + bytes,
          std::string(3, '\0') + R"({"inputs":[{"name":"i","datatype":"INT32","shape":[2,1],"data":[[1],[-2]]}]})"};
}
std::vector<std::string> kserve_words() {
  return {"\"shape\":[", "\"data\":[", "\"datatype\":\"BYTES\"", "\"INT32\"", "\"binary_data_size\":", "\"parameters\":{",
          "4294967296", "18446744073709551615", "-1", "[[", "null", std::string("\xFF\xFF\xFF\xFF", 4), std::string(4, '\0')};
}

}  // namespace

const Target kKserveTarget = {"kserve", run_kserve, kserve_seeds, kserve_words};

}  // namespace gpt2::fuzz
