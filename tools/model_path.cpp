#include "tools/model_path.h"

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "src/base/error.h"
#include "src/io/checkpoint.h"
#include "src/io/file_descriptor.h"

namespace gpt2 {
namespace {

constexpr std::string_view kSuffix = ".gpt2", kGgufSuffix = ".gguf", kHubPrefix = "models--", kHubBetween = "--";

constexpr uint64_t kMaxReference = 4096;  // bytes of a file of the hub's that names a revision

// What scripts/get-gpt2.sh knows.
constexpr std::string_view kPublished[] = {"gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl", "distilgpt2"};

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// $NAME, or FOLDER in the home directory; empty without either. A relative $NAME counts as unset, as the XDG base
// directory specification has it.
std::string base_folder(const char* name, const char* folder) {
  const std::string set = environment(name), home = environment("HOME");
  if (set.starts_with('/')) return set;
  return home.empty() ? "" : home + "/" + folder;
}

bool is_checkpoint(const std::string& directory) { return file_exists(directory + "/config.json"); }

std::string hub_folder() {
  const std::string cache = environment("HF_HUB_CACHE"), home = environment("HF_HOME");
  if (!cache.empty()) return cache;
  if (!home.empty()) return home + "/hub";
  const std::string user = base_folder("XDG_CACHE_HOME", ".cache");
  return user.empty() ? "" : user + "/huggingface/hub";
}

// "org/name" of "models--org--name"; empty for other entries.
std::string hub_name(std::string_view entry) {
  if (!entry.starts_with(kHubPrefix)) return "";
  std::string name(entry.substr(kHubPrefix.size()));
  const size_t between = name.find(kHubBetween);
  if (between != std::string::npos) name.replace(between, kHubBetween.size(), "/");
  return name;
}

// The revision that refs/main names; empty if that is no such file.
std::string main_revision(const std::string& repository) {
  try {
    const std::string text = read_text_file(repository + "/refs/main", kMaxReference);
    return text.substr(0, text.find_first_of(" \t\r\n"));
  } catch (const Error& error) {
    if (error.code() != ExitCode::model) throw;
    return "";
  }
}

// The checkpoint of a repository: the revision that refs/main names, else the last by name; empty if there is none.
std::string hub_snapshot(const std::string& repository) {
  const std::string snapshots = repository + "/snapshots/";
  const std::string revision = main_revision(repository);
  const bool plain = !revision.empty() && revision.find('/') == std::string::npos && revision[0] != '.';
  if (plain && is_checkpoint(snapshots + revision)) return snapshots + revision;
  const std::vector<std::string> revisions = names_in_folder(snapshots);
  const auto last = std::find_if(revisions.rbegin(), revisions.rend(),
                                 [&](const std::string& r) { return is_checkpoint(snapshots + r); });
  return last == revisions.rend() ? "" : snapshots + *last;
}

// NAME, or ORG/NAME with any ORG where `name` has none; GPT-2's own organisation before others.
std::string find_in_hub(const std::string& folder, const std::string& name) {
  std::vector<std::string> candidates;
  for (const std::string& entry : names_in_folder(folder)) {
    const std::string full = hub_name(entry);
    const bool same = full == name || (full.size() > name.size() && full.ends_with("/" + name));
    if (!full.empty() && same) candidates.push_back(entry);
  }
  const auto strangeness = [&](const std::string& entry) {
    const std::string full = hub_name(entry);
    return full == name ? 0 : full.starts_with("openai-community/") ? 1 : 2;
  };
  std::stable_sort(candidates.begin(), candidates.end(),
                   [&](const auto& a, const auto& b) { return strangeness(a) < strangeness(b); });
  for (const std::string& candidate : candidates) {
    const std::string snapshot = hub_snapshot(folder + "/" + candidate);
    if (!snapshot.empty()) return snapshot;
  }
  return "";
}

std::string find_in_folder(const std::string& folder, const std::string& name) {
  const std::string path = folder + "/" + name;
  for (const std::string_view suffix : {kSuffix, kGgufSuffix}) {
    if (file_exists(path + std::string(suffix))) return path + std::string(suffix);
    if (name.ends_with(suffix) && file_exists(path)) return path;
  }
  return is_checkpoint(path) ? path : "";
}

std::string find_in(const ModelPlace& place, const std::string& name) {
  return place.kind == ModelPlace::Kind::hub ? find_in_hub(place.folder, name) : find_in_folder(place.folder, name);
}

// A name that leads out of a place is a path and nothing else.
bool stays_inside(std::string_view name) {
  return !name.starts_with('/') && !name.starts_with('.') && name.find("/.") == std::string_view::npos;
}

[[noreturn]] void fail_nowhere(const std::string& name, const std::vector<ModelPlace>& places) {
  std::string found = "none here";
  for (const ModelPlace& place : places) found += ", in " + printable(place.folder, 400);
  if (std::find(std::begin(kPublished), std::end(kPublished), name) != std::end(kPublished)) {
    found += " (scripts/get-gpt2.sh " + name + " downloads it)";
  }
  fail_model(name, "model", "a .gpt2 or GGUF file, a checkpoint directory or a name of one", found);
}

}  // namespace

std::vector<ModelPlace> model_places() {
  using Kind = ModelPlace::Kind;
  std::vector<ModelPlace> places;
  std::string list = environment("GPT2_MODELS");
  while (!list.empty()) {
    const size_t end = std::min(list.find(':'), list.size());
    if (end > 0) places.push_back({Kind::folder, "$GPT2_MODELS", list.substr(0, end)});
    list.erase(0, end + 1);
  }
  const std::string data = base_folder("XDG_DATA_HOME", ".local/share"),
                    cache = base_folder("XDG_CACHE_HOME", ".cache");
  if (!data.empty()) places.push_back({Kind::folder, "data", data + "/gpt2/models"});
  if (!cache.empty()) places.push_back({Kind::folder, "cache", cache + "/gpt2/models"});
  const std::string hub = hub_folder();
  if (!hub.empty()) places.push_back({Kind::hub, "Hugging Face hub", hub});
  return places;
}

std::vector<std::string> names_in(const ModelPlace& place) {
  std::vector<std::string> names;
  for (const std::string& entry : names_in_folder(place.folder)) {
    const std::string path = place.folder + "/" + entry;
    if (place.kind == ModelPlace::Kind::hub) {
      if (!hub_name(entry).empty() && !hub_snapshot(path).empty()) names.push_back(hub_name(entry));
    } else if ((entry.ends_with(kSuffix) || entry.ends_with(kGgufSuffix)) && entry.size() > kSuffix.size()) {
      names.push_back(entry.substr(0, entry.size() - kSuffix.size()));
    } else if (is_checkpoint(path)) {
      names.push_back(entry);
    }
  }
  return names;
}

std::vector<std::string> model_names() {
  std::vector<std::string> names;
  for (const ModelPlace& place : model_places()) {
    for (std::string& name : names_in(place)) {
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(std::move(name));
    }
  }
  return names;
}

std::string conversion_target(const std::string& name) {
  const std::vector<ModelPlace> places = model_places();
  std::string file = name.substr(name.rfind('/') + 1);
  if (file.ends_with(kGgufSuffix)) file.resize(file.size() - kGgufSuffix.size());
  file += kSuffix;
  return places.empty() || places[0].kind == ModelPlace::Kind::hub ? file : places[0].folder + "/" + file;
}

namespace {

// A repository's folder in a hub's cache stands for its checkpoint.
std::string checkpoint_in(const std::string& path) {
  std::string folder = path;
  while (folder.size() > 1 && folder.back() == '/') folder.pop_back();
  const std::string snapshot = is_checkpoint(folder) ? "" : hub_snapshot(folder);
  return snapshot.empty() ? path : snapshot;
}

}  // namespace

std::string find_model(const std::string& name) {
  const bool path_first =
      name.find('/') != std::string::npos || name.ends_with(kSuffix) || name.ends_with(kGgufSuffix);
  if (path_first && (file_exists(name) || !stays_inside(name))) return checkpoint_in(name);
  const std::vector<ModelPlace> places = model_places();
  for (const ModelPlace& place : places) {
    const std::string found = find_in(place, name);
    if (!found.empty()) return found;
  }
  if (file_exists(name)) return checkpoint_in(name);
  fail_nowhere(name, places);
}

std::string find_source(const std::string& name) {
  if (file_exists(name) || !stays_inside(name)) return checkpoint_in(name);
  return find_model(name);
}

}  // namespace gpt2
