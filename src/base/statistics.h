// Middle and tail of a set of measurements.
#pragma once

#include <vector>

namespace gpt2 {

// The mean of the two in the middle where their number is even; 0 of nothing.
double median(std::vector<double> values);
// The q-quantile by nearest rank; 0 of nothing.
double quantile(std::vector<double> values, double q);

}  // namespace gpt2
