// Middle and tail of a set of measurements.
#pragma once

#include <vector>

namespace gpt2 {

// Returns the value in the middle, or the mean of the two in the middle where their number is even; 0 if there are
// none.
double median(std::vector<double> values);
// Returns the q-quantile by nearest rank; 0 if there are no values.
double quantile(std::vector<double> values, double q);

}  // namespace gpt2
