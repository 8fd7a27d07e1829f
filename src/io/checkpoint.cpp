#include "src/io/checkpoint.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>

#include "src/base/error.h"
#include "src/io/file_descriptor.h"
#include "src/io/foreign_format.h"
#include "src/io/json.h"

namespace gpt2 {
namespace {

constexpr uint64_t kMaxIndexBytes = 64u << 20;

bool is_plain_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

// tensor -> shard file of model.safetensors.index.json.
std::map<std::string, std::string> read_index(const std::string& path) {
  const Json index = parse_json(read_text_file(path, kMaxIndexBytes), path);
  const Json* weight_map = index.find("weight_map");
  if (weight_map == nullptr || weight_map->kind != Json::Kind::object || weight_map->object.empty()) {
    fail_model(path, "weight_map", "an object of tensor and file names",
               weight_map == nullptr ? "none" : weight_map->describe());
  }
  std::map<std::string, std::string> files;
  for (const auto& [tensor, file, place] : weight_map->object) {
    if (file.kind != Json::Kind::string || !is_plain_name(file.string)) {
      fail_model(path, "weight_map." + tensor, "a file name in this folder", file.describe());
    }
    files.emplace(tensor, file.string);
  }
  return files;
}

bool is_pickle(std::string_view name) {
  return (name.starts_with("pytorch_model") && (name.ends_with(".bin") || name.ends_with(".bin.index.json"))) ||
         name.ends_with(".pt") || name.ends_with(".pth") || name.ends_with(".ckpt");
}

[[noreturn]] void fail_without_weights(const std::string& directory, const std::vector<std::string>& names) {
  const std::string expected = "model.safetensors or model.safetensors.index.json";
  size_t n_shards = 0;
  for (const std::string& name : names) {
    if (is_pickle(name)) {
      fail_model(directory, "weights", expected,
                 name + ", a pickle that could run code and is never opened; download model.safetensors, or "
                 "save it with model.save_pretrained(DIR, safe_serialization=True)");
    }
    if (name.ends_with(".gguf")) fail_model(directory, "weights", expected, name + " (name that file instead)");
    if (name == "tf_model.h5" || name == "flax_model.msgpack") {
      fail_model(directory, "weights", expected, name + ", another program's format");
    }
    if (name.ends_with(".safetensors")) ++n_shards;
  }
  if (n_shards > 0) fail_model(directory, "weights", expected, std::to_string(n_shards) + " shards without an index");
  fail_model(directory, "weights", expected, "neither");
}

}  // namespace

Checkpoint Checkpoint::open(const std::string& directory) {
  Checkpoint checkpoint;
  checkpoint.directory_ = directory;
  const std::string single = directory + "/model.safetensors", index = single + ".index.json";
  std::map<std::string, std::string> placed;  // empty: all tensors of the one file
  std::vector<std::string> files;
  if (file_exists(single)) {
    files.push_back(single);
  } else if (file_exists(index)) {
    placed = read_index(index);
    for (const auto& [tensor, file] : placed) files.push_back(directory + "/" + file);
    std::sort(files.begin(), files.end());
    files.erase(std::unique(files.begin(), files.end()), files.end());
  } else {
    std::vector<std::string> names = names_in_folder(directory);
    std::vector<std::string> shards = names;
    std::erase_if(shards, [](const std::string& name) {
      return !name.ends_with(".safetensors") || name.starts_with("adapter_model");
    });
    if (shards.size() != 1) fail_without_weights(directory, names);
    files.push_back(directory + "/" + shards[0]);
  }
  for (const std::string& file : files) {
    checkpoint.shards_.push_back(MappedFile::open(file));
    const auto bytes = checkpoint.shards_.back().bytes();
    for (TensorInfo& info : parse_safetensors(bytes, file).tensors) {
      const auto data = bytes.subspan(info.begin, info.end - info.begin);
      checkpoint.tensors_.push_back({std::move(info), data, checkpoint.shards_.size() - 1});
    }
  }
  std::sort(checkpoint.tensors_.begin(), checkpoint.tensors_.end(),
            [](const Tensor& a, const Tensor& b) { return a.info.name < b.info.name; });
  for (size_t i = 1; i < checkpoint.tensors_.size(); ++i) {
    const Tensor &a = checkpoint.tensors_[i - 1], &b = checkpoint.tensors_[i];
    if (a.info.name == b.info.name)
      fail_model(checkpoint.file_of(b), b.info.name, "a tensor of this name once",
                 "another in " + checkpoint.file_of(a));
  }
  for (const auto& [name, file] : placed) {
    const Tensor* tensor = checkpoint.find(name);
    if (tensor != nullptr && checkpoint.file_of(*tensor) != directory + "/" + file) {
      fail_model(index, "weight_map." + name, "a tensor in " + file, "it in another shard");
    }
  }
  return checkpoint;
}

const Checkpoint::Tensor* Checkpoint::find(std::string_view name) const {
  const auto found =
      std::lower_bound(tensors_.begin(), tensors_.end(), name,
                       [](const Tensor& tensor, std::string_view key) { return tensor.info.name < key; });
  return found != tensors_.end() && found->info.name == name ? &*found : nullptr;
}

const std::string& Checkpoint::file_of(const Tensor& tensor) const { return shards_[tensor.shard].path(); }

void Checkpoint::check_unchanged() const {
  for (const MappedFile& shard : shards_) shard.check_unchanged();
}

void Checkpoint::drop(const Tensor& tensor) const noexcept {
  shards_[tensor.shard].drop(tensor.info.begin, tensor.info.end - tensor.info.begin);
}

void check_is_checkpoint(const std::string& directory) {
  const std::string expected = "a directory with config.json, a tokenizer and weights";
  if (!is_directory(directory)) {
    struct stat info = {};
    if (!file_exists(directory)) return;  // whoever opens it says so
    const FileDescriptor file = open_regular(directory, info);
    char begin[64];
    const ssize_t got = read(file.get(), begin, sizeof begin);
    const std::string_view other = foreign_format({begin, static_cast<size_t>(std::max<ssize_t>(got, 0))});
    if (!other.empty()) fail_model(directory, "source", expected, other);
    const std::string folder = directory.substr(0, directory.rfind('/') + 1);
    if (file_exists(folder + "config.json")) {
      fail_model(directory, "source", "the directory " + (folder.empty() ? "." : folder) + " that it is in", "a file");
    }
    fail_model(directory, "source", expected, "a file");
  }
  const std::string adapter = directory + "/adapter_config.json";
  if (!file_exists(adapter) || file_exists(directory + "/config.json")) return;
  const Json config = parse_json(read_text_file(adapter, kMaxIndexBytes), adapter);
  const Json* base = config.find("base_model_name_or_path");
  fail_model(directory, "source", "a whole model (merge it: model.merge_and_unload().save_pretrained(DIR))",
             "an adapter (LoRA or another of PEFT's)" +
                 (base != nullptr && !base->string.empty() ? " of " + base->string : ""));
}

std::string read_text_file(const std::string& path, uint64_t limit) {
  struct stat info = {};
  const FileDescriptor file = open_regular(path, info);
  if (static_cast<uint64_t>(info.st_size) > limit) {
    fail_model(path, "size", "at most " + std::to_string(limit) + " bytes", std::to_string(info.st_size));
  }
  std::string text(static_cast<size_t>(info.st_size), '\0');
  size_t at = 0;
  while (at < text.size()) {
    const ssize_t got = read(file.get(), text.data() + at, text.size() - at);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_errno(path, "read", errno);
    if (got == 0) fail_model(path, "file", std::to_string(text.size()) + " bytes", "it cut to " + std::to_string(at));
    at += static_cast<size_t>(got);
  }
  if (const std::string_view other = foreign_format(text); !other.empty()) fail_model(path, "file", "text", other);
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (text.starts_with(kByteOrderMark)) text.erase(0, kByteOrderMark.size());
  return text;
}

bool file_exists(const std::string& path) {
  struct stat info = {};
  return lstat(path.c_str(), &info) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

bool is_directory(const std::string& path) {
  struct stat info = {};
  return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

bool is_regular_file(const std::string& path) {
  struct stat info = {};
  return stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

}  // namespace gpt2
