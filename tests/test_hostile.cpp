// Hostile files by the thousand: named cases through the library and through the program; a small model cut at every byte, and
// each byte of its headers changed 13 ways. What is refused is refused by exit 3; what is accepted runs one step.
#include <doctest/doctest.h>

#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "src/engine/engine.h"
#include "src/io/checkpoint.h"
#include "src/io/safetensors.h"
#include "src/convert/config_json.h"
#include "src/convert/convert.h"
#include "src/convert/tokenizer_files.h"
#include "tests/fixtures.h"
#include "tests/hostile.h"
#include "tests/support.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

// One prefill and one token; a model that is accepted must get through this whatever its numbers are.
void run_one_step(const Model& model) {
  EngineOptions options;
  options.kernels = runnable_kernels().tables[0];
  Engine engine(model, options);
  const std::vector<TokenId> ids = {0};
  Request request;
  request.max_new_tokens = 1;
  engine.insert(engine.start(ids, request));
  engine.generate();
  model.tokenizer().decode(ids);
  failure_of([&] { model.tokenizer().encode("abab", Specials::parse); });
}

std::string write_directory(const std::map<std::string, std::string>& files) {
  const std::string directory = temp_dir();
  for (const auto& [name, content] : files) write_file(directory + "/" + name, content);
  return directory;
}

Failure convert_failure(const std::string& directory) {
  return failure_of([&] {
    MemorySink sink;
    convert_checkpoint(directory, {}, sink, nullptr);
    run_one_step(Model::from_memory(sink.take(), directory));
  });
}

// A copy on a 64-byte boundary, to be cut and changed in place.
class ModelBytes {
 public:
  explicit ModelBytes(const std::string& file) : memory_(file.size()) { std::memcpy(memory_.data(), file.data(), file.size()); }
  std::byte* data() { return memory_.data(); }
  Failure failure(size_t size) {
    return failure_of([&] { run_one_step(Model::view({memory_.data(), size}, "nano.gpt2")); });
  }

 private:
  AlignedBuffer<std::byte> memory_;
};

struct Outcome {
  int status = -1;  // exit code, or 1000 + signal
  std::string out, err;
  double milliseconds = 0;  // of the CPU, so that a busy machine makes no difference
};

Outcome run_program(const std::vector<std::string>& arguments) {
  static const std::string folder = temp_dir();
  const std::string out = folder + "/out", err = folder + "/err";
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_addopen(&actions, 2, err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  Outcome outcome;
  pid_t pid = 0;
  REQUIRE(posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), environ) == 0);
  int status = 0;
  rusage used = {};
  REQUIRE(wait4(pid, &status, 0, &used) == pid);
  for (const timeval& time : {used.ru_utime, used.ru_stime}) {
    outcome.milliseconds += static_cast<double>(time.tv_sec * 1'000'000 + time.tv_usec) / 1000;
  }
  posix_spawn_file_actions_destroy(&actions);
  outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  outcome.out = read_file(out);
  outcome.err = read_file(err);
  return outcome;
}

// Exit 3, silence on stdout, one line on stderr that names the file and the item, in less than 100 ms of CPU time.
void check_refusal(const std::string& name, const Outcome& outcome, const std::string& file, const std::string& item) {
  CAPTURE(name);
  CAPTURE(outcome.err);
  CHECK(outcome.status == 3);
  CHECK(outcome.out.empty());
  CHECK(std::count(outcome.err.begin(), outcome.err.end(), '\n') == 1);
  CHECK(outcome.err.starts_with("gpt2: "));
  CHECK(outcome.err.find(file) != std::string::npos);
  // Behind the path, which ends at a colon: it may have the item's name in it.
  const size_t path_end = std::min(outcome.err.find(": ", std::min(outcome.err.find(file), outcome.err.size())), outcome.err.size());
  CHECK(outcome.err.find(item, path_end) != std::string::npos);
  for (const char c : outcome.err) CHECK((c == '\n' || static_cast<unsigned char>(c) >= 0x20));
  if (!kSanitized) CHECK(outcome.milliseconds < 100);
}

}  // namespace

