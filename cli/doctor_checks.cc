// SPDX-License-Identifier: Apache-2.0
#include "cli/doctor_checks.h"

#include <sys/resource.h>

#include <cstdlib>

#include "base/clock.h"
#include "base/text.h"
#include "cli/subprocess.h"
#include "crypto/hash.h"
#include "model/base_model.h"
#include "model/model_info.h"
#include "model/native/cpu_level.h"
#include "model/quantized_blocks.h"

namespace coppice {
namespace {

constexpr double kDiskFault = 50e6; // below, a release and a state file don't fit any more
constexpr double kDiskWarning = 500e6;
constexpr rlim_t kFewDescriptors = 256;
constexpr Millis kExpirySoon{7LL * 24 * 3600 * 1000};

Finding check_instructions() {
  const InstructionLevel level = best_instruction_level();
  if (level == InstructionLevel::kScalar) {
    return {"instruction set", Health::kWarning, "no vector instructions that coppice uses",
            "everything works, slowly: use a machine with AVX2 where speed matters"};
  }
  return {"instruction set", Health::kGood, std::string(instruction_level_name(level))};
}

// The native engine is part of the program; LibTorch's is a module that may be missing.
Finding check_engine() {
  const auto level = native::choose_cpu_level();
  if (!level) {
    return {"engine", Health::kFault, level.error().message, "unset COPPICE_ENGINE_CPU"};
  }
  const char* named = std::getenv("COPPICE_GRAPH_MODULE");
  const fs::path beside = this_program().parent_path() / "libcoppice_graph.so";
  std::error_code code;
  const bool graph = fs::exists(beside, code) || (named != nullptr && fs::exists(named, code));
  return {"engine", Health::kGood,
          cat("native, ", native::cpu_level_name(*level), graph ? "; graph" : "")};
}

Finding check_descriptors() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
    return {"descriptors", Health::kWarning, "the limit can't be read", "run 'ulimit -Hn'"};
  }
  const std::string reading = cat("at most ", limit.rlim_max, " open files");
  if (limit.rlim_max < kFewDescriptors) {
    return {"descriptors", Health::kFault, reading,
            "raise the hard limit: 'ulimit -n 4096', or LimitNOFILE= of its service"};
  }
  return {"descriptors", Health::kGood, reading};
}

} // namespace

const char* health_name(Health health) {
  switch (health) {
    case Health::kGood: return "ok";
    case Health::kWarning: return "warning";
    case Health::kFault: return "fault";
  }
  return "unknown";
}

std::vector<Finding> check_machine() {
  return {check_instructions(), check_engine(), check_descriptors()};
}

Finding check_disk(const fs::path& directory) {
  std::error_code code;
  const fs::space_info space = fs::space(directory, code);
  if (code) {
    return {"disk", Health::kFault, cat(directory.string(), ": ", code.message()),
            "make the folder, or name another"};
  }
  const auto free_bytes = static_cast<double>(space.available);
  const std::string reading = cat(human_bytes(free_bytes), " free in ",
                                  fs::absolute(directory, code).lexically_normal().string());
  if (free_bytes < kDiskFault) {
    return {"disk", Health::kFault, reading, "make room: rounds pause while the disk is full"};
  }
  if (free_bytes < kDiskWarning) {
    return {"disk", Health::kWarning, reading,
            "make room, or lower [retention] in aggregator.toml"};
  }
  return {"disk", Health::kGood, reading};
}

std::vector<Finding> check_model(const fs::path& model,
                                 const std::optional<std::string>& expected) {
  const auto base = BaseModel::open(model);
  if (!base) {
    return {{"base model", Health::kFault, base.error().message,
             "fetch the file again, or name the right one"}};
  }
  std::vector<Finding> findings{{"base model", Health::kGood,
                                 cat(model.string(), ": ", (*base)->config().architecture, ", ",
                                     quantization_summary((*base)->file()))}};
  const auto hash = sha256_file(model);
  if (!hash) {
    findings.push_back({"model hash", Health::kFault, hash.error().message, "check the disk"});
  } else if (expected && hash->hex() != *expected) {
    findings.push_back({"model hash", Health::kFault,
                        cat(hash->hex().substr(0, 16), "..., the fleet trains on ",
                            expected->substr(0, 16), "..."),
                        "copy the fleet's base model here again, and name it in client.toml"});
  } else {
    findings.push_back({"model hash", Health::kGood,
                        cat(hash->hex().substr(0, 16), "...", expected ? ", the fleet's" : "")});
  }
  return findings;
}

std::vector<Finding> check_key_permissions(const fs::path& keys) {
  std::vector<Finding> findings;
  std::error_code code;
  std::size_t files = 0;
  auto entries = fs::recursive_directory_iterator(keys, code);
  for (; !code && entries != fs::recursive_directory_iterator(); entries.increment(code)) {
    if (entries->path().extension() != ".key") continue;
    ++files;
    const fs::perms others =
        entries->status().permissions() & (fs::perms::group_all | fs::perms::others_all);
    if (others != fs::perms::none) {
      findings.push_back({"permissions", Health::kFault,
                          cat(entries->path().string(), " is open to others"),
                          cat("chmod 600 ", entries->path().string())});
    }
  }
  if (code) {
    findings.push_back({"permissions", Health::kFault, cat(keys.string(), ": ", code.message()),
                        "restore the folder from a backup, or make a new one"});
  } else if (findings.empty()) {
    findings.push_back({"permissions", Health::kGood, cat(files, " key files, the owner's alone")});
  }
  return findings;
}

void append(std::vector<Finding>& into, std::vector<Finding> more) {
  for (Finding& finding : more) into.push_back(std::move(finding));
}

Finding fault(std::string check, const Error& error, std::string mend) {
  return {std::move(check), Health::kFault, error.message, std::move(mend)};
}

Finding check_expiry(const KeySet& keys, const std::string& mend) {
  const std::string name = cat("set ", keys.number);
  if (keys.expires.count == 0) return {"keys", Health::kGood, cat(name, ", doesn't expire")};
  const Millis left = keys.expires - SystemClock().wall();
  if (left <= Millis{0}) return {"keys", Health::kFault, cat(name, " has expired"), mend};
  const std::string reading = cat(name, ", expires in ", left.count / 86'400'000, " days");
  if (left < kExpirySoon) return {"keys", Health::kWarning, reading, mend};
  return {"keys", Health::kGood, reading};
}

} // namespace coppice
