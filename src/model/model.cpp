#include "src/model/model.h"

#include <algorithm>
#include <utility>

namespace gpt2 {

Model Model::open(const std::string& path) {
  Model model;
  model.name_ = path;
  model.mapped_.emplace(MappedFile::open(path));
  model.bytes_ = model.mapped_->bytes();
  model.parse();
  return model;
}

Model Model::from_memory(AlignedBuffer<std::byte> bytes, std::string name) {
  Model model;
  model.name_ = std::move(name);
  model.memory_ = std::move(bytes);
  model.bytes_ = model.memory_.span();
  model.parse();
  return model;
}

Model Model::view(std::span<const std::byte> bytes, std::string name) {
  Model model;
  model.name_ = std::move(name);
  model.bytes_ = bytes;
  model.parse();
  return model;
}

void Model::parse() {
  file_ = parse_model_file(bytes_, name_);
  tokenizer_.emplace(file_.tokenizer, name_);
  if (tokenizer_->n_tokens() > file_.config.n_vocab) {
    fail_model(name_, "tokenizer.offsets", "at most " + std::to_string(file_.config.n_vocab) + " tokens",
               std::to_string(tokenizer_->n_tokens()));
  }
}

void Model::check_unchanged() const {
  if (mapped_) mapped_->check_unchanged();
}

TokenId Model::token_of(TokenRole role) const {
  return file_.roles[role] >= 0 ? file_.roles[role] : role_by_text(*tokenizer_, role);
}

bool Model::is_eos(TokenId id) const noexcept {
  const auto& eos = config().eos_token_ids;
  return std::find(eos.begin(), eos.end(), id) != eos.end();
}

}  // namespace gpt2
