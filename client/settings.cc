// SPDX-License-Identifier: Apache-2.0
#include "client/settings.h"

#include "base/text.h"

namespace coppice {
namespace {

using enum SettingType;
constexpr double kDayMs = 24.0 * 3600 * 1000;

constexpr KeySpec kKeys[] = {
    {"client", "model", kString, "", "The base model's GGUF file."},
    {"client", "data", kString, "", "Folder of your own .txt, .md and .jsonl files."},

    {"floors", "require_secure_aggregation", kBool, "true",
     "Decline plans without secure aggregation."},
    {"floors", "min_survivors", kInt, "3", "Decline sums over fewer devices than this.", 1, 1e5},
    {"floors", "corrupt_fraction", kFloat, "0.1",
     "Share of the other devices that may work with the aggregator: masks must hold against it.", 0,
     0.9},
    {"floors", "dropout_fraction", kFloat, "0.1",
     "Share of the other devices that may leave once masks are agreed on.", 0, 0.9},
    {"floors", "max_epsilon", kFloat, "10",
     "Decline rounds that spend more privacy in total, where privacy is promised.", 0, 1e6},
    {"floors", "min_noise_multiplier", kFloat, "0",
     "Decline rounds with less noise than this, where privacy is promised.", 0, 1e6},
    {"floors", "max_minutes", kInt, "0", "Decline rounds that may train longer; 0: no limit.", 0,
     1e5, "", "minutes"},
    {"floors", "max_bytes_per_day", kSize, "0", "Sent in a day, at most; 0: no limit."},
    {"floors", "min_between_rounds", kDuration, "0", "Rest between two rounds.", 0, 365 * kDayMs},

    {"eligibility", "min_battery_percent", kFloat, "40", "Battery charge needed to train.", 0, 100},
    {"eligibility", "require_charging", kBool, "false", "Train only while charging."},
    {"eligibility", "allow_metered", kBool, "false", "Train over a metered network too."},
    {"eligibility", "allow_unknown_network", kBool, "true",
     "Train where the network's kind is unknown."},
    {"eligibility", "max_load_per_core", kFloat, "8", "Other work, as load a core, at most.", 0,
     1e3},
    {"eligibility", "max_temperature", kFloat, "90", "Hottest sensor, at most.", 0, 150, "", "C"},
    {"eligibility", "allowed_from_hour", kInt, "0", "First hour of the day to train in.", 0, 24},
    {"eligibility", "allowed_to_hour", kInt, "0",
     "Hour to stop at; the same as the first: any time.", 0, 24},
    {"eligibility", "min_train_bytes", kSize, "2kB", "Own text needed to take part."},

    {"resources", "threads", kInt, "1", "Threads of training.", 1, 256},
    {"resources", "memory", kSize, "256MB",
     "Memory of a training step, beside the weights and the adapter."},
    {"resources", "engine", kChoice, "native",
     "What computes: native, made for devices, or graph, by LibTorch.", 0, 0, "native|graph"},
    {"resources", "precision", kChoice, "bfloat16",
     "What the native engine rounds the inputs of products to: bfloat16, on training's way back; "
     "quick: that, on the way there too; float32: nothing.",
     0, 0, kPrecisionNames},
    {"resources", "checkpoint_every", kDuration, "1m",
     "Training under way is written down this often, and when it pauses; 0: only then.", 0, kDayMs},
    {"resources", "max_rank", kInt, "0",
     "Ranks of the shared adapter that a round trains here, at most; 0: as many as its plan says.",
     0, 1024},
    {"resources", "nice", kInt, "10", "Priority given up while working, as of nice(1).", 0, 19},

    {"personal", "enabled", kBool, "true", "Train an adapter that never leaves this device."},
    {"personal", "method", kChoice, "dual",
     "dual: on top of the shared adapter; finetune: a copy of it, trained further; ditto: a copy "
     "that is pulled back to it.",
     -INFINITY, INFINITY, "dual|finetune|ditto"},
    {"personal", "ditto_lambda", kFloat, "0.1", "How strongly ditto pulls.", 1e-6, 1e3},
    {"personal", "r", kInt, "8", "Its rank, where it is dual.", 1, 512},
    {"personal", "lora_alpha", kFloat, "16", "Its scale, where it is dual: alpha / r.", 1e-3, 1e4},
    {"personal", "learning_rate", kFloat, "0.002", "AdamW's step size.", 1e-7, 1},
    {"personal", "max_steps", kInt, "60", "Optimizer steps at most.", 1, 1e6},
    {"personal", "max_seconds", kInt, "0", "Time at most; 0: no limit.", 0, 1e6, "", "seconds"},
    {"personal", "batch_tokens", kInt, "512", "Tokens of one optimizer step.", 8, 1 << 20, "",
     "tokens"},
    {"personal", "max_length", kInt, "128", "Longest sequence trained on.", 8, 1 << 20, "",
     "tokens"},
    {"personal", "eval_steps", kInt, "10", "Steps between looks at gate text.", 0, 1e6},
    {"personal", "early_stopping_patience", kInt, "2", "Looks without gain before stopping.", 0,
     1000},
    {"personal", "after_idle", kDuration, "10m",
     "Trained when no round came for this long after a release.", 0, 30 * kDayMs},
};

} // namespace

PersonalSettings personal_settings(const Settings& settings) {
  const auto count = [&](std::string_view name) {
    return static_cast<std::uint32_t>(settings.get_int(name));
  };
  PersonalSettings personal;
  personal.enabled = settings.get_bool("personal.enabled");
  const std::string& method = settings.get_string("personal.method");
  if (method == "finetune") personal.method = PersonalMethod::kFinetune;
  if (method == "ditto") {
    personal.method = PersonalMethod::kDitto;
    personal.recipe.proximal_mu = static_cast<float>(settings.get_float("personal.ditto_lambda"));
  }
  personal.rank = count("personal.r");
  personal.alpha = static_cast<float>(settings.get_float("personal.lora_alpha"));
  personal.recipe.learning_rate = static_cast<float>(settings.get_float("personal.learning_rate"));
  personal.recipe.warmup_steps = 2;
  personal.recipe.max_steps = count("personal.max_steps");
  personal.recipe.max_seconds = count("personal.max_seconds");
  personal.recipe.batch_tokens = count("personal.batch_tokens");
  personal.recipe.window = count("personal.max_length");
  personal.recipe.evaluate_every = count("personal.eval_steps");
  personal.recipe.early_stop_patience = count("personal.early_stopping_patience");
  personal.after_idle = settings.get_duration("personal.after_idle");
  return personal;
}

std::span<const KeySpec> client_keys() { return kKeys; }

Result<ClientSettings> client_settings(const Settings& settings) {
  ClientSettings made;
  made.model = settings.get_string("client.model");
  made.data = settings.get_string("client.data");
  made.floors.require_secure_aggregation = settings.get_bool("floors.require_secure_aggregation");
  made.floors.min_survivors = static_cast<std::uint32_t>(settings.get_int("floors.min_survivors"));
  made.floors.graph.corrupt = settings.get_float("floors.corrupt_fraction");
  made.floors.graph.dropout = settings.get_float("floors.dropout_fraction");
  made.floors.min_noise_multiplier = settings.get_float("floors.min_noise_multiplier");
  made.floors.max_epsilon = settings.get_float("floors.max_epsilon");
  made.floors.max_minutes = static_cast<std::uint32_t>(settings.get_int("floors.max_minutes"));
  made.eligibility = {
      .min_battery_percent = settings.get_float("eligibility.min_battery_percent"),
      .require_charging = settings.get_bool("eligibility.require_charging"),
      .allow_metered = settings.get_bool("eligibility.allow_metered"),
      .allow_unknown_network = settings.get_bool("eligibility.allow_unknown_network"),
      .max_load_per_core = settings.get_float("eligibility.max_load_per_core"),
      .max_temperature_c = settings.get_float("eligibility.max_temperature"),
      .allowed_from_hour = static_cast<int>(settings.get_int("eligibility.allowed_from_hour")),
      .allowed_to_hour = static_cast<int>(settings.get_int("eligibility.allowed_to_hour")),
      .min_train_bytes = settings.get_size("eligibility.min_train_bytes"),
      .min_between_rounds = settings.get_duration("floors.min_between_rounds"),
      .max_bytes_per_day = settings.get_size("floors.max_bytes_per_day"),
  };
  made.resources.threads = static_cast<unsigned>(settings.get_int("resources.threads"));
  made.resources.memory_bytes = settings.get_size("resources.memory");
  made.resources.engine = settings.get_string("resources.engine");
  made.resources.precision = precision_named(settings.get_string("resources.precision"));
  made.resources.nice = static_cast<int>(settings.get_int("resources.nice"));
  made.resources.max_rank = static_cast<std::uint32_t>(settings.get_int("resources.max_rank"));
  made.resources.checkpoint_every = settings.get_duration("resources.checkpoint_every");
  made.personal = personal_settings(settings);
  if (made.model.empty() || made.data.empty()) {
    return Error{ErrorCode::kInvalidArgument,
                 "client.model and client.data must be set; 'coppice client init' writes them"};
  }
  return made;
}

} // namespace coppice
