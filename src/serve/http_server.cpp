#include "src/serve/http_server.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <list>
#include <mutex>
#include <system_error>
#include <thread>

#include "src/base/error.h"
#include "src/serve/http_connection.h"

namespace gpt2 {
namespace {

constexpr int kRetryMilliseconds = 100;  // until descriptors or threads may be there again
constexpr rlim_t kOtherDescriptors = 14;  // standard streams, listener, log, and what is opened for a moment

[[noreturn]] void fail_listen(const HttpOptions& options, const std::string& reason) {
  fail(ExitCode::internal, "cannot listen on " + printable(options.host) + " port " + std::to_string(options.port) +
                               ": " + reason);
}

// Returns how many connections, at most `wanted`, there are descriptors for: each needs one, and its request another.
// The process's limit is raised where it may be.
uint32_t affordable_connections(uint32_t wanted) {
  const rlim_t needed = 2 * rlim_t{wanted} + kOtherDescriptors;
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= needed) return wanted;
  limit.rlim_cur = std::min(needed, limit.rlim_max);
  setrlimit(RLIMIT_NOFILE, &limit);
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= needed) return wanted;
  return static_cast<uint32_t>(std::max<rlim_t>(limit.rlim_cur, kOtherDescriptors + 2) - kOtherDescriptors) / 2;
}

