// What the kinds of `gpt2 eval` with files of their own work on.
#pragma once

#include <string>

#include "src/engine/engine.h"
#include "tools/load_model.h"

namespace gpt2 {

struct EvalSetting {
  const Model& model;
  const ModelChoice& choice;  // that the model is
  std::string dtype;          // as it is shown
  EngineOptions engine;
  bool json = false, force = false;
};

}  // namespace gpt2