TEST_CASE("hostile: the small model itself is accepted in all forms") {
  const auto files = nano_directory();
  CHECK(files.at("model.safetensors").size() > 50'000);
  CHECK(convert_failure(write_directory(files)).message == "");
  CHECK(convert_failure(write_directory(nano_tokenizer_json())).message == "");
  const std::string file = nano_model_file();
  CHECK(ModelBytes(file).failure(file.size()).message == "");
  CHECK(sealed(file) == file);
  const std::string draft = nano_draft_file();
  CHECK(ModelBytes(draft).failure(draft.size()).message == "");
}

TEST_CASE("hostile: named cases, through the library") {
  const std::vector<HostileCase> cases = hostile_cases();
  CHECK(cases.size() >= 400);
  for (const HostileCase& c : cases) {
    CAPTURE(c.name);
    const bool is_file = c.form == HostileCase::Form::model_file;
    const Failure failure = is_file ? ModelBytes(c.files.at("")).failure(c.files.at("").size()) : convert_failure(write_directory(c.files));
    CHECK(failure.code == 3);
    CAPTURE(failure.message);
    CHECK(failure.message.find(c.item) != std::string::npos);
  }
}

TEST_CASE("hostile: named cases, through the program") {
  const char* program = std::getenv("GPT2");
  if (program == nullptr) return skip("GPT2 names no program");
  size_t n = 0;
  double slowest = 0;
  for (const HostileCase& c : hostile_cases()) {
    if (c.form == HostileCase::Form::model_file) {
      const std::string file = temp_dir() + "/m.gpt2";
      write_file(file, c.files.at(""));
      const Outcome outcome = run_program({program, "generate", "-n", "1", "-m", file, "ab"});
      check_refusal(c.name, outcome, "m.gpt2", c.item);
      slowest = std::max(slowest, outcome.milliseconds);
    } else {
      const std::string directory = write_directory(c.files);
      const Outcome outcome = run_program({program, "convert", directory, directory + "/out.gpt2"});
      check_refusal(c.name, outcome, directory, c.item);
      slowest = std::max(slowest, outcome.milliseconds);
      CHECK_MESSAGE(std::distance(std::filesystem::directory_iterator(directory), {}) == static_cast<ptrdiff_t>(c.files.size()), c.name);
    }
    ++n;
  }
  MESSAGE(n << " cases, the slowest in " << slowest << " ms of CPU time");
}

TEST_CASE("hostile: things that are no files, through the program") {
  const char* program = std::getenv("GPT2");
  if (program == nullptr) return skip("GPT2 names no program");
  const std::string d = temp_dir();
  const std::string fifo = d + "/fifo", loop = d + "/loop", dangling = d + "/dangling", secret = d + "/secret", sparse = d + "/sparse";
  REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
  std::filesystem::create_symlink(loop, loop);
  std::filesystem::create_symlink(d + "/none", dangling);
  write_file(secret, nano_model_file());
  write_file(sparse, "");
  REQUIRE(truncate(sparse.c_str(), off_t{1} << 40) == 0);
  const std::string socket_path = d + "/socket";
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, socket_path.c_str(), sizeof address.sun_path - 1);
  const bool bound = bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  close(fd);
  const std::string long_path(5000, 'x');
  struct ObjectCase {
    std::string path, item;
  };
  std::vector<ObjectCase> cases = {{d, "config.json"}, {fifo, "a FIFO"}, {loop, "symbolic links"}, {dangling, "No such file"},
                                   {sparse, "header length"}, {"/dev/zero", "a device"}, {"/dev/null", "a device"},
                                   {"/proc/self/status", "empty"}, {long_path, "File name too long"}, {d + "/none", "No such file"},
                                   {d + "/a\nb\x1b[31m", "\\x0A"}, {d + "/\xff\xfe", "\\xFF"}, {d + "/" + std::string(255, 'n'), "No such file"}};
  if (bound) cases.push_back({socket_path, ""});
  if (geteuid() != 0) {
    std::filesystem::permissions(secret, std::filesystem::perms::none);
    cases.push_back({secret, "Permission denied"});
  } else {
    skip("a file without permission: root may read all");
  }
  for (const ObjectCase& c : cases) {
    check_refusal("-m " + c.path, run_program({program, "generate", "-n", "1", "-m", c.path, "ab"}), "", c.item);
    if (c.path != d) check_refusal("inspect " + c.path, run_program({program, "inspect", c.path}), "", c.item);
  }
  // In place of each file of a checkpoint.
  for (const char* name : {"config.json", "vocab.json", "merges.txt", "model.safetensors"}) {
    for (const char* kind : {"directory", "fifo", "zero"}) {
      const std::string directory = write_directory(nano_directory()), path = directory + "/" + name;
      std::filesystem::remove(path);
      if (std::string_view(kind) == "directory") std::filesystem::create_directory(path);
      if (std::string_view(kind) == "fifo") REQUIRE(mkfifo(path.c_str(), 0600) == 0);
      if (std::string_view(kind) == "zero") std::filesystem::create_symlink("/dev/zero", path);
      check_refusal(std::string(name) + " " + kind, run_program({program, "convert", directory, directory + "/o.gpt2"}), directory, "");
    }
  }
}

