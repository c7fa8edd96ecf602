// SPDX-License-Identifier: Apache-2.0
// The whole program: what it can do beyond a device's is aggregators, privacy plans, demos and
// measurements.
#include "cli/commands.h"

#include "aggregator/settings.h"
#include "cli/engine_choice.h"
#include "cli/folder_kinds.h"
#include "client/settings.h"
#include "model/engine_module.h"
#include "model/native/native_engine.h"

namespace coppice {
namespace {

constexpr GroupRow kGroups[] = {
    {"aggregator", "Serve a fleet of devices"},
    {"aggregator keys", "The aggregator's own keys"},
    {"aggregator clients", "The fleet's devices"},
    {"aggregator round", "Rounds, past and present"},
    {"aggregator release", "Released adapters"},
    {"client", "Be a device of a fleet"},
    {"client adapter", "What this device serves with"},
    {"adapter", "Look at, convert, merge, compare and verify LoRA adapters"},
    {"model", "Look at base models, import them, and store them in other types"},
    {"privacy", "What differential privacy takes, and what a fleet has spent of it"},
    {"sim", "Simulate fleets of virtual clients"},
    {"config", "Settings: where each value comes from"},
    {"bench", "Measure this machine with coppice's own work"},
};

constexpr CommandRow kCommands[] = {
    {"", add_demo_command},
    {"", add_generate_command},
    {"", add_evaluate_command},
    {"", add_train_command},
    {"aggregator", add_aggregator_init_command},
    {"aggregator", add_aggregator_run_command},
    {"aggregator", add_aggregator_invite_command},
    {"aggregator", add_aggregator_status_command},
    {"aggregator", add_aggregator_pause_command},
    {"aggregator", add_aggregator_resume_command},
    {"aggregator keys", add_aggregator_keys_rotate_command},
    {"aggregator clients", add_aggregator_clients_list_command},
    {"aggregator clients", add_aggregator_clients_show_command},
    {"aggregator clients", add_aggregator_clients_revoke_command},
    {"aggregator round", add_aggregator_round_list_command},
    {"aggregator round", add_aggregator_round_show_command},
    {"aggregator round", add_aggregator_round_watch_command},
    {"aggregator round", add_aggregator_round_abort_command},
    {"aggregator release", add_aggregator_release_list_command},
    {"aggregator release", add_aggregator_release_show_command},
    {"aggregator release", add_aggregator_release_revert_command},
    {"client", add_client_init_command},
    {"client", add_client_enroll_command},
    {"client", add_client_run_command},
    {"client", add_client_status_command},
    {"client", add_client_pause_command},
    {"client", add_client_resume_command},
    {"client", add_client_leave_command},
    {"client", add_client_forget_command},
    {"client", add_client_ledger_command},
    {"client adapter", add_client_adapter_export_command},
    {"adapter", add_adapter_info_command},
    {"adapter", add_adapter_convert_command},
    {"adapter", add_adapter_merge_command},
    {"adapter", add_adapter_diff_command},
    {"adapter", add_adapter_verify_command},
    {"model", add_model_info_command},
    {"model", add_model_import_command},
    {"model", add_model_quantize_command},
    {"privacy", add_privacy_plan_command},
    {"privacy", add_privacy_spent_command},
    {"privacy", add_privacy_curve_command},
    {"bench", add_bench_train_step_command},
    {"bench", add_bench_generate_command},
    {"bench", add_bench_pack_command},
    {"bench", add_bench_prefill_command},
    {"bench", add_bench_open_command},
    {"bench", add_bench_kernels_command},
    {"bench", add_bench_table_command},
    {"bench", add_bench_round_command},
    {"bench", add_bench_dp_command},
    {"bench", add_bench_mask_command},
    {"bench", add_bench_secagg_command},
    {"bench", add_bench_sim_command},
    {"sim", add_sim_partition_command},
    {"sim", add_sim_import_command},
    {"config", add_config_show_command},
    {"config", add_config_markdown_command},
    {"sim", add_sim_init_command},
    {"sim", add_sim_run_command},
    {"sim", add_sim_resume_command},
    {"sim", add_sim_report_command},
    {"sim", add_sim_compare_command},
    {"sim", add_sim_sweep_command},
    {"sim", add_sim_trace_command},
    {"", add_strategies_command},
    {"", add_sim_protocol_command},
    {"", add_doctor_command},
};

constexpr EngineRow kEngines[] = {
    {kNativeEngine, "made for devices", open_native_engine},
    {"graph", "by LibTorch", open_graph_engine},
};

constexpr FolderKind kFolderKinds[] = {
    {.name = "aggregator",
     .owner = "an aggregator",
     .toml = "aggregator.toml",
     .keys = aggregator_keys,
     .check = check_aggregator,
     .check_releases = check_fleet_releases},
    {.name = "client",
     .owner = "a device",
     .toml = "client.toml",
     .keys = client_keys,
     .check = check_client,
     .check_releases = check_device_releases},
};

} // namespace

std::span<const GroupRow> command_groups() { return kGroups; }
std::span<const CommandRow> commands() { return kCommands; }
std::span<const EngineRow> engines() { return kEngines; }
std::span<const FolderKind> folder_kinds() { return kFolderKinds; }

} // namespace coppice
