// A real model as it circulates: SmolLM2-135M-Instruct as a Q4_1 GGUF file, which scripts/get-smollm2.sh fetches. Where
// the file is not there nothing is tested.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "src/convert/convert.h"
#include "src/io/json.h"
#include "tests/fixtures.h"
#include "tests/runner.h"
#include "tests/support.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

// $GPT2_SMOLLM2, else where the script puts it.
std::string model_path() {
  if (const char* path = std::getenv("GPT2_SMOLLM2")) return path;
  const char *data = std::getenv("XDG_DATA_HOME"), *home = std::getenv("HOME");
  const std::string folder = data != nullptr ? data : std::string(home != nullptr ? home : "") + "/.local/share";
  return folder + "/gpt2/models/SmolLM2-135M-Instruct.Q4_1.gguf";
}

}  // namespace

TEST_CASE("smollm2: ids of 200 strings equal tokenizers', continuations a run in float64 wherever the margin decides") {
  const std::string path = model_path();
  if (!std::filesystem::exists(path)) return skip("no SmolLM2-135M-Instruct: scripts/get-smollm2.sh fetches it");
  const Json goldens = parse_json(read_file(source_path("tests/data/smollm2.json")), "smollm2.json");
  MemorySink sink;
  ConvertOptions options;
  options.dtype = DType::f32;
  const ConvertReport report = convert_checkpoint(path, options, sink, nullptr);
  CHECK(report.warnings.empty());
  const Model model = Model::from_memory(sink.take(), path);
  const auto ids_of = [](const Json& json) {
    std::vector<TokenId> ids;
    for (const Json& id : json.array) ids.push_back(static_cast<TokenId>(id.integer));
    return ids;
  };
  const Json& texts = *goldens.find("texts");
  CHECK(texts.array.size() == 200);
  for (const Json& golden : texts.array) {
    const std::string& text = golden.find("text")->string;
    const std::vector<TokenId> ids = model.tokenizer().encode(text, Specials::parse);
    CHECK_MESSAGE(ids == ids_of(*golden.find("ids")), json_quote(text));
    CHECK(model.tokenizer().decode(ids) == text);
  }
  size_t decided = 0, all = 0;
  for (const Json& golden : goldens.find("prompts")->array) {
    INFO(golden.find("text")->string);
    const std::vector<TokenId> tokens = ids_of(*golden.find("tokens"));
    std::vector<TokenId> ids = model.tokenizer().encode(golden.find("text")->string, Specials::parse);
    const size_t n_prompt = ids.size(), n_vocab = model.config().n_vocab;
    ids.insert(ids.end(), tokens.begin(), tokens.end() - 1);
    const std::vector<float> logits = logits_of(model, ids, {runnable_kernels().tables[0], 2});
    for (size_t i = 0; i < tokens.size(); ++i, ++all) {
      if (!(golden.find("margins")->array[i].real > 1e-3)) continue;
      ++decided;
      const auto row = logits.begin() + static_cast<std::ptrdiff_t>((n_prompt - 1 + i) * n_vocab);
      CHECK(std::max_element(row, row + static_cast<std::ptrdiff_t>(n_vocab)) - row == tokens[i]);
    }
  }
  MESSAGE(decided << " of " << all << " tokens are decided by more than 1e-3");
  CHECK(all == 320);
  CHECK(decided >= 300);
}