TEST_CASE("hostile: safetensors cut at every byte") {
  const std::string file = nano_directory().at("model.safetensors");
  size_t refused = 0;
  for (size_t cut = 0; cut < file.size(); ++cut) {
    const auto bytes = std::as_bytes(std::span(file)).first(cut);
    refused += failure_of([&] { parse_safetensors(bytes, "nano"); }).code == 3;
  }
  CHECK(refused == file.size());
}

TEST_CASE("hostile: every byte of a safetensors header changed 13 ways") {
  const std::string directory = write_directory(nano_directory()), path = directory + "/model.safetensors";
  std::string file = read_file(path);
  const size_t end = 8 + header_of(file).size();
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
  REQUIRE(fd >= 0);
  size_t refused = 0, accepted = 0;
  for (size_t i = 0; i < end; ++i) {
    const char original = file[i];
    for (const char changed : byte_mutations(original)) {
      if (changed == original) continue;
      file[i] = changed;
      const Failure parsed = failure_of([&] { parse_safetensors(std::as_bytes(std::span(file)), "nano"); });
      REQUIRE((parsed.code == 3 || parsed.code == 0));
      if (parsed.code == 3) {
        ++refused;
        continue;
      }
      REQUIRE(pwrite(fd, &changed, 1, static_cast<off_t>(i)) == 1);
      const Failure converted = convert_failure(directory);
      REQUIRE_MESSAGE((converted.code == 3 || converted.code == 0), "byte " << i << ": " << converted.message);
      ++(converted.code == 3 ? refused : accepted);
    }
    file[i] = original;
    REQUIRE(pwrite(fd, &original, 1, static_cast<off_t>(i)) == 1);
  }
  close(fd);
  MESSAGE(refused << " refused, " << accepted << " accepted and run");
  CHECK(refused > 10 * accepted);
}

TEST_CASE("hostile: a .gpt2 file cut at every byte") {
  const std::string file = nano_model_file();
  ModelBytes bytes(file);
  size_t refused = 0;
  for (size_t cut = 0; cut < file.size(); ++cut) refused += bytes.failure(cut).code == 3;
  CHECK(refused == file.size());
}

TEST_CASE("hostile: every byte of a .gpt2 header changed 13 ways is noticed; with the checksum made right it is refused or runs") {
  std::string file = nano_model_file();
  const std::string good = file;
  ModelBytes bytes(file);
  const size_t end = 8 + header_of(file).size();
  const size_t digits = file.find("header_xxh3\":\"") + 14;
  size_t missed = 0, refused = 0, accepted = 0;
  for (size_t i = 0; i < end; ++i) {
    // Of the padding, the first and the last bytes stand for all.
    if (good[i] == ' ' && i > 64 && good.substr(i - 32, 64) == std::string(64, ' ')) continue;
    for (const char changed : byte_mutations(good[i])) {
      if (changed == good[i]) continue;
      bytes.data()[i] = static_cast<std::byte>(changed);
      missed += bytes.failure(file.size()).code != 3;
      if (i >= 8 && !(i >= digits && i < digits + 16)) {
        file[i] = changed;
        const std::string seal = sealed(file);
        std::memcpy(bytes.data(), seal.data(), end);
        const int code = bytes.failure(file.size()).code;
        REQUIRE_MESSAGE((code == 0 || code == 3), "byte " << i);
        ++(code == 3 ? refused : accepted);
        std::memcpy(bytes.data(), good.data(), end);
        file[i] = good[i];
      }
      bytes.data()[i] = static_cast<std::byte>(good[i]);
    }
  }
  CHECK(missed == 0);
  MESSAGE("sealed: " << refused << " refused, " << accepted << " accepted and run");
  CHECK(accepted > 100);  // names, checksums of data that only inspect --verify compares
  CHECK(refused > accepted);
}