FileDescriptor listen_on(const HttpOptions& options) {
  if (options.listening_fd >= 0) {
    int listens = 0;
    socklen_t size = sizeof listens;
    if (getsockopt(options.listening_fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || listens == 0) {
      fail(ExitCode::usage, "descriptor " + std::to_string(options.listening_fd) +
                                ": expected a socket that listens (LISTEN_FDS), found none");
    }
    fcntl(options.listening_fd, F_SETFL, fcntl(options.listening_fd, F_GETFL) | O_NONBLOCK);
    return FileDescriptor(options.listening_fd);
  }
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const int failed = getaddrinfo(options.host.c_str(), std::to_string(options.port).c_str(), &hints, &found);
  if (failed != 0) fail_listen(options, gai_strerror(failed));
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> addresses(found, freeaddrinfo);
  FileDescriptor fd(socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (fd.get() < 0 || bind(fd.get(), found->ai_addr, found->ai_addrlen) != 0 || listen(fd.get(), SOMAXCONN) != 0) {
    fail_listen(options, std::system_category().message(errno));
  }
  return fd;
}

}  // namespace

struct HttpServer::State {
  struct Entry {
    Entry(FileDescriptor socket, HttpShared& shared) : connection(std::move(socket), shared) {}
    HttpConnection connection;
    std::atomic<bool> is_done = false;
    std::thread thread;
  };

  void accept_all();
  void accept_one();
  bool free_a_place();
  void reap(bool all);
  void wake() const noexcept;

  HttpShared shared;
  FileDescriptor listener, waker;
  std::atomic<bool> is_stopping = false;
  mutable std::mutex mutex;  // of the list, which the accepting thread changes
  std::list<Entry> entries;
  std::thread thread;
};

HttpServer::HttpServer(const HttpOptions& options, HttpHandler handler, Refusal refuse, Log log)
    : state_(std::make_unique<State>()) {
  state_->shared.options = options;
  state_->shared.options.max_connections = affordable_connections(options.max_connections);
  state_->shared.handler = std::move(handler);
  state_->shared.refuse = std::move(refuse);
  state_->shared.log = std::move(log);
  state_->listener = listen_on(options);
  state_->waker = FileDescriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (state_->waker.get() < 0) fail_errno("eventfd", "make one", errno);
  state_->thread = std::thread([state = state_.get()] { state->accept_all(); });
}

HttpServer::~HttpServer() { stop(std::chrono::milliseconds(0)); }

void HttpServer::State::wake() const noexcept {
  const uint64_t one = 1;
  const ssize_t ignored = ::write(waker.get(), &one, sizeof one);
  static_cast<void>(ignored);
}

void HttpServer::State::accept_all() {
  bool must_wait = false;
  while (!is_stopping) {
    reap(false);
    const bool is_full = entries.size() >= shared.options.max_connections;
    pollfd waiting[2] = {{waker.get(), POLLIN, 0}, {listener.get(), POLLIN, 0}};
    poll(waiting, must_wait ? 1 : 2, must_wait ? kRetryMilliseconds : -1);
    must_wait = false;
    if (waiting[0].revents != 0) {
      uint64_t count = 0;
      const ssize_t ignored = ::read(waker.get(), &count, sizeof count);
      static_cast<void>(ignored);
      continue;
    }
    if (waiting[1].revents == 0) continue;
    if (is_full) {
      must_wait = true;
      free_a_place();
      continue;
    }
    try {
      accept_one();
    } catch (const std::exception&) {  // no thread or memory for it now: it is closed, and later ones wait a little
      must_wait = true;
    }
  }
}

void HttpServer::State::accept_one() {
  FileDescriptor socket(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (socket.get() < 0) {
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      throw std::system_error(errno, std::system_category());
    }
    return;
  }
  const std::lock_guard lock(mutex);
  Entry& entry = entries.emplace_back(std::move(socket), shared);
  try {
    entry.thread = std::thread([this, &entry] {
      try {
        entry.connection.serve();
      } catch (const std::exception&) {  // out of memory, at worst: this connection ends
      }
      entry.connection.shut_down();
      entry.is_done = true;
      wake();
    });
  } catch (...) {
    entries.pop_back();
    throw;
  }
}

// Ends the connection that has waited longest for its next request. Returns false if none waits.
bool HttpServer::State::free_a_place() {
  HttpConnection* oldest = nullptr;
  for (Entry& entry : entries) {
    const auto since = entry.connection.idle_since();
    if (since.count() == 0 || entry.is_done) continue;
    if (oldest == nullptr || since < oldest->idle_since()) oldest = &entry.connection;
  }
  if (oldest != nullptr) oldest->shut_down();
  return oldest != nullptr;
}

void HttpServer::State::reap(bool all) {
  std::list<Entry> done;
  {
    const std::lock_guard lock(mutex);
    for (auto at = entries.begin(); at != entries.end();) {
      const auto next = std::next(at);
      if (all || at->is_done) done.splice(done.end(), entries, at);
      at = next;
    }
  }
  for (Entry& entry : done) entry.thread.join();
}

bool HttpServer::stop(std::chrono::milliseconds grace) {
  State& state = *state_;
  if (state.is_stopping.exchange(true)) return true;
  state.shared.draining = true;
  state.wake();
  state.thread.join();
  state.listener = FileDescriptor();
  const auto deadline = std::chrono::steady_clock::now() + grace;
  bool all_done = false;
  for (;;) {
    {
      const std::lock_guard lock(state.mutex);
      for (State::Entry& entry : state.entries) {
        if (entry.connection.idle_since().count() != 0) entry.connection.shut_down();
      }
    }
    state.reap(false);
    all_done = state.entries.empty();
    if (all_done || std::chrono::steady_clock::now() >= deadline) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  for (State::Entry& entry : state.entries) entry.connection.shut_down();
  state.reap(true);
  return all_done;
}

uint16_t HttpServer::port() const noexcept {
  sockaddr_storage address = {};
  socklen_t size = sizeof address;
  if (getsockname(state_->listener.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(address).sin6_port
                                             : reinterpret_cast<const sockaddr_in&>(address).sin_port);
}

std::string HttpServer::address() const {
  const std::string& host = state_->shared.options.host;
  return (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + std::to_string(port());
}

size_t HttpServer::connections() const noexcept {
  const std::lock_guard lock(state_->mutex);
  return state_->entries.size();
}

uint64_t HttpServer::body_bytes() const noexcept { return state_->shared.body_bytes; }

}  // namespace gpt2
