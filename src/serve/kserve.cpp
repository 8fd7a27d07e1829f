// KServe's v2 protocol and Triton's extensions of it: health, metadata, inference on tensors, and generate as plain
// JSON or as a stream. The model has one version, "1", and is always loaded.
#include <algorithm>
#include <array>
#include <optional>
#include <span>

#include "src/io/json_object.h"
#include "src/serve/api.h"
#include "src/serve/json_fields.h"
#include "src/serve/kserve_tensors.h"
#include "src/serve/service.h"
#include "src/serve/text_run.h"

namespace gpt2 {
namespace {

constexpr uint32_t kMaxTokens = 20;  // generated where a request does not say how many, as in KServe's generate_rest
constexpr size_t kMostStops = 64;
constexpr std::string_view kVersion = "1";
// Bytes of one answer's logits; as JSON they take three times as many.
constexpr size_t kMostLogits = size_t{64} << 20, kMostJsonLogits = size_t{16} << 20;

using Names = std::vector<std::string>;

// Throws where a path names another model or version.
void check_model(const Api& api, const Names& names) {
  if (names[0] != api.options.alias) {
    throw ApiError(404, "unknown model " + json_quote(names[0]) + ", the server has " +
                            json_quote(api.options.alias));
  }
  if (names.size() > 1 && names[1] != kVersion) {
    throw ApiError(404, "unknown version " + json_quote(names[1]) + " of the model, there is only \"1\"");
  }
}

std::string tensor_text(const char* name, const char* datatype, const char* shape) {
  return JsonObject().string("name", name).string("datatype", datatype).raw("shape", shape).text();
}

std::string metadata(const Api& api) {
  const std::string n_vocab = std::to_string(api.model.config().n_vocab);
  return JsonObject()
      .string("name", api.options.alias)
      .raw("versions", "[\"1\"]")
      .string("platform", "gpt2")
      .raw("inputs", "[" + tensor_text("text_input", "BYTES", "[-1]") + "," +
                         tensor_text("input_ids", "INT32", "[-1]") + "]")
      .raw("outputs", "[" + tensor_text("text_output", "BYTES", "[-1]") + "," +
                          tensor_text("logits", "FP32", ("[-1," + n_vocab + "]").c_str()) + "]")
      .text();
}

std::string config_text(const char* name, const char* type, const std::string& dims) {
  JsonObject object;
  object.string("name", name).string("data_type", type).raw("dims", dims);
  return object.text();
}

// The model's configuration in the words of Triton's model_config.proto.
std::string configuration(const Api& api) {
  const auto input = [](const char* name, const char* type) {
    JsonObject object;
    object.string("name", name).string("data_type", type).raw("dims", "[-1]").raw("optional", "true");
    return object.text();
  };
  const std::string n_vocab = std::to_string(api.model.config().n_vocab);
  return JsonObject()
      .string("name", api.options.alias)
      .string("platform", "gpt2")
      .string("backend", "gpt2")
      .whole("max_batch_size", 0)
      .raw("input", "[" + input("text_input", "TYPE_STRING") + "," + input("input_ids", "TYPE_INT32") + "]")
      .raw("output", "[" + config_text("text_output", "TYPE_STRING", "[-1]") + "," +
                         config_text("logits", "TYPE_FP32", "[-1," + n_vocab + "]") + "]")
      .raw("model_transaction_policy", R"({"decoupled":false})")
      .text();
}

std::string duration(uint64_t count, double seconds) {
  return JsonObject().whole("count", count).whole("ns", static_cast<uint64_t>(seconds * 1e9)).text();
}

// What the engine has done for all protocols; what is not measured by itself counts nothing.
std::string statistics(const Api& api) {
  const ServiceStats stats = api.service.stats();
  const uint64_t n_failed = stats.cancelled_jobs;
  const std::string none = duration(0, 0);
  const std::string inferences = JsonObject()
                                     .raw("success", duration(stats.jobs - std::min(n_failed, stats.jobs), 0))
                                     .raw("fail", duration(n_failed + stats.refused_jobs, 0))
                                     .raw("queue", none)
                                     .raw("compute_input", none)
                                     .raw("compute_infer", duration(stats.batcher.steps, stats.batcher.seconds))
                                     .raw("compute_output", none)
                                     .raw("cache_hit", none)
                                     .raw("cache_miss", none)
                                     .text();
  const std::string model = JsonObject()
                                .string("name", api.options.alias)
                                .string("version", kVersion)
                                .whole("inference_count", stats.jobs)
                                .whole("execution_count", stats.batcher.steps)
                                .raw("inference_stats", inferences)
                                .raw("batch_stats", "[]")
                                .text();
  return JsonObject().raw("model_stats", "[" + model + "]").text();
}

constexpr std::array<std::string_view, 15> kParameters = {
    "max_tokens", "temperature", "top_p", "top_k", "min_p", "seed", "stop", "frequency_penalty", "presence_penalty",
    "repetition_penalty", "min_tokens", "ignore_eos", "details", "text_input", "id"};
// Hints to a scheduler and what clients always send.
constexpr std::array<std::string_view, 9> kIgnored = {
    "binary_data_output", "priority", "timeout", "sequence_id", "sequence_start", "sequence_end", "stream",
    "exclude_input_in_output", "parameters"};

// Throws for a key that is not known: it would change the answer.
void check_keys(const Json& json) {
  const auto is_in = [](const auto& keys, std::string_view key) {
    return std::find(keys.begin(), keys.end(), key) != keys.end();
  };
  for (const Json::Member& member : json.object) {
    if (is_in(kParameters, member.first) || is_in(kIgnored, member.first)) continue;
    throw ApiError(400, "unknown parameter " + json_quote(member.first), member.first);
  }
}

void read_parameters(const Json& json, TextRequest& text) {
  check_keys(json);
  const JsonFields fields(json);
  Request& request = text.request;
  SamplingOptions& sampling = request.sampling;
  const auto set_real = [&](const char* key, double least, double most, float& out) {
    if (const auto value = fields.real(key, least, most)) out = static_cast<float>(*value);
  };
  const auto set_whole = [&](const char* key, uint32_t& out) {
    if (const auto value = fields.whole(key, 0, UINT32_MAX)) out = static_cast<uint32_t>(*value);
  };
  set_whole("max_tokens", request.max_new_tokens);
  set_whole("top_k", sampling.top_k);
  set_whole("min_tokens", sampling.min_new_tokens);
  if (const auto value = fields.real("temperature", 0, 1000)) set_temperature(sampling, static_cast<float>(*value));
  set_real("top_p", 0, 1, sampling.top_p);
  set_real("min_p", 0, 1, sampling.min_p);
  set_real("frequency_penalty", -2, 2, sampling.frequency_penalty);
  set_real("presence_penalty", -2, 2, sampling.presence_penalty);
  set_real("repetition_penalty", 0.001, 1000, sampling.repetition_penalty);
  request.ignore_eos = fields.flag("ignore_eos", request.ignore_eos);
  if (const auto seed = fields.seed("seed")) request.seed = *seed;
  if (!fields.flag("exclude_input_in_output", true))
    throw ApiError(400, "exclude_input_in_output: expected true, text_output has only what is new");
  if (fields.find("stop") != nullptr) text.stops = fields.texts("stop", kMostStops);
}

TextRequest text_request() {
  TextRequest text;
  text.request.max_new_tokens = kMaxTokens;
  text.request.sampling.top_k = 0;
  text.request.seed = fresh_seed();
  return text;
}

void check_prompts(const Api& api, TextRequest& text) {
  for (std::vector<TokenId>& prompt : text.prompts) {
    begin_text(api.model, prompt, "text_input");
    check_fits(api.model, prompt, text.request, "text_input");
  }
}

std::string answer_head(const Api& api, const std::string& id) {
  std::string head = "\"model_name\":" + json_quote(api.options.alias) + ",\"model_version\":\"1\"";
  return id.empty() ? head : "\"id\":" + json_quote(id) + "," + head;
}

const KserveTensor* find_input(const KserveRequest& request, std::string_view name) {
  const auto found = std::find_if(request.inputs.begin(), request.inputs.end(),
                                  [&](const KserveTensor& tensor) { return tensor.name == name; });
  return found == request.inputs.end() ? nullptr : &*found;
}

// Returns whether the output is wanted as bytes. Throws where another is asked for.
bool wants_binary(const KserveRequest& request, std::string_view name) {
  bool binary = request.binary;
  for (const KserveRequest::Output& output : request.outputs) {
    if (output.name != name) {
      throw ApiError(400, "outputs: expected " + json_quote(name) + " from these inputs, found " +
                              json_quote(output.name));
    }
    binary = output.binary;
  }
  return binary;
}

// text_input -> text_output of the same shape.
void infer_texts(const Api& api, const KserveRequest& asked, const KserveTensor& input, ResponseWriter& out) {
  if (!input.is_text) throw ApiError(400, "text_input: expected the datatype BYTES, found INT32");
  if (input.texts.empty() || input.texts.size() > api.options.max_samples) {
    throw ApiError(400, "text_input: expected 1 to " + std::to_string(api.options.max_samples) + " texts, found " +
                            std::to_string(input.texts.size()));
  }
  KserveResult result = {"text_output", input.shape, {}, {}, true, wants_binary(asked, "text_output")};
  TextRequest text = text_request();
  if (asked.parameters.kind == Json::Kind::object) read_parameters(asked.parameters, text);
  for (const std::string& prompt : input.texts) text.prompts.push_back(api.model.tokenizer().encode(prompt));
  check_prompts(api, text);
  TextRun run(api, text);
  if (!run.finish(out)) return;
  for (Choice& choice : run.choices()) result.texts.push_back(choice.builder.sample().text);
  out.send(kserve_response(answer_head(api, asked.id), {std::move(result)}));
}

// Takes the logits that follow each token; false if the client has left.
bool take_logits(const Api& api, Job& job, std::vector<float>& logits, ResponseWriter& out) {
  for (FinishReason finish = FinishReason::running; finish == FinishReason::running;) {
    if (!out.wait(job.ready_fd())) return false;
    for (const JobEvent& event : job.take()) {
      logits.insert(logits.end(), event.logits.begin(), event.logits.end());
      finish = event.finish;
    }
    if (finish == FinishReason::nonfinite) throw ApiError(500, "the model failed: " + api.service.nonfinite_reason());
  }
  return true;
}

// input_ids [n] or [1, n] -> logits [n, V] or [1, n, V]: in each row those of the next token.
void infer_logits(const Api& api, const KserveRequest& asked, const KserveTensor& input, ResponseWriter& out) {
  const Config& config = api.model.config();
  if (input.is_text) throw ApiError(400, "input_ids: expected the datatype INT32, found BYTES");
  const bool is_flat = input.shape.size() == 1 || (input.shape.size() == 2 && input.shape[0] == 1);
  if (!is_flat || input.ids.empty()) throw ApiError(400, "input_ids: expected the shape [n] or [1, n], n above 0");
  if (input.ids.size() > config.n_ctx) {
    throw ApiError(400, "input_ids: found " + std::to_string(input.ids.size()) + " tokens, the model's context is " +
                            std::to_string(config.n_ctx));
  }
  for (const int32_t id : input.ids) {
    if (id >= 0 && static_cast<uint32_t>(id) < config.n_vocab) continue;
    throw ApiError(400, "input_ids: expected ids from 0 to " + std::to_string(config.n_vocab - 1) + ", found " +
                            std::to_string(id));
  }
  KserveResult result = {"logits", input.shape, {}, {}, false, wants_binary(asked, "logits")};
  result.shape.push_back(config.n_vocab);
  const size_t most = (result.binary ? kMostLogits : kMostJsonLogits) / sizeof(float) / config.n_vocab;
  if (input.ids.size() > most) {
    throw ApiError(400, "input_ids: expected at most " + std::to_string(most) + " tokens, whose logits are " +
                            (result.binary ? "64 MiB" : "16 MiB (64 MiB with binary_data)"));
  }
  std::vector<Work> works(1);
  works[0].prompt.assign(input.ids.begin(), input.ids.end());
  works[0].prompt.push_back(0);  // any token: that it stands there asks for the row before it
  works[0].request.max_new_tokens = 0;
  works[0].request.scores.first = 1;
  works[0].wants_logits = true;
  const std::unique_ptr<Job> job = api.service.submit(std::move(works));
  result.numbers.reserve(input.ids.size() * config.n_vocab);
  if (!take_logits(api, *job, result.numbers, out)) return;
  out.send(kserve_response(answer_head(api, asked.id), {std::move(result)}));
}

void infer(const Api& api, const HttpRequest& request, ResponseWriter& out) {
  const std::string_view encoding = request.header("content-encoding");
  if (!encoding.empty() && encoding != "identity") throw ApiError(415, "Content-Encoding: expected none");
  const KserveRequest asked = parse_kserve(request.body, request.header("inference-header-content-length"));
  const KserveTensor* text = find_input(asked, "text_input");
  const KserveTensor* ids = find_input(asked, "input_ids");
  if (asked.inputs.size() != 1 || (text == nullptr && ids == nullptr))
    throw ApiError(400, "inputs: expected either text_input or input_ids, found " +
                            std::to_string(asked.inputs.size()) + " inputs" +
                            (asked.inputs.empty() ? "" : ", the first " + json_quote(asked.inputs[0].name)));
  if (text != nullptr) {
    infer_texts(api, asked, *text, out);
  } else {
    infer_logits(api, asked, *ids, out);
  }
}

// KServe's word for why a text ended.
std::string_view reason_of(std::string_view finish) {
  if (finish == "eos") return "eos_token";
  if (finish == "stop") return "stop_sequence";
  return finish == "context" ? "length" : finish;
}

// A text_input with parameters beside it or in an object of their own.
struct Generate {
  TextRequest text;
  std::string id;
  bool details = false;
};

Generate read_generate(const Api& api, const Json& body) {
  const JsonFields fields(body);
  Generate generate;
  generate.text = text_request();
  const std::optional<std::string> input = fields.text("text_input");
  if (!input) throw ApiError(400, "expected the key \"text_input\"", "text_input");
  generate.id = fields.text("id").value_or("");
  generate.details = fields.flag("details");
  read_parameters(body, generate.text);
  if (const Json* parameters = fields.find("parameters")) {
    read_parameters(*parameters, generate.text);
    generate.details = JsonFields(*parameters).flag("details", generate.details);
  }
  generate.text.prompts.push_back(api.model.tokenizer().encode(*input));
  check_prompts(api, generate.text);
  return generate;
}

std::string generated(const Api& api, const Generate& generate, std::string_view text, std::string_view details) {
  std::string json = "{" + answer_head(api, generate.id) + ",\"text_output\":" + json_quote(text);
  if (!details.empty()) json += ",\"details\":" + std::string(details);
  return json + "}";
}

std::string details_of(const Generate& generate, Choice& choice) {
  if (!generate.details || !choice.ended) return "";
  return JsonObject().string("finish_reason", reason_of(choice.builder.sample().finish_reason)).text();
}

void generate(const Api& api, const HttpRequest& request, ResponseWriter& out) {
  const Generate asked = read_generate(api, parse_body(request));
  TextRun run(api, asked.text);
  if (!run.finish(out)) return;
  Choice& choice = run.choices()[0];
  out.send(json_response(generated(api, asked, choice.builder.sample().text, details_of(asked, choice))));
}

void generate_stream(const Api& api, const HttpRequest& request, ResponseWriter& out) {
  const Generate asked = read_generate(api, parse_body(request));
  TextRun run(api, asked.text);
  HttpResponse head(200, "text/event-stream; charset=utf-8", "");
  head.headers = {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}};
  out.begin(head);
  Choice& choice = run.choices()[0];
  const auto write = [&](std::string_view data) { return out.write("data: " + std::string(data) + "\n\n"); };
  try {
    while (run.next(out)) {
      const std::string text = choice.next_text();
      if (text.empty() && !choice.ended) continue;
      if (!write(generated(api, asked, text, details_of(asked, choice)))) return;
    }
  } catch (const ApiError& error) {
    write(JsonObject().string("error", error.what()).text());
  }
  out.end();
}

}  // namespace

