// The messages of KServe's v2 protocol with Triton's binary extension: tensors in JSON, and behind it, one after the
// other, those that were sent as bytes. Values in and out; knows no model.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/io/json.h"
#include "src/serve/http.h"

namespace gpt2 {

struct ApiError;

// One input: of the datatypes only BYTES and INT32 are read.
struct KserveTensor {
  std::string name;
  std::vector<uint64_t> shape;     // its product is the number of elements
  bool is_text = false;            // BYTES: `texts`; else INT32: `ids`
  std::vector<std::string> texts;  // any bytes
  std::vector<int32_t> ids;
};

struct KserveRequest {
  std::string id;  // empty: none
  std::vector<KserveTensor> inputs;
  struct Output {
    std::string name;
    bool binary = false;
  };
  std::vector<Output> outputs;   // empty: whatever there is, as `binary` says
  bool binary = false;
  Json parameters;               // an object, or null
};

// Reads the body of an inference. `json_bytes`: the header Inference-Header-Content-Length, empty where there is none.
// Throws ApiError (400).
KserveRequest parse_kserve(std::string_view body, std::string_view json_bytes);

// One output: texts, or numbers.
struct KserveResult {
  std::string name;
  std::vector<uint64_t> shape;
  std::vector<std::string> texts;  // BYTES
  std::vector<float> numbers;      // FP32
  bool is_text = true;
  bool binary = false;             // sent as bytes behind the JSON
};

// Returns the response with these outputs. `head`: the members before them ("model_name":"..").
HttpResponse kserve_response(std::string_view head, const std::vector<KserveResult>& results);

// Returns {"error": "text"}.
HttpResponse kserve_error(const ApiError& error);

}  // namespace gpt2
