// Filling in the middle, tokens by role, and a model with SentencePiece's tokenizer from its directory to its text.
#include <doctest/doctest.h>

#include <cstring>

#include "src/base/aligned_buffer.h"
#include "src/base/error.h"
#include "src/convert/convert.h"
#include "src/engine/engine.h"
#include "src/engine/infill.h"
#include "src/io/byte_sink.h"
#include "src/text/pieces.h"
#include "tests/fixtures.h"
#include "tests/hostile.h"
#include "tests/kernel_cases.h"
#include "tests/support.h"

using namespace gpt2;
using namespace gpt2::test;

namespace {

using Ids = std::vector<TokenId>;
constexpr TokenId kPrefix = 620, kSuffix = 621, kMiddle = 622, kEnd = 623;

// A field of a protobuf message.
std::string field(char number, const std::string& body) {
  return std::string{static_cast<char>(number << 3 | 2), static_cast<char>(body.size())} + body;
}

// The trained vocabulary of 620 pieces and Code Llama's four, of this type.
std::string code_llama_tokenizer(PieceType type) {
  std::string model = read_file(source_path("tests/data/sentencepiece/llama.model"));
  for (const char* text : {"\u2581<PRE>", "\u2581<SUF>", "\u2581<MID>", "\u2581<EOT>"}) {
    model += field(1, field(1, text) + "\x18" + static_cast<char>(type));
  }
  return model;
}

std::string to_model_file(const std::string& tokenizer, const std::string& tokenizer_config = "{}") {
  FixtureShape shape;
  shape.n_vocab = 640;
  shape.n_ctx = 64;
  const std::string directory = make_checkpoint(shape, 5).write();
  write_file(directory + "/tokenizer.model", tokenizer);
  write_file(directory + "/tokenizer_config.json", tokenizer_config);
  MemorySink sink;
  convert_checkpoint(directory, {}, sink, nullptr);
  const AlignedBuffer<std::byte> bytes = sink.take();
  const void* data = bytes.data();
  return {static_cast<const char*>(data), bytes.size()};
}

Model open(const std::string& file) {
  AlignedBuffer<std::byte> bytes(file.size());
  std::memcpy(bytes.data(), file.data(), file.size());
  return Model::from_memory(std::move(bytes), "infill.gpt2");
}

Ids joined(std::initializer_list<Ids> parts) {
  Ids ids;
  for (const Ids& part : parts) ids.insert(ids.end(), part.begin(), part.end());
  return ids;
}

Ids without_first(const Ids& ids, size_t n) { return {ids.begin() + static_cast<std::ptrdiff_t>(n), ids.end()}; }

}  // namespace

TEST_CASE("infill: Code Llama's form, whatever type its marks have as pieces") {
  for (const PieceType type : {PieceType::control, PieceType::user_defined, PieceType::normal}) {
    const Model model = open(to_model_file(code_llama_tokenizer(type)));
    const Tokenizer& tokenizer = model.tokenizer();
    CHECK(model.token_of(TokenRole::fim_prefix) == kPrefix);
    CHECK(model.token_of(TokenRole::fim_suffix) == kSuffix);
    CHECK(model.token_of(TokenRole::fim_middle) == kMiddle);
    CHECK(model.token_of(TokenRole::eot) == kEnd);
    CHECK(model.token_of(TokenRole::unk) == 0);
    CHECK(model.token_of(TokenRole::fim_pad) == -1);
    // As the original makes it: the suffix is encoded behind a character that merges with nothing, which then goes.
    const size_t n_smile = tokenizer.encode("\u263a").size();
    for (const std::string suffix : {"the sea", " the sea", "\n", ""}) {
      const Ids prefix = without_first(tokenizer.encode("the old"), 1),
                behind = without_first(tokenizer.encode("\u263a" + suffix), n_smile);
      CHECK(infill_prompt(model, {"the old", suffix}, Specials::as_text) ==
            joined({{1, kPrefix}, prefix, {kSuffix}, behind, {kMiddle}}));
    }
    CHECK(infill_prompt(model, {"", "x"}, Specials::as_text).at(2) == kSuffix);
    const auto ends = infill_ends(model);
    REQUIRE(ends.size() == 1);
    CHECK(ends[0] == (type == PieceType::control ? "\u2581<EOT>" : " <EOT>"));
  }
}

