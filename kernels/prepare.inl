// One row of activations as the matrix products take it, operation for operation as scalar.cpp defines it.
namespace gpt2 {
namespace {

GPT2_INLINE V16 load_row_part(const float* x, size_t i, size_t n) {
  return i + 16 <= n ? load16(x + i) : load16_first(x + i, first_lanes(n > i ? n - i : 0));
}

// A group of kGroup inputs of which n exist: codes, scale, and the offset that undoes the weights' unsigned codes.
template <size_t kGroup, class Codes>
GPT2_INLINE void prepare_group(const float* x, size_t n, int32_t weight_offset, unsigned char* codes, float* scale,
                               int32_t* offset) {
  V16 values[kGroup / 16];
  V16 magnitudes = set16(0.0f);
#pragma GCC unroll 4
  for (size_t i = 0; i < kGroup / 16; ++i) {
    values[i] = load_row_part(x, 16 * i, n);
    magnitudes = larger_bits16(magnitudes, abs16(values[i]));
  }
  const float largest = largest_bits16(magnitudes);
  if (largest - largest != 0.0f) {  // infinite or NaN
    __builtin_memset(codes, 0, kGroup * Codes::kBytes);
    *scale = __builtin_nanf("");
    *offset = 0;
    return;
  }
  const float wanted = largest / 127.0f;
  *scale = wanted >= kSmallestRowScale ? wanted : 0.0f;
  const V16 inverse = set16(*scale > 0.0f ? 1.0f / *scale : 0.0f);
  const V16 magic = set16(kRoundMagic);
  V16 sum = set16(0.0f);  // of whole numbers: exact
#pragma GCC unroll 4
  for (size_t i = 0; i < kGroup / 16; ++i) {
    V16 code = sub16(add16(mul16(values[i], inverse), magic), magic);
    code = at_most16(set16(127.0f), at_least16(set16(-127.0f), code));
    Codes::store(codes + 16 * i * Codes::kBytes, code);
    sum = add16(sum, code);
  }
  *offset = -weight_offset * static_cast<int32_t>(sum_tree16(sum));
}

template <DType kType, class Codes>
GPT2_INLINE void prepare_groups(const float* x, size_t n_cols, unsigned char* row) {
  constexpr size_t kGroup = layout_of(kType).k_per_group;
  unsigned char* scales = row + row_scales_offset(kType, n_cols);
  unsigned char* offsets = row + row_offsets_offset(kType, n_cols);
  for (size_t g = 0; g < groups_of(kType, n_cols); ++g) {
    float scale;
    int32_t offset;
    prepare_group<kGroup, Codes>(x + g * kGroup, n_cols - g * kGroup, code_offset(kType),
                                 row + g * kGroup * Codes::kBytes, &scale, &offset);
    __builtin_memcpy(scales + g * sizeof scale, &scale, sizeof scale);
    __builtin_memcpy(offsets + g * sizeof offset, &offset, sizeof offset);
  }
}

void prepare_row(DType dtype, const float* x, size_t n_cols, unsigned char* row) noexcept {
  switch (dtype) {
    case DType::f32: __builtin_memcpy(row, x, n_cols * sizeof(float)); break;
    case DType::bf16: prepare_bf16(x, n_cols, row); break;
    case DType::int8: prepare_groups<DType::int8, Int8Dot::Codes>(x, n_cols, row); break;
    case DType::int8g32: prepare_groups<DType::int8g32, Int8Dot::Codes>(x, n_cols, row); break;
    case DType::int4: prepare_groups<DType::int4, Int4Dot::Codes>(x, n_cols, row); break;
  }
}

}  // namespace
}  // namespace gpt2
