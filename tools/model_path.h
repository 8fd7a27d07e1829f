// Where models are: `-m NAME` looks in $GPT2_MODELS, the user's data and cache folders and the Hugging Face hub's
// cache.
#pragma once

#include <string>
#include <vector>

namespace gpt2 {

struct ModelPlace {
  enum class Kind { folder, hub };  // hub: models--ORG--NAME/snapshots/REVISION/
  Kind kind = Kind::folder;
  std::string origin;  // "$GPT2_MODELS", "data", "cache", "Hugging Face hub"
  std::string folder;
};

// Returns the places in the order in which they are asked, whether they exist or not.
std::vector<ModelPlace> model_places();
// Returns what -m finds there, sorted.
std::vector<std::string> names_in(const ModelPlace& place);
// Returns the names of all places, each once.
std::vector<std::string> model_names();

// Returns the file or checkpoint directory that -m NAME means. With a slash, ".gpt2" or ".gguf" NAME is a path first;
// other names are a path last. The folder of a repository in a hub's cache means its snapshot. Throws Error (exit 3)
// that names every place looked.
std::string find_model(const std::string& name);

// Returns what find_model() does for a model that is to be converted, which is a path first.
std::string find_source(const std::string& name);

// Returns where a converted model would be found by this name: the first folder's NAME.gpt2, without the organisation.
std::string conversion_target(const std::string& name);

}  // namespace gpt2
