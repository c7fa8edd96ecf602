// SPDX-License-Identifier: Apache-2.0
#include "sim/rendezvous.h"

#include <charconv>
#include <limits>
#include <optional>

#include "base/text.h"

namespace coppice {
namespace {

constexpr char kLoopback[] = "127.0.0.1";
constexpr std::uint32_t kFirstJobPort = 20000; // Slurm's jobs take ports from here on, by their id
constexpr std::uint32_t kJobPorts = 20000;

class Variables {
 public:
  explicit Variables(const Lookup& lookup) : lookup_(lookup) {}

  // Empty values count as unset.
  std::optional<std::string> text(const char* name) const {
    const char* const value = lookup_(name);
    if (value == nullptr || *value == '\0') return std::nullopt;
    return value;
  }
  bool has(const char* name) const { return text(name).has_value(); }

  Result<std::uint32_t> number(const char* name, std::uint32_t limit) const {
    const auto value = text(name);
    if (!value) {
      return invalid_argument(
          cat(name,
              " is not set, though the launcher's other variables are; start all "
              "ranks with one launcher"));
    }
    std::uint32_t parsed = 0;
    const char* const end = value->data() + value->size();
    const auto [stop, code] = std::from_chars(value->data(), end, parsed);
    if (code != std::errc() || stop != end || parsed > limit) {
      return invalid_argument(
          cat(name, "=", value->substr(0, 40), " is no number from 0 to ", limit));
    }
    return parsed;
  }
  Result<std::uint32_t> number_or(const char* name, std::uint32_t limit,
                                  std::uint32_t fallback) const {
    if (!has(name)) return fallback;
    return number(name, limit);
  }

 private:
  const Lookup& lookup_;
};

struct Launcher {
  const char* name;
  const char* rank;
  const char* size;
  const char* local_rank;
};

// Fills place, with what `launcher` says.
Result<Rendezvous> read_place(const Variables& variables, const Launcher& launcher) {
  Rendezvous to;
  to.launcher = launcher.name;
  to.place.rank = COPPICE_TRY(variables.number(launcher.rank, kMaxRanks - 1));
  to.place.size = COPPICE_TRY(variables.number(launcher.size, kMaxRanks));
  to.place.local_rank = COPPICE_TRY(variables.number_or(launcher.local_rank, kMaxRanks - 1, 0));
  if (to.place.rank >= to.place.size) {
    return invalid_argument(cat(launcher.rank, "=", to.place.rank, " must be below ", launcher.size,
                                "=", to.place.size));
  }
  return to;
}

Result<std::uint16_t> read_port(const Variables& variables, std::uint32_t fallback) {
  const std::uint32_t port = COPPICE_TRY(
      variables.number_or("MASTER_PORT", std::numeric_limits<std::uint16_t>::max(), fallback));
  if (port == 0) return invalid_argument("MASTER_PORT=0 is no port; take one from 1 to 65535");
  return static_cast<std::uint16_t>(port);
}

Result<Rendezvous> read_torchrun(const Variables& variables) {
  Rendezvous to =
      COPPICE_TRY(read_place(variables, {"torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK"}));
  to.agent_store = variables.text("TORCHELASTIC_USE_AGENT_STORE") == "True";
  to.attempt = variables.text("TORCHELASTIC_RESTART_COUNT").value_or("0");
  if (to.place.size == 1) return to;
  const auto address = variables.text("MASTER_ADDR");
  if (!address) return invalid_argument("MASTER_ADDR is not set: name the host of rank 0");
  to.address = *address;
  to.port = COPPICE_TRY(read_port(variables, kRendezvousPort));
  return to;
}

Result<Rendezvous> read_slurm(const Variables& variables) {
  const char* const size =
      variables.has("SLURM_STEP_NUM_TASKS") ? "SLURM_STEP_NUM_TASKS" : "SLURM_NTASKS";
  Rendezvous to =
      COPPICE_TRY(read_place(variables, {"slurm", "SLURM_PROCID", size, "SLURM_LOCALID"}));
  to.attempt = variables.text("SLURM_STEP_ID").value_or("0");
  if (to.place.size == 1) return to;
  if (const auto named = variables.text("MASTER_ADDR")) {
    to.address = *named;
  } else {
    const char* const list =
        variables.has("SLURM_STEP_NODELIST") ? "SLURM_STEP_NODELIST" : "SLURM_JOB_NODELIST";
    to.address = first_host(variables.text(list).value_or(""));
    if (to.address.empty()) {
      return invalid_argument(cat(list, " names no host; set MASTER_ADDR to the host of rank 0"));
    }
  }
  const std::uint32_t job = COPPICE_TRY(
      variables.number_or("SLURM_JOB_ID", std::numeric_limits<std::uint32_t>::max(), 0));
  to.port = COPPICE_TRY(read_port(variables, kFirstJobPort + job % kJobPorts));
  return to;
}

Result<Rendezvous> read_mpi(const Variables& variables, const Launcher& launcher,
                            const char* local_size) {
  Rendezvous to = COPPICE_TRY(read_place(variables, launcher));
  if (to.place.size == 1) return to;
  to.port = COPPICE_TRY(read_port(variables, kRendezvousPort));
  if (const auto named = variables.text("MASTER_ADDR")) {
    to.address = *named;
    return to;
  }
  const std::uint32_t here = COPPICE_TRY(variables.number_or(local_size, kMaxRanks, 0));
  if (here != to.place.size) {
    return invalid_argument(cat("the ranks may be on several hosts (", local_size, " is not ",
                                launcher.size,
                                "); set MASTER_ADDR to the host of rank 0, on all ranks"));
  }
  to.address = kLoopback;
  return to;
}

} // namespace

std::string first_host(std::string_view node_list) {
  const std::size_t end = node_list.find_first_of(",[");
  std::string host(node_list.substr(0, end));
  if (end == std::string_view::npos || node_list[end] == ',') return host;
  const std::string_view numbers = node_list.substr(end + 1);
  const std::size_t stop = numbers.find_first_of(",-]");
  if (stop == std::string_view::npos) return ""; // no closing bracket
  host += numbers.substr(0, stop);
  const std::size_t close = numbers.find(']');
  if (close == std::string_view::npos) return "";
  const std::string_view rest = numbers.substr(close + 1);
  return host.append(rest.substr(0, rest.find(',')));
}

Result<Rendezvous> read_rendezvous(const Lookup& lookup) {
  const Variables variables(lookup);
  if (variables.has("RANK") || variables.has("WORLD_SIZE")) return read_torchrun(variables);
  if (variables.has("SLURM_PROCID")) return read_slurm(variables);
  if (variables.has("OMPI_COMM_WORLD_RANK")) {
    return read_mpi(
        variables,
        {"mpi", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"},
        "OMPI_COMM_WORLD_LOCAL_SIZE");
  }
  if (variables.has("PMI_RANK")) {
    return read_mpi(variables, {"pmi", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID"},
                    "MPI_LOCALNRANKS");
  }
  Rendezvous alone;
  alone.launcher = "none";
  return alone;
}

} // namespace coppice
