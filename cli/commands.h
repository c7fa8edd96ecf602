// SPDX-License-Identifier: Apache-2.0
// Every command, in the order of `coppice --help`. A command is a row here and a file of its own.
#pragma once

#include <span>

#include "cli/command.h"

namespace coppice {

AddCommand add_demo_command;
AddCommand add_aggregator_init_command;
AddCommand add_aggregator_run_command;
AddCommand add_aggregator_invite_command;
AddCommand add_aggregator_status_command;
AddCommand add_aggregator_pause_command;
AddCommand add_aggregator_resume_command;
AddCommand add_aggregator_keys_rotate_command;
AddCommand add_aggregator_clients_list_command;
AddCommand add_aggregator_clients_show_command;
AddCommand add_aggregator_clients_revoke_command;
AddCommand add_aggregator_round_list_command;
AddCommand add_aggregator_round_show_command;
AddCommand add_aggregator_round_watch_command;
AddCommand add_aggregator_round_abort_command;
AddCommand add_aggregator_release_list_command;
AddCommand add_aggregator_release_show_command;
AddCommand add_aggregator_release_revert_command;
AddCommand add_client_init_command;
AddCommand add_client_enroll_command;
AddCommand add_client_run_command;
AddCommand add_client_status_command;
AddCommand add_client_pause_command;
AddCommand add_client_resume_command;
AddCommand add_client_leave_command;
AddCommand add_client_forget_command;
AddCommand add_client_ledger_command;
AddCommand add_client_adapter_export_command;
AddCommand add_generate_command;
AddCommand add_evaluate_command;
AddCommand add_train_command;
AddCommand add_adapter_info_command;
AddCommand add_adapter_convert_command;
AddCommand add_adapter_merge_command;
AddCommand add_adapter_diff_command;
AddCommand add_adapter_verify_command;
AddCommand add_model_info_command;
AddCommand add_model_import_command;
AddCommand add_model_quantize_command;
AddCommand add_privacy_plan_command;
AddCommand add_privacy_spent_command;
AddCommand add_privacy_curve_command;
AddCommand add_bench_train_step_command;
AddCommand add_bench_generate_command;
AddCommand add_bench_pack_command;
AddCommand add_bench_prefill_command;
AddCommand add_bench_open_command;
AddCommand add_bench_kernels_command;
AddCommand add_bench_table_command;
AddCommand add_bench_round_command;
AddCommand add_bench_dp_command;
AddCommand add_bench_mask_command;
AddCommand add_bench_secagg_command;
AddCommand add_bench_sim_command;
AddCommand add_config_show_command;
AddCommand add_config_markdown_command;
AddCommand add_sim_init_command;
AddCommand add_sim_run_command;
AddCommand add_sim_resume_command;
AddCommand add_sim_trace_command;
AddCommand add_sim_partition_command;
AddCommand add_sim_import_command;
AddCommand add_sim_protocol_command;
AddCommand add_sim_report_command;
AddCommand add_strategies_command;
AddCommand add_sim_compare_command;
AddCommand add_sim_sweep_command;
AddCommand add_doctor_command;

struct GroupRow {
  std::string_view path; // "adapter", "client adapter": outer groups stand before inner ones
  std::string_view summary;
};
struct CommandRow {
  std::string_view group; // a GroupRow's path; empty for `coppice NAME`
  AddCommand* add;
};
std::span<const GroupRow> command_groups();
std::span<const CommandRow> commands();

} // namespace coppice
