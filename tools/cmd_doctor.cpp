// gpt2 doctor: what the program found on this machine, what it chose, and why.
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>

#include "kernels/cpu.h"
#include "src/base/error.h"
#include "src/base/memory_limit.h"
#include "src/io/json_object.h"
#include "src/measure/probe.h"
#include "src/model/builtin.h"
#include "tools/commands.h"
#include "tools/engine_arguments.h"
#include "tools/format.h"
#include "tools/help.h"
#include "tools/load_model.h"
#include "tools/model_path.h"
#include "tools/streams.h"
#include "tools/terminal.h"
#include "tools/version.h"

namespace gpt2 {
namespace {

struct Finding {
  std::string name, value;
};

std::string first_line(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::string cpu_text() {
  char name[64];
  cpu_name(name);
  return name;
}

// "avx512 (chosen: best that runs here), avx2, scalar"
std::string tiers_text(const KernelTable& chosen) {
  TierInfo tiers[12];
  const size_t count = all_tiers(tiers);
  const char* forced = std::getenv("GPT2_ISA");
  std::string text;
  for (size_t i = 0; i < count; ++i) {
    text += (text.empty() ? "" : ", ") + std::string(tiers[i].name);
    if (std::string_view(tiers[i].name) == chosen.name) {
      text += forced != nullptr && *forced != '\0' ? " (chosen: GPT2_ISA)" : " (chosen: the best that runs here)";
    } else if (tiers[i].missing != nullptr) {
      text += " (not here: " + std::string(tiers[i].missing) + ")";
    }
  }
  return text;
}

std::string memory_text() {
  struct sysinfo info = {};
  sysinfo(&info);
  const double unit = info.mem_unit;
  return human_bytes(static_cast<double>(info.totalram) * unit) + ", free " +
         human_bytes(static_cast<double>(available_memory())) +
         ", pages of " + std::to_string(sysconf(_SC_PAGESIZE) / 1024) + " KiB";
}

std::string builtin_text() {
  const auto bytes = builtin_model();
  if (bytes.empty()) return "none";
  const Model model = Model::view(bytes, kBuiltinName);
  return std::string(kBuiltinName) + ", " + human_bytes(static_cast<double>(bytes.size())) + ", context " +
         std::to_string(model.config().n_ctx) + ", " + std::to_string(model.config().n_vocab) + " tokens";
}

std::string model_text() {
  const char* path = std::getenv("GPT2_MODEL");
  return path != nullptr && *path != '\0' ? "$GPT2_MODEL: " + printable(path, 400)
                                          : "the built-in one (GPT2_MODEL is not set)";
}

// One finding for each place where -m NAME looks, in its order.
void append_places(std::vector<Finding>& findings) {
  for (const ModelPlace& place : model_places()) {
    std::string names;
    for (const std::string& name : names_in(place)) names += (names.empty() ? "" : ", ") + printable(name);
    findings.push_back(
        {"models, " + place.origin, printable(place.folder, 400) + ": " + (names.empty() ? "none" : names)});
  }
}

class Doctor final : public Command {
 public:
  CommandText text() const override {
    return {"doctor", "", "Shows what the program found on this machine and chose.",
            "CPU, kernels and threads with the reasons for the choice, memory, the built-in model, the folders where "
            "-m NAME looks, and the machine's limits by short probes: read bandwidth (median of 3 passes over 512 MiB) "
            "and the multiply-add peaks of the chosen kernels.",
            "gpt2 doctor\n"
            "GPT2_ISA=avx2 gpt2 doctor\n"
            "gpt2 doctor --json"};
  }

  std::vector<OptionGroup> options() override {
    return {{"Options",
             {{"--no-probes", "", "Do not measure the machine's limits.", flag_value(no_probes_)},
              {"--json", "", "Print one JSON object.", flag_value(json_)},
              {"-t,--threads", "", "Threads of the probes.", whole_value(threads_, 1, ThreadTeam::kMaxThreads)}}}};
  }

  int run(const std::vector<std::string>& operands) override {
    if (!operands.empty())
      fail(ExitCode::usage, "doctor: expected options only, found \"" + printable(operands[0]) + "\"");
    const KernelTable& kernels = choose_kernels();
    const ThreadChoice choice = chosen_threads(threads_);
    ThreadTeam team(choice.threads);
    std::vector<Finding> findings = {
        {"version", std::string(version())},
        {"cpu", cpu_text()},
        {"kernels", tiers_text(kernels)},
        {"threads", threads_text(choice, team.size())},
        {"memory", memory_text()},
        {"huge pages", first_line("/sys/kernel/mm/transparent_hugepage/enabled")},
        {"built-in model", builtin_text()},
        {"model without -m", model_text()},
        {"busy", fixed(100 * busy_fraction(0.1), 0) + " % of the CPUs, by other processes"}};
    append_places(findings);
    if (!no_probes_) probe(kernels, team, findings);
    write_output(json_ ? as_json(findings) : as_text(findings));
    return static_cast<int>(ExitCode::ok);
  }

 private:
  static void probe(const KernelTable& kernels, ThreadTeam& team, std::vector<Finding>& findings) {
    MachineProbe probe(kernels, team);
    double read[3];
    for (double& value : read) value = probe.read_bandwidth();
    std::sort(std::begin(read), std::end(read));
    findings.push_back({"read bandwidth", fixed(read[1] / 1e9, 1) + " GB/s (" + fixed(read[0] / 1e9, 1) + ".." +
                                              fixed(read[2] / 1e9, 1) + ")"});
    findings.push_back({"f32 peak", fixed(probe.peak(DType::f32) / 1e9, 1) + " Gflop/s"});
    findings.push_back({"bf16 peak", fixed(probe.peak(DType::bf16) / 1e9, 1) + " Gflop/s"});
    findings.push_back({"int8 peak", fixed(probe.peak(DType::int8) / 1e9, 1) + " Gop/s"});
  }

  static std::string as_text(const std::vector<Finding>& findings) {
    size_t names = 0;
    for (const Finding& finding : findings) names = std::max(names, finding.name.size());
    std::string out;
    // A script reads a finding a line.
    if (!is_terminal(STDOUT_FILENO)) {
      for (const Finding& finding : findings)
        out += finding.name + std::string(names + 2 - finding.name.size(), ' ') + finding.value + "\n";
      return out;
    }
    for (const Finding& finding : findings) append_wrapped_row(out, finding.name, names + 2, finding.value);
    return out;
  }

  static std::string as_json(const std::vector<Finding>& findings) {
    JsonObject object;
    for (const Finding& finding : findings) object.string(finding.name, finding.value);
    return object.text() + "\n";
  }

  bool no_probes_ = false, json_ = false;
  std::optional<uint32_t> threads_;
};

}  // namespace

std::unique_ptr<Command> make_doctor() { return std::make_unique<Doctor>(); }

}  // namespace gpt2
