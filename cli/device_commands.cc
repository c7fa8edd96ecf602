// SPDX-License-Identifier: Apache-2.0
// A device's program: be a device of a fleet, and work with models and adapters. It has no
// aggregator.
#include "cli/commands.h"

#include "cli/engine_choice.h"
#include "cli/folder_kinds.h"
#include "client/settings.h"
#include "model/native/native_engine.h"

namespace coppice {
namespace {

constexpr GroupRow kGroups[] = {
    {"client", "Be a device of a fleet"},
    {"client adapter", "What this device serves with"},
    {"adapter", "Look at, convert, merge, compare and verify LoRA adapters"},
    {"model", "Look at base models, import them, and store them in other types"},
    {"config", "Settings: where each value comes from"},
};

constexpr CommandRow kCommands[] = {
    {"", add_generate_command},
    {"", add_evaluate_command},
    {"", add_train_command},
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
    {"config", add_config_show_command},
    {"config", add_config_markdown_command},
    {"", add_doctor_command},
};

constexpr EngineRow kEngines[] = {
    {kNativeEngine, "made for devices", open_native_engine},
};

constexpr FolderKind kFolderKinds[] = {
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
