// The options of `serve` about its clients: where it listens, who may ask, and the bounds of what they may take.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/serve/server.h"
#include "tools/options.h"

namespace gpt2 {

class ServeArguments {
 public:
  // Return the options by the groups of the help; their values are stored in this object.
  std::vector<Option> address_options();
  std::vector<Option> limit_options();

  // Fills in what they ask for. Throws Error for a file of keys that cannot be read or has none.
  void apply(ServerOptions& options) const;
  std::chrono::milliseconds grace() const noexcept;
  const std::optional<std::string>& access_log() const noexcept { return access_log_; }

 private:
  std::optional<std::string> host_, key_file_, alias_, cors_, access_log_;
  std::optional<uint64_t> max_body_;
  uint32_t port_ = 8080, max_connections_ = 256, max_queue_ = 1024, max_samples_ = 128;
  float header_seconds_ = 10, body_seconds_ = 30, idle_seconds_ = 60, write_seconds_ = 30, grace_seconds_ = 10;
};

// Returns the descriptor of the socket that whoever started the program listens on for it (sd_listen_fds(3)), -1 if
// there is none. Throws Error (exit 2) for more than one.
int inherited_socket();

// Returns a line of the access log, in the common log format and with the seconds that the answer took.
std::string access_line(const HttpRecord& record);

}  // namespace gpt2
