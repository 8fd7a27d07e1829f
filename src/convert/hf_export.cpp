#include "src/convert/hf_export.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "kernels/float_types.h"
#include "src/base/error.h"
#include "src/convert/config_writer.h"
#include "src/convert/foreign_tensors.h"
#include "src/convert/gpt2_source.h"
#include "src/convert/tokenizer_files.h"
#include "src/convert/tokenizer_writer.h"
#include "src/io/json_text.h"
#include "src/io/safetensors.h"
#include "src/text/tokenizer_builder.h"

namespace gpt2 {
namespace {

const Architecture& names_of(const Config& config) {
  static const Architecture gpt2 = {"gpt2", kGpt2Prefix, nullptr, gpt2_tensors(), {}};
  const Architecture* found = find_architecture(config.architecture);
  return found != nullptr ? *found : gpt2;
}

class Exporter {
 public:
  Exporter(const Model& model, OutputDirectory& directory, const Progress& progress)
      : model_(model), directory_(directory), progress_(progress),
        is_bf16_(model.weights().wte.dtype == DType::bf16),
        config_(foreign_config(model, is_bf16_ ? "bfloat16" : "float32")),
        tensors_(model.file(), names_of(model.config()), config_.biases, model.name()) {}

  void run() {
    directory_.write("config.json", json_text(config_.json) + "\n");
    for (const auto& [name, text] : tokenizer_files(model_)) directory_.write(name, text);
    check_tokenizer();
    write_tensors();
  }

 private:
  // Read again it is the model's, or a rule of it got lost.
  void check_tokenizer() const {
    const TokenizerData again = build_tokenizer(read_vocabulary(directory_.name_meanwhile()), model_.config().n_vocab);
    if (Tokenizer(again.tables(), model_.name()).hash() == model_.tokenizer().hash()) return;
    fail_model(model_.name(), "tokenizer", "one that tokenizer files can say", "another");
  }

  // Conv1D of GPT-2 has the inputs first.
  bool is_turned(const ForeignTensor& tensor) const {
    return tensor.is_block_matrix && model_.config().architecture == "gpt2";
  }

  bool is_bf16(const ForeignTensor& tensor) const {
    if (tensor.dtype() == DType::bf16) return true;
    if (!is_bf16_ || tensor.dtype() != DType::f32) return false;
    std::vector<float> row(tensor.cols());
    for (uint64_t i = 0; i < tensor.rows(); ++i) {
      tensor.read(i, row.data());
      const auto exact = [](float x) {
        return std::bit_cast<uint32_t>(bf16_to_float(float_to_bf16(x))) == std::bit_cast<uint32_t>(x);
      };
      if (!std::all_of(row.begin(), row.end(), exact)) return false;
    }
    return true;
  }

  void write_tensors() {
    std::vector<TensorInfo> infos;
    uint64_t end = 0;
    for (const ForeignTensor& tensor : tensors_.all()) {
      const bool half = is_bf16(tensor);
      const uint64_t bytes = tensor.rows() * tensor.cols() * (half ? sizeof(uint16_t) : sizeof(float));
      std::vector<uint64_t> shape = tensor.shape;
      if (is_turned(tensor)) std::swap(shape[0], shape[1]);
      infos.push_back({tensor.name, half ? "BF16" : "F32", std::move(shape), end, end + bytes});
      end += bytes;
    }
    const std::string header = safetensors_header({{"format", "pt"}}, infos, 8);
    const std::unique_ptr<OutputFile> file = directory_.file("model.safetensors");
    file->resize(header.size() + end);
    file->write(0, std::as_bytes(std::span(header)));
    for (size_t i = 0; i < infos.size(); ++i) {
      write_tensor(tensors_.all()[i], infos[i].dtype == "BF16", header.size() + infos[i].begin, *file);
      if (progress_) progress_(infos[i].end, end);
    }
    file->commit();
  }

  void write_tensor(const ForeignTensor& tensor, bool half, uint64_t at, ByteSink& sink) const {
    const uint64_t rows = tensor.rows(), cols = tensor.cols();
    const bool turned = is_turned(tensor);
    std::vector<float> values(turned ? rows * cols : cols), row(cols);
    for (uint64_t i = 0; i < rows; ++i) {
      tensor.read(i, row.data());
      if (!turned) {
        at += put(row, half, at, sink);
        continue;
      }
      for (uint64_t k = 0; k < cols; ++k) values[k * rows + i] = row[k];
    }
    if (turned) put(values, half, at, sink);
  }

  // Returns the bytes.
  static uint64_t put(const std::vector<float>& values, bool half, uint64_t at, ByteSink& sink) {
    if (!half) {
      sink.write(at, std::as_bytes(std::span(values)));
      return values.size() * sizeof(float);
    }
    std::vector<uint16_t> halves(values.size());
    std::transform(values.begin(), values.end(), halves.begin(), [](float x) { return float_to_bf16(x); });
    sink.write(at, std::as_bytes(std::span(halves)));
    return halves.size() * sizeof(uint16_t);
  }

  const Model& model_;
  OutputDirectory& directory_;
  const Progress& progress_;
  bool is_bf16_;  // so are the tensors that may be
  ForeignConfig config_;
  ForeignTensors tensors_;
};

}  // namespace

void write_hf(const Model& model, OutputDirectory& directory, const Progress& progress) {
  Exporter(model, directory, progress).run();
}

}  // namespace gpt2
