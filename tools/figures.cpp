#include "tools/figures.h"

#include "src/io/json.h"
#include "tools/format.h"

namespace gpt2 {

void Figures::add(std::string key, std::string name, std::string json, std::string text) {
  all_.push_back({std::move(key), std::move(name), std::move(json), std::move(text)});
}

void Figures::real(std::string key, std::string name, double value, int digits) {
  add(std::move(key), std::move(name), json_number(value), fixed(value, digits));
}

void Figures::whole(std::string key, std::string name, uint64_t value) {
  add(std::move(key), std::move(name), std::to_string(value), std::to_string(value));
}

std::string Figures::as_table() const {
  Table table({Table::Align::left, Table::Align::left});
  for (const Figure& figure : all_) table.row({figure.name, figure.text});
  return table.text();
}

std::string Figures::as_csv() const {
  std::string head, line;
  for (const Figure& figure : all_) {
    const bool list = figure.json.starts_with('[');
    head += (head.empty() ? "" : ",") + figure.key;
    line += (line.empty() ? "" : ",") + (list ? "\"" + figure.json + "\"" : figure.json);
  }
  return head + "\n" + line + "\n";
}

JsonObject Figures::as_json() const {
  JsonObject object;
  for (const Figure& figure : all_) object.raw(figure.key, figure.json);
  return object;
}

}  // namespace gpt2