void add_kserve(const Api& api, Router& router) {
  router.add_error_form("/v2", kserve_error);
  const auto add = [&](const char* method, const std::string& path, auto answer) {
    const auto handler = [&api, answer](const HttpRequest& request, const Names& names, ResponseWriter& out) {
      if (!names.empty()) check_model(api, names);
      answer(api, request, out);
    };
    // Probes of health have no key.
    router.add({method, path, handler, kserve_error, path.starts_with("/v2/health") ? Access::open : Access::with_key});
  };
  const auto add_json = [&](const char* method, const std::string& path, auto text) {
    add(method, path, [text](const Api& a, const HttpRequest& /*request*/, ResponseWriter& out) {
      out.send(json_response(text(a)));
    });
  };
  add_json("GET", "/v2", [](const Api& a) {
    return JsonObject()
        .string("name", "gpt2")
        .string("version", a.options.version)
        .raw("extensions", R"(["binary_tensor_data","generate","model_configuration","model_repository","statistics"])")
        .text();
  });
  add_json("GET", "/v2/health/live", [](const Api& /*a*/) { return std::string(R"({"live":true})"); });
  add("GET", "/v2/health/ready", [](const Api& a, const HttpRequest& /*request*/, ResponseWriter& out) {
    out.send(json_response(a.service.failed() ? R"({"live":false})" : R"({"live":true})",
                           a.service.failed() ? 503 : 200));
  });
  add_json("GET", "/v2/models/stats", statistics);
  add_json("POST", "/v2/repository/index", [](const Api& a) {
    return "[" + JsonObject().string("name", a.options.alias).string("version", kVersion).string("state", "READY")
                     .string("reason", "").text() + "]";
  });
  for (const std::string model : {"/v2/models/{model}", "/v2/models/{model}/versions/{version}"}) {
    add_json("GET", model, metadata);
    add_json("GET", model + "/ready", [](const Api& /*a*/) { return std::string(R"({"ready":true})"); });
    add_json("GET", model + "/config", configuration);
    add_json("GET", model + "/stats", statistics);
    add("POST", model + "/infer", infer);
    add("POST", model + "/generate", generate);
    add("POST", model + "/generate_stream", generate_stream);
  }
}

}  // namespace gpt2
