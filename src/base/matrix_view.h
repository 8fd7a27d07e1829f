// A non-owning row-major matrix with a row stride; the currency between model and engine.
#pragma once

#include <cstddef>
#include <span>

#include "src/base/error.h"

namespace gpt2 {

template <class T>
class MatrixView {
 public:
  MatrixView() = default;
  MatrixView(T* data, size_t rows, size_t cols, size_t stride)
      : data_(data), rows_(rows), cols_(cols), stride_(stride) {
    GPT2_CHECK(stride >= cols);
  }
  // Makes a view that reads of one that can write.
  operator MatrixView<const T>() const noexcept { return {data_, rows_, cols_, stride_}; }
  size_t rows() const noexcept { return rows_; }
  size_t cols() const noexcept { return cols_; }
  size_t stride() const noexcept { return stride_; }
  T* data() const noexcept { return data_; }
  std::span<T> row(size_t i) const {
    GPT2_CHECK(i < rows_);
    return {data_ + i * stride_, cols_};
  }

 private:
  T* data_ = nullptr;
  size_t rows_ = 0, cols_ = 0, stride_ = 0;
};

}  // namespace gpt2
