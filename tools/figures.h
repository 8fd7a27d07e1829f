// Figures of one measurement, by name: a table for people, one line of CSV or one JSON object for machines.
#pragma once

#include <string>
#include <vector>

#include "src/io/json_object.h"

namespace gpt2 {

enum class BenchFormat { table, csv, json };

class Figures {
 public:
  // Adds a figure: a name for machines, a name for people, the value as JSON and as text.
  void add(std::string key, std::string name, std::string json, std::string text);
  void real(std::string key, std::string name, double value, int digits);
  void whole(std::string key, std::string name, uint64_t value);

  std::string as_table() const;
  std::string as_csv() const;
  JsonObject as_json() const;

 private:
  struct Figure {
    std::string key, name, json, text;
  };
  std::vector<Figure> all_;
};

}  // namespace gpt2
