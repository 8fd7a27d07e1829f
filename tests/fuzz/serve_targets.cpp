#include "tests/fuzz/serve_targets.h"

#include <sys/socket.h>
#include <unistd.h>

#include "src/serve/api.h"
#include "src/serve/http_connection.h"
#include "src/serve/kserve_tensors.h"
#include "src/serve/openai_request.h"
#include "tests/fixtures.h"
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

// -- bytes on a connection: whole answers come back, one for each request and one for what is none --

void run_http(std::string_view input) {
  static HttpShared shared = [] {
    HttpOptions options;
    options.max_header = 4096;
    options.max_body = 2000;
    options.header_deadline = options.body_deadline = options.write_deadline = std::chrono::milliseconds(0);
    return HttpShared{options,
                      [](const HttpRequest& request, ResponseWriter& out) {
                        require(request.path.starts_with('/') || request.path == "*", "a path that is none");
                        require(request.body.size() <= 2000, "a body over the limit");
                        out.send({200, "text/plain", request.body});
                      },
                      [](const HttpRequest*, int status, const std::string& message) {
                        return HttpResponse(status, "text/plain", message);
                      },
                      nullptr};
  }();
  int ends[2];
  require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0, "no sockets");
  const FileDescriptor client(ends[1]);
  static_cast<void>(send(client.get(), input.data(), std::min<size_t>(input.size(), 30'000), MSG_NOSIGNAL));
  shutdown(client.get(), SHUT_WR);
  HttpConnection(FileDescriptor(ends[0]), shared).serve();
  std::string answers;
  char bytes[4096];
  for (ssize_t n = 0; (n = recv(client.get(), bytes, sizeof bytes, 0)) > 0;) answers.append(bytes, static_cast<size_t>(n));
  require(answers.empty() || answers.starts_with("HTTP/1.1 "), "an answer that is none");
  require(shared.body_bytes == 0, "bytes that are held for nobody");
}

std::vector<std::string> http_seeds() {
  return {"POST /a/?x=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbodyGET / HTTP/1.1\r\nHost: x\r\n\r\n",
          "POST http://h/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nT: x\r\n\r\n",
          "HEAD /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\nPUT /b HTTP/1.1\r\nHost: y\r\nExpect: 100-continue\r\n"
          "Content-Length: 1\r\n\r\nx"};
}
std::vector<std::string> http_words() {
  return {"\r\n", "\r\n\r\n", "\n", "\r", "Content-Length: ", "Transfer-Encoding: chunked\r\n", "Host: x\r\n", "Connection: close\r\n",
          "Expect: 100-continue\r\n", "HTTP/1.1", "HTTP/1.0", "GET ", "0\r\n\r\n", "fffffffffffffffff\r\n", ": ", " ", ",", std::string(1, '\0'),
          std::string(5000, 'x')};
}

// -- a request of OpenAI's: what the engine takes, or a 400 with a reason --

void check_request(const OpenAiRequest& request, const Config& config) {
  const TextRequest& text = request.text;
  require(request.n >= 1 && text.n_samples >= request.n && !text.prompts.empty(), "no texts");
  require(text.prompts.size() * text.n_samples <= 128, "too many texts");
  require(text.request.n_logprobs <= kMaxLogprobs && text.n_listed <= text.request.n_logprobs, "a number out of range");
  for (const auto& prompt : text.prompts) {
    require(!prompt.empty() && prompt.size() <= size_t{config.n_ctx} + (text.request.only_scores() ? 1 : 0), "a prompt that does not fit");
    for (const TokenId id : prompt) require(id >= 0 && static_cast<uint32_t>(id) < config.n_vocab, "an id past the vocabulary");
  }
  for (const TokenBias& bias : text.request.sampling.logit_bias) {
    require(bias.token >= 0 && static_cast<uint32_t>(bias.token) < config.n_vocab, "a token past the vocabulary");
  }
  for (const std::string& stop : text.stops) require(!stop.empty(), "an empty stop string");
  require(text.request.sampling.temperature > 0, "a temperature that divides by nothing");
}

void run_openai(std::string_view input) {
  static const Model& model = test::books();
  static Service service(model, [] {
    BatcherOptions options;
    options.engine.kernels = find_kernels("scalar");
    return options;
  }(), {});
  static const Api api = [] {
    ApiOptions options;
    options.chat = standard_template(ChatForm::chatml);
    return make_api(model, service, options);
  }();
  Json json;
  if (read_json(input, json)) return;
  for (const auto parse : {parse_completion, parse_chat_completion}) {
    try {
      check_request(parse(json, api), model.config());
    } catch (const ApiError& error) {
      require(error.status == 400 && error.what()[0] != '\0', "a refusal without its reason");
    }
  }
}

std::vector<std::string> openai_seeds() {
  return {R"({"model":"m","prompt":["The sea",[1,2]],"n":2,"best_of":3,"temperature":0.5,"top_p":0.9,"stop":["a","b"],"seed":-3})",
          R"({"prompt":[[84,104],[5]],"echo":true,"logprobs":2,"max_tokens":0,"logit_bias":{"3":-100},"stream":true})",
          R"({"messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"x"}]}],)"
          R"("max_completion_tokens":5,"logprobs":true,"top_logprobs":3,"stream_options":{"include_usage":true}})"};
}
std::vector<std::string> openai_words() {
  return {"\"prompt\":", "\"messages\":", "\"suffix\":\"x\",", "\"tools\":[{}],", "\"stop\":\"\",", "\"logprobs\":21,", "\"top_k\":-1,", "null", "1e999",
          "-0", "[]", "{}", "[[", "4294967296", "18446744073709551616", "\\ud800", "\\u0000", "true"};
}

}  // namespace

const Target kHttpTarget = {"http", run_http, http_seeds, http_words};
const Target kOpenAiTarget = {"openai", run_openai, openai_seeds, openai_words};
const Target kKserveTarget = {"kserve", run_kserve, kserve_seeds, kserve_words};

}  // namespace gpt2::fuzz
