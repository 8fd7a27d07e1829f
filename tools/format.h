// Numbers for people, and aligned tables.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace gpt2 {

std::string fixed(double value, int digits);            // "12.34"
double rounded(double value);                           // to thousandths: enough for a time
std::string significant(double value, int digits = 5);  // "-0.0031415", "nan"
std::string human_bytes(double bytes);                  // "1.23 GB", powers of 1000
std::string human_count(double count);                  // "124.4 M"
std::string human_time(double seconds);                 // "0.4 s", "2 min 10 s"

// Columns as wide as their widest cell, two spaces apart.
class Table {
 public:
  enum class Align { left, right };
  explicit Table(std::vector<Align> columns) : columns_(std::move(columns)) {}
  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  std::string text() const;

 private:
  std::vector<Align> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace gpt2
