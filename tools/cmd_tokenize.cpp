// gpt2 tokenize and gpt2 detokenize: text to token ids and back.
#include "src/base/error.h"
#include "tools/commands.h"
#include "tools/help.h"
#include "tools/load_model.h"
#include "tools/prompt.h"
#include "tools/streams.h"
#include "tools/token_ids.h"

namespace gpt2 {
namespace {

class Tokenize final : public Command {
 public:
  CommandText text() const override {
    return {"tokenize", "[TEXT]", "Prints the token ids of a text.",
            "The text is TEXT, or a file's with -f, or all of stdin, to its last byte. Any bytes are a text; they need "
            "not be UTF-8, but a file's byte order mark is passed over and UTF-16 refused. The ids stand on one line, "
            "separated by spaces.",
            "gpt2 tokenize \"Once upon a time\"\n"
            "gpt2 tokenize -m model.gpt2 < book.txt | wc -w\n"
            "gpt2 tokenize --json \"Hello\""};
  }

  std::vector<OptionGroup> options() override {
    return {{"Input",
             {{"-f,--file", "", "Read the text from FILE (-: stdin).", name_value("FILE", file_)},
              {"--special", "", "Read <|endoftext|> as the special token, not as text.", flag_value(special_)}}},
            {"Output", {{"--json", "", "Print an object: tokens (an array), count.", flag_value(json_)}}},
            {"Model", model_options(model_)}};
  }

  int run(const std::vector<std::string>& operands) override {
    TextSource source;
    source.file = file_;
    const std::optional<std::string> text = read_text("tokenize", operands, source);
    if (!text) fail_no_input(*this, "no input given");
    const Model model = load_model(model_);
    const std::vector<TokenId> ids = model.tokenizer().encode(*text, special_ ? Specials::parse : Specials::as_text);
    model.check_unchanged();
    if (json_) {
      write_output("{\"tokens\":[" + join_token_ids(ids, ",") + "],\"count\":" + std::to_string(ids.size()) + "}\n");
    } else {
      write_output(join_token_ids(ids, " ") + "\n");
    }
    return static_cast<int>(ExitCode::ok);
  }

 private:
  ModelChoice model_;
  std::optional<std::string> file_;
  bool special_ = false, json_ = false;
};

class Detokenize final : public Command {
 public:
  CommandText text() const override {
    return {"detokenize", "[ID]...", "Prints the bytes of token ids.",
            "The ids are the operands, or a file's with -f, or all of stdin, separated by spaces, newlines or commas, "
            "with or without brackets around them. Exactly their bytes are printed, nothing is added.",
            "gpt2 detokenize 2514 307 393 407 284 307\n"
            "gpt2 tokenize \"any text\" | gpt2 detokenize\n"
            "gpt2 generate --json \"Alice\" | jq .tokens | gpt2 detokenize"};
  }

  std::vector<OptionGroup> options() override {
    return {{"Input", {{"-f,--file", "", "Read the ids from FILE (-: stdin).", name_value("FILE", file_)}}},
            {"Model", model_options(model_)}};
  }

  int run(const std::vector<std::string>& operands) override {
    TextSource source;
    source.file = file_;
    std::vector<std::string> words;
    for (const std::string& operand : operands) {
      words.resize(1);
      words[0] += operand + (operand == "-" ? "" : " ");
    }
    const std::optional<std::string> text = read_text("detokenize", words, source);
    if (!text) fail_no_input(*this, "no input given");
    const Model model = load_model(model_);
    const std::string bytes = model.tokenizer().decode(parse_token_ids(*text, model.config().n_vocab, "detokenize"));
    model.check_unchanged();
    write_output(bytes);
    return static_cast<int>(ExitCode::ok);
  }

 private:
  ModelChoice model_;
  std::optional<std::string> file_;
};

}  // namespace

std::unique_ptr<Command> make_tokenize() { return std::make_unique<Tokenize>(); }
std::unique_ptr<Command> make_detokenize() { return std::make_unique<Detokenize>(); }

}  // namespace gpt2
