#include "src/convert/model_source.h"

#include <algorithm>
#include <fstream>
#include <utility>

#include "src/base/error.h"
#include "src/convert/architecture.h"
#include "src/convert/chat_template_file.h"
#include "src/convert/family_source.h"
#include "src/convert/gguf_config.h"
#include "src/convert/gguf_tokenizer.h"
#include "src/convert/gpt2_source.h"
#include "src/convert/named_tensors.h"
#include "src/convert/tokenizer_files.h"
#include "src/io/checkpoint.h"
#include "src/io/gguf.h"
#include "src/io/mapped_file.h"

namespace gpt2 {
namespace {

constexpr uint64_t kMaxConfigBytes = 1u << 20;

ConfigFile read_config(const std::string& directory) {
  const std::string config = directory + "/config.json", generation = directory + "/generation_config.json";
  ConfigFile file = parse_config(read_text_file(config, kMaxConfigBytes), config);
  if (file_exists(generation)) apply_generation_config(read_text_file(generation, kMaxConfigBytes), generation, file);
  return file;
}

class DirectorySource final : public ModelSource {
 public:
  explicit DirectorySource(const std::string& directory) : ModelSource(directory) {
    file_ = read_config(directory);
    checkpoint_ = Checkpoint::open(directory);
    const Architecture* architecture = file_.architecture;
    tensors_.emplace(checkpoint_, architecture != nullptr ? architecture->prefix : kGpt2Prefix);
    std::vector<std::string> warnings;
    if (architecture == nullptr) {
      parameters_ = std::make_unique<Gpt2Source>(*tensors_, file_.config, warnings);
    } else {
      parameters_ = std::make_unique<FamilySource>(*tensors_, *architecture, file_, warnings);
    }
    file_.warnings.insert(file_.warnings.end(), warnings.begin(), warnings.end());
  }

  Vocabulary read_vocabulary() const override { return gpt2::read_vocabulary(path_); }
  std::string read_chat_template(std::vector<std::string>& warnings) const override {
    return gpt2::read_chat_template(path_, warnings);
  }
  void check_unchanged() const override { checkpoint_.check_unchanged(); }

 private:
  Checkpoint checkpoint_;
  std::optional<NamedTensors> tensors_;
};

class GgufSource final : public ModelSource {
 public:
  explicit GgufSource(const std::string& path)
      : ModelSource(path),
        mapped_(MappedFile::open(path)),
        gguf_(GgufFile::parse(mapped_.bytes(), path)),
        tensors_(gguf_, mapped_) {
    GgufConfig config = read_gguf_config(gguf_, tensors_);
    file_ = std::move(config.file);
    names_ = std::move(config.names);
    std::vector<std::string> warnings;
    parameters_ = std::make_unique<FamilySource>(tensors_, names_, file_, warnings);
    file_.warnings.insert(file_.warnings.end(), warnings.begin(), warnings.end());
    const auto is_block = [](const GgufTensor& tensor) { return gguf_type_info(tensor.type).weights > 1; };
    quantised_ = std::any_of(gguf_.tensors().begin(), gguf_.tensors().end(), is_block);
  }

  Vocabulary read_vocabulary() const override { return read_gguf_vocabulary(gguf_); }
  std::string read_chat_template(std::vector<std::string>& warnings) const override {
    return read_gguf_chat_template(gguf_, warnings);
  }
  void check_unchanged() const override { mapped_.check_unchanged(); }

 private:
  MappedFile mapped_;
  GgufFile gguf_;
  NamedTensors tensors_;
  Architecture names_;
};

}  // namespace

bool is_gguf(const std::string& path) {
  char begin[4] = {};
  if (!is_regular_file(path)) return false;
  std::ifstream(path, std::ios::binary).read(begin, sizeof begin);
  return std::string_view(begin, sizeof begin) == "GGUF";
}

std::unique_ptr<ModelSource> ModelSource::open(const std::string& path) {
  if (is_gguf(path)) return std::make_unique<GgufSource>(path);
  check_is_checkpoint(path);
  return std::make_unique<DirectorySource>(path);
}

}  // namespace gpt2
