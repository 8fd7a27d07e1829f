#include "tools/serve_arguments.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>

#include "src/base/error.h"
#include "tools/format.h"
#include "tools/streams.h"

namespace gpt2 {
namespace {

constexpr uint64_t kMaxKeyFile = 1 << 20;
constexpr float kMostSeconds = 86400;
constexpr int kFirstInherited = 3;

std::chrono::milliseconds milliseconds(float seconds) {
  return std::chrono::milliseconds(static_cast<int64_t>(1000.0 * static_cast<double>(seconds)));
}

// A key a line; empty lines and those that begin with # are none.
std::vector<std::string> read_keys(const std::string& path) {
  const std::string text = read_input_file(path, kMaxKeyFile);
  std::vector<std::string> keys;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string key = text.substr(at, end - at);
    while (!key.empty() && (key.back() == '\r' || key.back() == ' ')) key.pop_back();
    if (!key.empty() && !key.starts_with('#')) keys.push_back(std::move(key));
    at = end + 1;
  }
  if (keys.empty()) fail(ExitCode::input, printable(path, 400) + ": expected a key a line, found none");
  return keys;
}

// "::1" of "[::1]", as addresses stand in URLs.
std::string without_brackets(const std::string& host) {
  return host.starts_with('[') && host.ends_with(']') ? host.substr(1, host.size() - 2) : host;
}

std::string origin_of(const std::string& text) {
  const bool has_space = std::any_of(text.begin(), text.end(), [](char c) { return c <= ' ' || c > '~'; });
  if (has_space) {
    fail(ExitCode::usage, "--cors: expected an origin (https://example.org) or *, found \"" + printable(text) + "\"");
  }
  return text;
}

}  // namespace

std::vector<Option> ServeArguments::address_options() {
  return {
      {"--host", "", "Listen on this address (default 127.0.0.1: this machine only; 0.0.0.0: all).",
       name_value("ADDRESS", host_)},
      {"--port", "", "Listen on this port (default 8080; 0: any that is free, which stderr tells).",
       whole_value(port_, 0, 65535)},
      {"--alias", "", "What the model is called (default: its file's name).", name_value("NAME", alias_)},
      {"--api-key-file", "",
       "Ask for a key: one of the lines of FILE, as \"Authorization: Bearer KEY\". /health needs none.",
       name_value("FILE", key_file_)},
      {"--cors", "",
       "Let pages of ORIGIN (https://example.org; *: of any) read answers. Without it pages of other origins are "
       "refused.",
       name_value("ORIGIN", cors_)},
      {"--access-log", "",
       "Write a line for each request to the end of FILE (-: stdout): the common log format and the seconds it took.",
       name_value("FILE", access_log_)},
  };
}

std::vector<Option> ServeArguments::limit_options() {
  const auto seconds = [](float& out) {
    OptionValue value = real_value(out, 0.001f, kMostSeconds);
    value.metavar = "SECONDS";
    return value;
  };
  return {
      {"--max-connections", "",
       "Connections at once (default 256). For one more, the one that is idle longest ends; if none is, it waits.",
       whole_value(max_connections_, 1, 65536)},
      {"--max-queue", "", "Texts that may wait for their turn (default 1024); more are answered 429.",
       whole_value(max_queue_, 1, 1 << 20)},
      {"--max-n", "", "Texts of one request: prompts times n or best_of (default 128).",
       whole_value(max_samples_, 1, 1 << 16)},
      {"--max-body", "", "Bytes of a request's body (default 4M).", size_value(max_body_)},
      {"--header-deadline", "", "A request's header has to come within SECONDS (default 10).",
       seconds(header_seconds_)},
      {"--body-deadline", "", "Its body has to come within SECONDS (default 30).", seconds(body_seconds_)},
      {"--idle-deadline", "", "A connection without a request ends after SECONDS (default 60).",
       seconds(idle_seconds_)},
      {"--write-deadline", "",
       "A client that takes nothing of its answer for SECONDS is dropped (default 30).", seconds(write_seconds_)},
      {"--grace", "",
       "On SIGTERM or SIGINT no request is taken any more, and those that run have SECONDS to end (default 10). A "
       "second signal ends the program at once.",
       seconds(grace_seconds_)},
  };
}

void ServeArguments::apply(ServerOptions& options) const {
  HttpOptions& http = options.http;
  http.host = without_brackets(host_.value_or(http.host));
  http.port = static_cast<uint16_t>(port_);
  http.listening_fd = inherited_socket();
  http.max_connections = max_connections_;
  http.max_body = max_body_.value_or(http.max_body);
  http.max_bodies = std::max(http.max_bodies, 4 * http.max_body);
  http.header_deadline = milliseconds(header_seconds_);
  http.body_deadline = milliseconds(body_seconds_);
  http.idle_deadline = milliseconds(idle_seconds_);
  http.write_deadline = milliseconds(write_seconds_);
  options.limits.max_queue = max_queue_;
  options.api.max_samples = max_samples_;
  if (alias_) options.api.alias = *alias_;
  if (key_file_) options.api.keys = read_keys(*key_file_);
  options.api.cors_origin = origin_of(cors_.value_or(""));
}

std::chrono::milliseconds ServeArguments::grace() const noexcept { return milliseconds(grace_seconds_); }

int inherited_socket() {
  const char *pid = std::getenv("LISTEN_PID"), *count = std::getenv("LISTEN_FDS");
  if (pid == nullptr || count == nullptr || std::to_string(getpid()) != pid) return -1;
  if (std::string_view(count) != "1") {
    fail(ExitCode::usage, "LISTEN_FDS: expected 1, one socket, found \"" + printable(count) + "\"");
  }
  fcntl(kFirstInherited, F_SETFD, FD_CLOEXEC);
  return kFirstInherited;
}

std::string access_line(const HttpRecord& record) {
  const time_t now = std::time(nullptr);
  tm parts = {};
  gmtime_r(&now, &parts);
  char when[40];
  strftime(when, sizeof when, "%d/%b/%Y:%H:%M:%S +0000", &parts);
  std::string line = "-";
  if (record.request != nullptr) {
    line.clear();
    for (const char c : printable(record.request->method + " " + record.request->target, 400)) {
      if (c == '"') line += '\\';
      line += c;
    }
  }
  return record.client + " - - [" + when + "] \"" + line + "\" " + std::to_string(record.status) + " " +
         std::to_string(record.bytes) + " " + fixed(record.seconds, 4) + "\n";
}

}  // namespace gpt2