TEST_CASE("hostile: every bit of a .gpt2 file's data is covered by a checksum") {
  const std::string file = nano_model_file();
  ModelBytes bytes(file);
  const Model model = Model::view({bytes.data(), file.size()}, "nano.gpt2");
  verify_checksums(model.file(), "nano.gpt2");
  const size_t begin = 8 + header_of(file).size();
  for (size_t i = begin; i < file.size(); i += kSanitized ? 97 : 1) {
    bytes.data()[i] ^= static_cast<std::byte>(1 << i % 8);
    REQUIRE_MESSAGE(failure_of([&] { verify_checksums(model.file(), "nano.gpt2"); }).code == 3, "byte " << i);
    bytes.data()[i] ^= static_cast<std::byte>(1 << i % 8);
  }
}

TEST_CASE("hostile: any number in the tokenizer's tables leaves a tokenizer that stays inside them") {
  const std::string file = nano_model_file();
  ModelBytes bytes(file);
  const Model model = Model::view({bytes.data(), file.size()}, "nano.gpt2");
  size_t steps = 0;
  for (const StoredTensor& table : model.file().tensors) {
    if (table.spec.arrangement != Arrangement::bytes) continue;
    const auto at = static_cast<size_t>(table.data.data() - model.bytes().data());
    for (uint64_t i = 0; i + 4 <= table.spec.rows; i += 4) {
      for (const uint32_t value : {0u, 1u, 2u, 3u, 4u, 5u, 127u, 255u, 32768u, 65535u, 0x7FFFFFFFu, 0x80000000u, 0xFFFFFFFEu, 0xFFFFFFFFu}) {
        std::byte before[4];
        std::memcpy(before, bytes.data() + at + i, 4);
        std::memcpy(bytes.data() + at + i, &value, 4);
        const Failure failure = failure_of([&] {
          for (const TokenId id : model.tokenizer().encode("aabbab ba<|endoftext|>", Specials::parse)) REQUIRE((id >= 0 && id < 3));
          for (const TokenId id : {-1, 0, 1, 2, 3, 1 << 30}) model.tokenizer().token_bytes(id);
        });
        REQUIRE((failure.code == 0 || failure.code == 3 || failure.code == 4));
        std::memcpy(bytes.data() + at + i, before, 4);
        ++steps;
      }
    }
  }
  CHECK(steps > 1000);
}

namespace {

// Each byte changed 13 ways, and the text cut at every byte; the reader refuses by exit 3 or accepts.
template <class Read>
void mutate_text(const std::string& good, Read read) {
  size_t refused = 0, accepted = 0;
  const auto count = [&](const std::string& text) {
    const Failure failure = failure_of([&] { read(text); });
    REQUIRE_MESSAGE((failure.code == 0 || failure.code == 3), failure.message);
    REQUIRE(failure.message.find('\n') == std::string::npos);
    ++(failure.code == 3 ? refused : accepted);
  };
  std::string text = good;
  for (size_t i = 0; i < good.size(); ++i) {
    for (const char changed : byte_mutations(good[i])) {
      text[i] = changed;
      count(text);
    }
    text[i] = good[i];
    count(good.substr(0, i));
  }
  CHECK(refused + accepted == 14 * good.size());
  CHECK(refused > good.size());
}

}  // namespace

TEST_CASE("hostile: config.json changed 13 ways at every byte and cut at every byte") {
  mutate_text(nano_directory().at("config.json"), [](const std::string& text) { parse_config(text, "config.json"); });
}

TEST_CASE("hostile: tokenizer files changed 13 ways at every byte and cut at every byte") {
  for (const auto& [files, name] : {std::pair(nano_directory(), "vocab.json"), {nano_directory(), "merges.txt"}, {nano_tokenizer_json(), "tokenizer.json"}}) {
    const std::string directory = write_directory(files), path = directory + "/" + name;
    std::string good = files.at(name);
    if (std::string_view(name) == "merges.txt") good = "a b\n";
    mutate_text(good, [&](const std::string& text) {
      write_file(path, text);
      const TokenizerData data = build_tokenizer(read_vocabulary(directory), 3);
      const Tokenizer tokenizer(data.tables(), "nano");
      failure_of([&] { CHECK(tokenizer.decode(tokenizer.encode("abba")) == "abba"); });
    });
  }
}
