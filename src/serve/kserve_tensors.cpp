#include "src/serve/kserve_tensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <limits>
#include <optional>

#include "src/io/json_object.h"
#include "src/serve/api.h"
#include "src/text/utf8.h"

namespace gpt2 {
namespace {

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const CodePoint point = decode_utf8(text);
    if (!point.valid) return false;
    text.remove_prefix(point.length);
  }
  return true;
}

static_assert(std::endian::native == std::endian::little);  // as the tensors are sent

constexpr size_t kMaxTensors = 16;

[[noreturn]] void refuse(const std::string& message) { throw ApiError(400, message); }

const Json& member(const Json& json, std::string_view key, Json::Kind kind, const std::string& where) {
  const Json* value = json.find(key);
  if (value == nullptr) refuse(where + ": expected the key \"" + std::string(key) + "\"");
  if (value->kind != kind) refuse(where + ": " + std::string(key) + ": found " + value->describe());
  return *value;
}

std::optional<uint64_t> whole(const Json& json) {
  if (json.kind != Json::Kind::integer || json.integer < 0) return std::nullopt;
  return static_cast<uint64_t>(json.integer);
}

// The flag of an input's, output's or request's parameters; nothing if it has none.
std::optional<bool> flag(const Json& json, std::string_view key) {
  const Json* parameters = json.find("parameters");
  const Json* value = parameters == nullptr ? nullptr : parameters->find(key);
  if (value == nullptr || value->kind == Json::Kind::null) return std::nullopt;
  if (value->kind != Json::Kind::boolean)
    refuse(std::string(key) + ": expected true or false, found " + value->describe());
  return value->boolean;
}

// The bytes behind the JSON, taken from the front.
class BinaryPart {
 public:
  explicit BinaryPart(std::string_view bytes) : bytes_(bytes) {}
  std::string_view take(uint64_t n, const std::string& where) {
    if (n > bytes_.size()) {
      refuse(where + ": binary_data_size is " + std::to_string(n) + ", the body has only " +
             std::to_string(bytes_.size()) + " bytes more");
    }
    const std::string_view taken = bytes_.substr(0, n);
    bytes_.remove_prefix(n);
    return taken;
  }
  size_t left() const noexcept { return bytes_.size(); }

 private:
  std::string_view bytes_;
};

void read_binary(std::string_view bytes, KserveTensor& tensor) {
  const std::string length_fault = tensor.name + ": the bytes are no whole elements";
  while (!bytes.empty()) {
    if (bytes.size() < 4) refuse(length_fault);
    uint32_t word = 0;
    std::memcpy(&word, bytes.data(), 4);
    bytes.remove_prefix(4);
    if (!tensor.is_text) {
      tensor.ids.push_back(std::bit_cast<int32_t>(word));
      continue;
    }
    if (word > bytes.size()) refuse(length_fault);
    tensor.texts.emplace_back(bytes.substr(0, word));
    bytes.remove_prefix(word);
  }
}

// Elements in row-major order, flat or in arrays of the shape's depth. JSON's own depth bounds the recursion.
void read_data(const Json& data, KserveTensor& tensor) {
  for (const Json& value : data.array) {
    if (value.kind == Json::Kind::array) {
      read_data(value, tensor);
    } else if (tensor.is_text && value.kind == Json::Kind::string) {
      tensor.texts.push_back(value.string);
    } else if (!tensor.is_text && value.kind == Json::Kind::integer &&
               value.integer == static_cast<int32_t>(value.integer)) {
      tensor.ids.push_back(static_cast<int32_t>(value.integer));
    } else {
      refuse(tensor.name + ": expected " + (tensor.is_text ? "strings" : "INT32 numbers") + " as data, found " +
             value.describe());
    }
  }
}

// Throws where the shape's product is not the number of elements, which the body's size bounds.
void check_shape(const KserveTensor& tensor) {
  const uint64_t n = tensor.is_text ? tensor.texts.size() : tensor.ids.size();
  uint64_t product = 1;
  for (const uint64_t dim : tensor.shape) product = dim == 0 ? 0 : product > n / dim ? n + 1 : product * dim;
  if (product != n) refuse(tensor.name + ": the shape is not that of " + std::to_string(n) + " elements");
}

KserveTensor read_tensor(const Json& json, BinaryPart& binary) {
  KserveTensor tensor;
  tensor.name = member(json, "name", Json::Kind::string, "inputs").string;
  const std::string& datatype = member(json, "datatype", Json::Kind::string, tensor.name).string;
  tensor.is_text = datatype == "BYTES";
  if (!tensor.is_text && datatype != "INT32") {
    refuse(tensor.name + ": expected the datatype BYTES or INT32, found " + json_quote(datatype.substr(0, 40)));
  }
  for (const Json& dim : member(json, "shape", Json::Kind::array, tensor.name).array) {
    if (!whole(dim)) refuse(tensor.name + ": shape: found " + dim.describe());
    tensor.shape.push_back(*whole(dim));
  }
  const Json* parameters = json.find("parameters");
  const Json* size = parameters == nullptr ? nullptr : parameters->find("binary_data_size");
  if (size == nullptr) {
    read_data(member(json, "data", Json::Kind::array, tensor.name), tensor);
  } else {
    if (!whole(*size)) refuse(tensor.name + ": binary_data_size: found " + size->describe());
    if (json.find("data") != nullptr) refuse(tensor.name + ": expected data or binary_data_size, found both");
    read_binary(binary.take(*whole(*size), tensor.name), tensor);
  }
  check_shape(tensor);
  for (const std::string& text : tensor.texts) {
    if (!is_utf8(text)) refuse(tensor.name + ": expected UTF-8");
  }
  return tensor;
}

