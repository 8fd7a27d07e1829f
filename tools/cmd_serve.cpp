// gpt2 serve: the engine behind HTTP.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "src/base/error.h"
#include "src/engine/chat.h"
#include "src/io/file_descriptor.h"
#include "src/serve/server.h"
#include "tools/chat_arguments.h"
#include "tools/commands.h"
#include "tools/engine_arguments.h"
#include "tools/load_model.h"
#include "tools/serve_arguments.h"
#include "tools/signals.h"
#include "tools/speculation_arguments.h"
#include "tools/terminal.h"
#include "tools/version.h"

namespace gpt2 {
namespace {

constexpr uint32_t kMostSlots = 4096;
constexpr std::chrono::milliseconds kLook{100};  // how often it looks whether a signal has come

class Serve final : public Command {
 public:
  CommandText text() const override;
  std::vector<OptionGroup> options() override;
  int run(const std::vector<std::string>& operands) override;

 private:
  ServerOptions server_options(const Model& model, const Model* draft) const;
  std::optional<ChatTemplate> chat_of(const Model& model) const;
  HttpServer::Log open_log(FileDescriptor& file) const;

  ModelChoice model_;
  EngineArguments engine_;
  SpeculationArguments speculation_;
  ServeArguments serve_;
  std::optional<ChatForm> form_;
  std::optional<uint32_t> batch_;
  std::optional<uint64_t> kv_memory_;
  bool no_prefix_cache_ = false;
};

CommandText Serve::text() const {
  return {"serve", "", "Answers clients over HTTP.",
          "Listens on --host and --port and answers the clients that people have. OpenAI's: /v1/completions (prompts "
          "as texts or token ids, echo, logprobs, n, best_of, seed, stop, logit_bias, suffix, stream), "
          "/v1/chat/completions with a model that was taught to chat, /v1/models; and /tokenizer_info, /tokenize, "
          "/detokenize, which evaluation harnesses use, and /health.\n"
          "KServe's and Triton's under /v2: health, metadata, infer (text_input BYTES becomes text_output; input_ids "
          "INT32 becomes logits FP32; tensors in JSON or as bytes), generate, generate_stream. EasyLM's: "
          "/loglikelihood, /loglikelihood-rolling, /greedy-until, /generate, /chat, /ready. Prometheus' /metrics. A "
          "browser finds a page at / that streams texts and shows how surprising each token is.\n"
          "Defaults are those of the API: temperature 1, no top-k. The same seed gives the same text as gpt2 generate "
          "-s SEED -T 1 --top-k 0, whatever runs beside it. What a client asks for and the server cannot do is an "
          "error with the key's name (400), and so is a prompt that is longer than the model's context; nothing is "
          "cut.\n"
          "A client that leaves frees its place before the next step, whether its request waits, its prompt is being "
          "computed, or its text. One that ends its sending side (shutdown(SHUT_WR), nc -N) has left, too: the two "
          "look alike. One that reads too slowly is paused, others get its place, and after --write-deadline it is "
          "dropped. There is no TLS: put a proxy before it where others can listen.\n"
          "systemd can hand the socket over (LISTEN_FDS).",
          "gpt2 serve -m gpt2-int8 --port 8000\n"
          "gpt2 serve --host 0.0.0.0 --api-key-file keys.txt --access-log -\n"
          "curl -s localhost:8080/v1/completions -d '{\"prompt\": \"The sea\"}'\n"
          "curl -sN localhost:8080/v1/completions -d '{\"prompt\": \"A\", \"stream\": true}'\n"
          "curl -s localhost:8080/v2/models/gpt2-int8/generate -d '{\"text_input\": \"The sea\"}'\n"
          "lm_eval run --model local-completions --tasks lambada_openai \\\n"
          "  --model_args base_url=http://localhost:8080/v1/completions,max_length=1024"};
}

std::vector<OptionGroup> Serve::options() {
  std::vector<Option> model = model_options(model_);
  for (Option& option : engine_.options()) model.push_back(std::move(option));
  model.push_back(chat_template_option(form_));
  std::vector<Option> together = {
      {"--batch", "", "Texts that are computed together (default: up to 32, as the cache's memory allows).",
       whole_value(batch_, 1, kMostSlots)},
      {"--kv-memory", "",
       "Memory of the cache of keys and values: bytes, or with K, M or G (default: up to half of what is free).",
       size_value(kv_memory_)},
      {"--no-prefix-cache", "", "Compute every prompt whole, also where another one began alike.",
       flag_value(no_prefix_cache_)}};
  return {{"Address and clients", serve_.address_options()},
          {"Limits", serve_.limit_options()},
          {"Many texts at once", std::move(together)},
          {"Speculation", speculation_.options()},
          {"Model and machine", std::move(model)}};
}

// A template that is none of the known forms keeps nobody from continuing texts.
std::optional<ChatTemplate> Serve::chat_of(const Model& model) const {
  try {
    return chat_template_of(model, form_);
  } catch (const Error& error) {
    say("note: /v1/chat/completions is refused: " + std::string(error.what()));
    return std::nullopt;
  }
}

ServerOptions Serve::server_options(const Model& model, const Model* draft) const {
  ServerOptions options;
  options.batcher.engine = engine_.resolve(model);
  options.batcher.engine.prefix_cache = !no_prefix_cache_;
  options.batcher.kv_memory = kv_memory_.value_or(0);
  options.batcher.speculation = speculation_.resolve(draft);
  options.batcher.engine.max_slots = batch_ ? *batch_ : default_batch(model, options.batcher);
  const std::string& name = model.name();
  options.api.alias = name.substr(name.find_last_of('/') + 1);
  options.api.version = version();
  options.api.chat = chat_of(model);
  serve_.apply(options);
  return options;
}

// Each line is one write to the end of the file, so that lines of several threads stay whole.
HttpServer::Log Serve::open_log(FileDescriptor& file) const {
  const std::optional<std::string>& path = serve_.access_log();
  if (!path) return nullptr;
  if (*path != "-") {
    file = FileDescriptor(open(path->c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640));
    if (file.get() < 0) fail_errno(*path, "open", errno);
  }
  const int fd = *path == "-" ? STDOUT_FILENO : file.get();
  return [fd](const HttpRecord& record) { static_cast<void>(write_stream(fd, access_line(record))); };
}

int Serve::run(const std::vector<std::string>& operands) {
  if (!operands.empty()) {
    fail(ExitCode::usage, "serve: expected no text, found \"" + printable(operands[0]) + "\"");
  }
  const Model model = load_model(model_);
  const std::optional<Model> draft = speculation_.load_draft(model, model_.verbosity);
  ServerOptions options = server_options(model, draft ? &*draft : nullptr);
  FileDescriptor log_file;
  options.log = open_log(log_file);
  catch_interrupts();
  Server server(model, options);
  write_stderr("gpt2: " + printable(options.api.alias, 400) + " listening on http://" + server.address() + "\n");
  while (!interrupt_flag() && !server.service().failed()) std::this_thread::sleep_for(kLook);
  if (!interrupt_flag()) fail(ExitCode::internal, "serve: the engine has failed");
  if (!server.stop(serve_.grace())) say("ended before all requests were answered (--grace)");
  return static_cast<int>(ExitCode::ok);
}

}  // namespace

std::unique_ptr<Command> make_serve() { return std::make_unique<Serve>(); }

}  // namespace gpt2