TEST_CASE("infill: the middle keeps the space that a text's beginning loses") {
  const Model model = open(to_model_file(code_llama_tokenizer(PieceType::control)));
  const TokenId the = model.tokenizer().encode("the").at(1);
  const Ids gap = infill_prompt(model, {"a", "b"}, Specials::as_text), text = {1};
  TokenText inside = text_behind(model, gap), alone = text_behind(model, text);
  CHECK(inside.next(the) == model.tokenizer().token_bytes(the));
  CHECK(" " + std::string(alone.next(the)) == model.tokenizer().token_bytes(the));
  // A mark that a key names is one whatever its text is.
  const Model named = open(to_model_file(code_llama_tokenizer(PieceType::control), R"({"middle_token":"</s>"})"));
  const Ids other = infill_prompt(named, {"a", "b"}, Specials::as_text);
  CHECK(other.back() == 2);
  TokenText behind = text_behind(named, other);
  CHECK(behind.next(the) == model.tokenizer().token_bytes(the));
}

TEST_CASE("roles: keys count before texts and are kept in the file; ids that are none are refused") {
  const std::string tokenizer = code_llama_tokenizer(PieceType::control);
  const std::string file = to_model_file(tokenizer, R"({"pad_token":"</s>","eot_token":"<s>","unk_token":"<unk>"})");
  const Model model = open(file);
  CHECK(model.token_of(TokenRole::pad) == 2);
  CHECK(model.token_of(TokenRole::eot) == 1);
  CHECK(model.token_of(TokenRole::fim_prefix) == kPrefix);
  CHECK(header_of(file).find("role.unk") == std::string::npos);  // its text says so
  CHECK(header_of(to_model_file(tokenizer)).find("role.") == std::string::npos);
  const std::string said = "\"role.pad\":\"2\"";
  for (const char* bad : {"\"role.pad\":\"-1\"", "\"role.pad\":\"624\"", "\"role.pad\":\"x\"", "\"role.pad\":\"\""}) {
    std::string header = header_of(file);
    const size_t size = header.size();
    header.replace(header.find(said), said.size(), bad);
    header.resize(size, ' ');
    const Failure failure = failure_of([&] { open(sealed(with_header(file, header))); });
    CHECK(failure.code == 3);
    CHECK_MESSAGE(failure.message.find("role.pad") != std::string::npos, failure.message);
  }
}

TEST_CASE("infill: a model without the marks is refused by their names") {
  const Failure failure = failure_of([] { infill_prompt(books(), {"a", "b"}, Specials::as_text); });
  CHECK(failure.code == 3);
  CHECK(failure.message.find("fim_prefix, fim_suffix, fim_middle") != std::string::npos);
}

TEST_CASE("sentencepiece: a directory with tokenizer.model becomes a file whose model writes the text of its tokens") {
  const Model model = open(to_model_file(code_llama_tokenizer(PieceType::control)));
  const Tokenizer& tokenizer = model.tokenizer();
  const Ids prompt = tokenizer.encode("the old captain");
  CHECK(prompt.at(0) == 1);
  CHECK(tokenizer.decode(prompt) == "the old captain");
  EngineOptions options;
  options.kernels = runnable_kernels().tables[0];
  options.threads = 1;
  Engine engine(model, options);
  Request request;
  request.sampling.temperature = 1;
  request.max_new_tokens = 24;
  request.ignore_eos = true;
  for (uint64_t seed = 0; seed < 4; ++seed) {
    request.seed = seed;
    const SlotId slot = engine.insert(engine.start(prompt, request));
    TokenText stream = text_behind(model, prompt);
    std::string text = tokenizer.decode(prompt);
    for (FinishReason finish = FinishReason::running; finish == FinishReason::running;) {
      const StepResult step = engine.generate()[0];
      finish = step.finish;
      for (const TokenId id : step.tokens) text += stream.next(id);
    }
    const Ids all = engine.remove(slot).tokens;
    CHECK(all.size() == prompt.size() + 24);
    CHECK(text == tokenizer.decode(all));
  }
}
