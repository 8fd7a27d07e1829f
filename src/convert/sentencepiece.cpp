#include "src/convert/sentencepiece.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "src/base/error.h"
#include "src/io/protobuf.h"

namespace gpt2 {
namespace {

// Of sentencepiece_model.proto. What is not here changes nothing about how a text becomes ids.
enum ModelFieldNumber : uint32_t { kPieces = 1, kTrainer = 2, kNormalizer = 3, kDenormalizer = 5 };
enum PieceFieldNumber : uint32_t { kText = 1, kScore = 2, kType = 3 };
enum TrainerFieldNumber : uint32_t { kModelType = 3, kSpaceAsSuffix = 24, kBosPiece = 46 };
enum NormalizerFieldNumber : uint32_t {
  kCharsMap = 2,
  kDummyPrefix = 3,
  kRemoveSpaces = 4,
  kEscapeSpaces = 5,
  kRules = 6
};

class ModelReader {
 public:
  explicit ModelReader(std::string_view file) : file_(file) {}

  SentencePieceModel read(std::string_view bytes) {
    bool removes_spaces = true;  // where the field is absent
    ProtoReader fields(bytes, file_);
    for (ProtoField field; fields.next(field);) {
      if (field.number > kDenormalizer) continue;
      if (field.kind != ProtoField::Kind::bytes) {
        refuse("field " + std::to_string(field.number), "a message", "a number");
      }
      switch (field.number) {
        case kPieces: model_.pieces.push_back(read_piece(field)); break;
        case kTrainer: read_trainer(field); break;
        case kNormalizer: read_normalizer(field, removes_spaces); break;
        case kDenormalizer: read_denormalizer(field); break;
        default: break;
      }
    }
    if (model_.pieces.empty()) refuse("pieces", "at least one", "none");
    const auto unknown = std::count_if(model_.pieces.begin(), model_.pieces.end(),
                                       [](const Piece& piece) { return piece.type == PieceType::unknown; });
    if (unknown != 1) refuse("pieces of type 2 (unknown)", "one", unknown == 0 ? "none" : std::to_string(unknown));
    if (model_type_ != 2) {
      const char* names[] = {"UNIGRAM", "BPE", "WORD", "CHAR"};
      refuse("trainer_spec.model_type", "BPE (2)",
             model_type_ >= 1 && model_type_ <= 4 ? names[model_type_ - 1] : std::to_string(model_type_));
    }
    if (removes_spaces) refuse("normalizer_spec.remove_extra_whitespaces", "false", "true");
    return std::move(model_);
  }

 private:
  [[noreturn]] void refuse(const std::string& item, std::string_view expected, std::string_view found) const {
    fail_model(file_, item, expected, found);
  }

  static bool is(const ProtoField& field, uint32_t number, ProtoField::Kind kind) {
    return field.number == number && field.kind == kind;
  }

  Piece read_piece(const ProtoField& message) const {
    Piece piece;
    ProtoReader fields(message.bytes, file_, message.offset);
    for (ProtoField field; fields.next(field);) {
      if (is(field, kText, ProtoField::Kind::bytes)) piece.text = field.bytes;
      if (is(field, kScore, ProtoField::Kind::fixed32)) {
        piece.score = std::bit_cast<float>(static_cast<uint32_t>(field.value));
      }
      if (!is(field, kType, ProtoField::Kind::varint)) continue;
      if (field.value < 1 || field.value > 6) {
        refuse("piece " + std::to_string(model_.pieces.size()) + ".type", "1 to 6", std::to_string(field.value));
      }
      piece.type = static_cast<PieceType>(field.value);
    }
    return piece;
  }

  void read_trainer(const ProtoField& message) {
    ProtoReader fields(message.bytes, file_, message.offset);
    for (ProtoField field; fields.next(field);) {
      if (is(field, kModelType, ProtoField::Kind::varint)) model_type_ = field.value;
      if (is(field, kBosPiece, ProtoField::Kind::bytes)) model_.bos_piece = field.bytes;
      if (is(field, kSpaceAsSuffix, ProtoField::Kind::varint) && field.value != 0)
        refuse("trainer_spec.treat_whitespace_as_suffix", "false", "true");
    }
  }

  void read_normalizer(const ProtoField& message, bool& removes_spaces) {
    ProtoReader fields(message.bytes, file_, message.offset);
    for (ProtoField field; fields.next(field);) {
      if ((field.number == kCharsMap || field.number == kRules) && !field.bytes.empty()) {
        refuse("normalizer_spec", "the identity (a model that was trained with normalization_rule_name=identity)",
               "rules that change characters");
      }
      if (field.kind != ProtoField::Kind::varint) continue;
      if (field.number == kDummyPrefix) model_.add_dummy_prefix = field.value != 0;
      if (field.number == kRemoveSpaces) removes_spaces = field.value != 0;
      if (field.number == kEscapeSpaces && field.value == 0) {
        refuse("normalizer_spec.escape_whitespaces", "true", "false");
      }
    }
  }

  void read_denormalizer(const ProtoField& message) const {
    ProtoReader fields(message.bytes, file_, message.offset);
    for (ProtoField field; fields.next(field);) {
      if (field.number == kCharsMap && !field.bytes.empty())
        refuse("denormalizer_spec", "none", "rules that change characters");
    }
  }

  std::string_view file_;
  SentencePieceModel model_;
  uint64_t model_type_ = 1;  // where the field is absent
};

}  // namespace

bool looks_like_sentencepiece(std::string_view bytes) { return bytes.size() > 2 && bytes[0] == '\x0A'; }

SentencePieceModel parse_sentencepiece(std::string_view bytes, std::string_view file) {
  return ModelReader(file).read(bytes);
}

}  // namespace gpt2
