// Conversion that keeps the types of a quantised source where ours can hold their values.
#pragma once

#include <string>

#include "src/convert/convert.h"

namespace gpt2 {

struct KeptReport {
  ConvertReport report;
  std::string types;  // "84 Q4_0 as int4, 1 Q6_K as int8 from decoded values"; empty where nothing was to be kept
};

// As convert_checkpoint, but a matrix gets the type that keeps its values: Q4_0 becomes int4 with the same codes and
// scales, Q8_0 whose pairs of blocks share their scale int8 likewise, other Q8_0, Q5_0 and IQ4_NL int8g32, BF16 bf16,
// F32 and F16 f32; what has no equal becomes int8 from its decoded values. `options` has no type, and its rules count
// before these. A source that is not quantised is converted as by convert_checkpoint.
KeptReport convert_keeping_types(const std::string& path, const ConvertOptions& options, ByteSink& sink,
                                 const Progress& progress);

}  // namespace gpt2
