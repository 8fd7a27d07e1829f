// A model in another format, opened and checked: a Hugging Face directory or a GGUF file.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "src/convert/config_json.h"
#include "src/model/model_writer.h"
#include "src/text/tokenizer_builder.h"

namespace gpt2 {

class ModelSource {
 public:
  virtual ~ModelSource() = default;
  // Opens a directory, or a file that begins as GGUF does. Throws Error (exit 3) naming file and item: what is missing,
  // of a wrong shape or type, or not supported.
  static std::unique_ptr<ModelSource> open(const std::string& path);

  const std::string& path() const noexcept { return path_; }
  const Config& config() const noexcept { return file_.config; }
  const std::vector<std::string>& warnings() const noexcept { return file_.warnings; }
  ParameterSource& parameters() noexcept { return *parameters_; }
  // Whether its matrices are stored with scales.
  bool is_quantised() const noexcept { return quantised_; }
  virtual Vocabulary read_vocabulary() const = 0;
  // Returns the template of conversations, empty where there is none; one that is too long is left out with a warning.
  virtual std::string read_chat_template(std::vector<std::string>& warnings) const = 0;
  // Throws Error (exit 3) if a file of it has been written to since it was opened.
  virtual void check_unchanged() const = 0;

 protected:
  explicit ModelSource(std::string path) : path_(std::move(path)) {}

  std::string path_;
  ConfigFile file_;
  std::unique_ptr<ParameterSource> parameters_;
  bool quantised_ = false;
};

// Whether a file begins as GGUF does; false for what cannot be opened, which whoever opens it says.
bool is_gguf(const std::string& path);

}  // namespace gpt2
