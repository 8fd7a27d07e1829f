#include "tools/score_record.h"

namespace gpt2 {
namespace {

RecordFault wrong(const Json::Member& member, std::string_view expected) {
  return {ExitCode::input,
          quoted_text(member.first) + ": expected " + std::string(expected) + ", found " + member.second.describe(),
          member.offset};
}

// The member that has a value; nullptr if there is none.
const Json::Member* find_member(const Json& json, std::string_view key) {
  for (const Json::Member& member : json.object) {
    if (member.first == key && is_present(&member.second)) return &member;
  }
  return nullptr;
}

const Json::Member* find_string(const Json& json, std::string_view key) {
  const Json::Member* const member = find_member(json, key);
  if (member != nullptr && member->second.kind != Json::Kind::string) throw wrong(*member, "a string");
  return member;
}

}  // namespace

ScoreParser::ScoreParser(const Model& model, Bos bos, Specials specials) : model_(model), specials_(specials) {
  const int32_t token = model.config().bos_token_id;
  if (bos == Bos::yes && token < 0) fail(ExitCode::input, "score: --bos: the model has no beginning-of-text token");
  if (bos == Bos::no) return;
  start_ = model.tokenizer().rules().before_text;
  if (start_.empty() && token >= 0) start_.push_back(token);
}

ScoreRecord ScoreParser::failed(RecordPlace place, const std::string& message) {
  ScoreRecord record;
  record.index = place.index;
  record.id = record.name = std::to_string(place.index);
  record.failure = {ExitCode::input, message};
  return record;
}

ScoreRecord ScoreParser::document(std::string_view text, std::string_view name, uint64_t index) const {
  ScoreRecord record;
  record.index = index;
  record.id = json_quote(name);
  record.name = name;
  begin(record, nullptr);
  set_text(text, record);
  return record;
}

ScoreRecord ScoreParser::parse(std::string_view line, RecordFormat format, std::string_view source,
                               RecordPlace place) const {
  ScoreRecord record;
  record.index = place.index;
  record.id = record.name = std::to_string(place.index);
  try {
    if (format == RecordFormat::jsonl) {
      read_object(line, record);
    } else {
      if (format == RecordFormat::lines && line.ends_with('\r')) line.remove_suffix(1);
      begin(record, nullptr);
      set_text(line, record);
    }
  } catch (const RecordFault& fault) {
    record.failure = {fault.code, place_text(source, format, place, fault.offset) + fault.message};
  } catch (const Error& error) {
    record.failure = {ExitCode::input, place_text(source, format, place, 0) + error.what()};
  }
  return record;
}

void ScoreParser::read_object(std::string_view line, ScoreRecord& record) const {
  const Json json = record_object(line);
  if (const Json::Member* const id = find_member(json, "id")) {
    const std::string own = id_text(id->second);
    if (own.empty()) throw wrong(*id, "a string or a whole number");
    record.id = own;
    record.name = id->second.kind == Json::Kind::string ? id->second.string : own;
  }
  const Json::Member *const text = find_string(json, "text"), *const prefix = find_string(json, "prefix"),
                     *const tokens = find_member(json, "tokens");
  if ((text == nullptr) == (tokens == nullptr)) {
    throw RecordFault{ExitCode::input,
                      std::string("expected a \"text\" or \"tokens\", found ") + (text != nullptr ? "both" : "none"),
                      record_begin(line)};
  }
  if (tokens != nullptr && tokens->second.kind != Json::Kind::array) throw wrong(*tokens, "an array of token ids");
  begin(record, prefix != nullptr ? &prefix->second.string : nullptr);
  if (text != nullptr) return set_text(text->second.string, record);
  const std::vector<int32_t> ids = token_array(*tokens, model_.config().n_vocab);
  // They may bring the beginning with them.
  if (record.n_before == 1 && !record.has_prefix && !ids.empty() && ids[0] == record.tokens[0]) record.tokens.clear();
  record.tokens.insert(record.tokens.end(), ids.begin(), ids.end());
}

// Writes what stands before the text.
void ScoreParser::begin(ScoreRecord& record, const std::string* prefix) const {
  record.tokens = start_;
  if (prefix != nullptr && !prefix->empty()) {
    const std::vector<int32_t> ids = model_.tokenizer().encode(*prefix, specials_);
    const size_t n_start = model_.tokenizer().rules().before_text.size();
    record.tokens.insert(record.tokens.end(), ids.begin() + static_cast<std::ptrdiff_t>(n_start), ids.end());
    record.has_prefix = true;
  }
  record.n_before = record.tokens.size();
}

void ScoreParser::set_text(std::string_view text, ScoreRecord& record) const {
  if (record.has_prefix) return model_.tokenizer().encode_behind(text, specials_, record.tokens);
  const std::vector<int32_t> ids = model_.tokenizer().encode(text, specials_);
  const size_t n_start = model_.tokenizer().rules().before_text.size();
  record.tokens.insert(record.tokens.end(), ids.begin() + static_cast<std::ptrdiff_t>(n_start), ids.end());
}

}  // namespace gpt2