KserveRequest::Output read_output(const Json& json, bool binary) {
  const Json* parameters = json.find("parameters");
  if (parameters != nullptr && parameters->find("classification") != nullptr)
    refuse("classification: expected none, there are no labels");
  return {member(json, "name", Json::Kind::string, "outputs").string, flag(json, "binary_data").value_or(binary)};
}

size_t json_length(std::string_view body, std::string_view json_bytes) {
  if (json_bytes.empty()) return body.size();
  size_t n = 0;
  const auto [end, fault] = std::from_chars(json_bytes.data(), json_bytes.data() + json_bytes.size(), n);
  if (fault != std::errc() || end != json_bytes.data() + json_bytes.size() || n > body.size()) {
    refuse("Inference-Header-Content-Length: expected a number of bytes up to the body's " +
           std::to_string(body.size()) + ", found " + json_quote(json_bytes.substr(0, 40)));
  }
  return n;
}

template <class T>
void append_word(std::string& bytes, T word) {
  bytes.append(std::bit_cast<std::array<char, sizeof(T)>>(word).data(), sizeof(T));
}

std::string binary_data(const KserveResult& result) {
  std::string bytes;
  for (const std::string& text : result.texts) {
    append_word(bytes, static_cast<uint32_t>(text.size()));
    bytes += text;
  }
  for (const float number : result.numbers) append_word(bytes, number);
  return bytes;
}

std::string json_data(const KserveResult& result) {
  std::string data;
  for (const std::string& text : result.texts) data += (data.empty() ? "" : ",") + json_quote(text);
  for (const float number : result.numbers) data += (data.empty() ? "" : ",") + json_number(number);
  return "[" + data + "]";
}

}  // namespace

KserveRequest parse_kserve(std::string_view body, std::string_view json_bytes) {
  const size_t n_json = json_length(body, json_bytes);
  Json json;
  if (const auto fault = read_json(body.substr(0, n_json), json)) {
    refuse("byte " + std::to_string(fault->offset) + ": expected " + fault->expected + ", found " + fault->found);
  }
  KserveRequest request;
  if (json.find("id") != nullptr) request.id = member(json, "id", Json::Kind::string, "request").string;
  if (const Json* parameters = json.find("parameters")) {
    if (parameters->kind != Json::Kind::object) refuse("parameters: found " + parameters->describe());
    request.parameters = *parameters;
  }
  request.binary = flag(json, "binary_data_output").value_or(false);
  const Json& inputs = member(json, "inputs", Json::Kind::array, "request");
  if (inputs.array.size() > kMaxTensors) refuse("inputs: expected at most " + std::to_string(kMaxTensors));
  BinaryPart binary(body.substr(n_json));
  for (const Json& input : inputs.array) request.inputs.push_back(read_tensor(input, binary));
  if (binary.left() > 0) refuse("the body has " + std::to_string(binary.left()) + " bytes behind its tensors");
  if (json.find("outputs") == nullptr) return request;
  const Json& outputs = member(json, "outputs", Json::Kind::array, "request");
  if (outputs.array.size() > kMaxTensors) refuse("outputs: expected at most " + std::to_string(kMaxTensors));
  for (const Json& output : outputs.array) request.outputs.push_back(read_output(output, request.binary));
  return request;
}

HttpResponse kserve_response(std::string_view head, const std::vector<KserveResult>& results) {
  std::string outputs, bytes;
  for (const KserveResult& result : results) {
    std::string shape;
    for (const uint64_t dim : result.shape) shape += (shape.empty() ? "" : ",") + std::to_string(dim);
    JsonObject object;
    object.string("name", result.name).string("datatype", result.is_text ? "BYTES" : "FP32");
    object.raw("shape", "[" + shape + "]");
    if (result.binary) {
      const std::string data = binary_data(result);
      object.raw("parameters", JsonObject().whole("binary_data_size", data.size()).text());
      bytes += data;
    } else {
      object.raw("data", json_data(result));
    }
    outputs += (outputs.empty() ? "" : ",") + object.text();
  }
  const std::string json = "{" + std::string(head) + ",\"outputs\":[" + outputs + "]}";
  const bool any_binary = std::any_of(results.begin(), results.end(), [](const auto& r) { return r.binary; });
  if (!any_binary) return json_response(json);
  HttpResponse response(200, "application/octet-stream", json + bytes);
  response.headers.push_back({"Inference-Header-Content-Length", std::to_string(json.size())});
  return response;
}

HttpResponse kserve_error(const ApiError& error) {
  return json_response(JsonObject().string("error", error.what()).text(), error.status);
}

}  // namespace gpt2
