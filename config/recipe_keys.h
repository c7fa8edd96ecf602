// SPDX-License-Identifier: Apache-2.0
// The settings that say what an adapter is and how it is trained: [lora] and [training], the same
// in an aggregator.toml and on the command line of a program that has no aggregator.
#pragma once

#include <cmath>
#include <cstdint>

#include "config/settings.h"

namespace coppice {

inline constexpr KeySpec kRecipeKeys[] = {
    // [lora]: fixed by `aggregator init`; version 0 was made from them.
    {"lora", "r", SettingType::kInt, "8", "Rank of the adapter's factors.", 1, 512},
    {"lora", "lora_alpha", SettingType::kFloat, "16", "Scale of the adapter: alpha / r.", 1e-3,
     1e4},
    {"lora", "target_modules", SettingType::kStringList,
     "q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj",
     "Linear layers that get an adapter, by PEFT's names, or all-linear."},
    {"lora", "use_rslora", SettingType::kBool, "false",
     "Scale by alpha / sqrt(r) instead (rsLoRA)."},

    {"training", "optimizer", SettingType::kChoice, "adamw", "What devices train with.", -INFINITY,
     INFINITY, "adamw|sgd"},
    {"training", "momentum", SettingType::kFloat, "0", "Of SGD.", 0, 0.999999},
    {"training", "learning_rate", SettingType::kFloat, "0.002",
     "The optimizer's step size on devices.", 1e-7, 100.0},
    {"training", "lr_scheduler_type", SettingType::kChoice, "cosine",
     "How the step size goes over a round.", -INFINITY, INFINITY, "cosine|constant"},
    {"training", "warmup_steps", SettingType::kInt, "2", "Steps of linear warm-up.", 0, 1e6},
    {"training", "max_steps", SettingType::kInt, "16",
     "Optimizer steps a round; 0: by tokens or time.", 0, 1e6},
    {"training", "max_tokens", SettingType::kInt, "0", "Trained tokens a round; 0: no bound.", 0,
     1e12},
    {"training", "max_seconds", SettingType::kInt, "0", "Training time a round; 0: no bound.", 0,
     1e6, "", "seconds"},
    {"training", "batch_tokens", SettingType::kInt, "512", "Tokens of one optimizer step.", 8,
     1 << 20, "", "tokens"},
    {"training", "max_length", SettingType::kInt, "128", "Longest sequence trained on.", 8, 1 << 20,
     "", "tokens"},
    {"training", "weight_decay", SettingType::kFloat, "0", "Weight decay: AdamW's is decoupled.", 0,
     1},
    {"training", "max_grad_norm", SettingType::kFloat, "1",
     "L2 bound of a step's gradient; 0: none.", 0, 1e6},
    {"training", "proximal_mu", SettingType::kFloat, "0",
     "Pull towards the received adapter (FedProx); 0: off.", 0, 1e3},
    {"training", "early_stopping_patience", SettingType::kInt, "0",
     "Evaluations on gate text without gain before a device stops; 0: off.", 0, 1000},
    {"training", "eval_steps", SettingType::kInt, "0",
     "Steps between evaluations on gate text; 0: only at the end.", 0, 1e6},
    {"training", "seed", SettingType::kInt, "1", "Of batches and rounding, with round and device.",
     0, 9e15},
};

// Fills a protocol Recipe, which this folder may not name, from [training].
template <typename Recipe>
void read_recipe(const Settings& settings, Recipe& recipe) {
  const auto count = [&](std::string_view name) {
    return static_cast<std::uint32_t>(settings.get_int(name));
  };
  const auto number = [&](std::string_view name) {
    return static_cast<float>(settings.get_float(name));
  };
  recipe.learning_rate = number("training.learning_rate");
  recipe.warmup_steps = count("training.warmup_steps");
  recipe.max_steps = count("training.max_steps");
  recipe.max_tokens = static_cast<std::uint64_t>(settings.get_int("training.max_tokens"));
  recipe.max_seconds = count("training.max_seconds");
  recipe.batch_tokens = count("training.batch_tokens");
  recipe.window = count("training.max_length");
  recipe.weight_decay = number("training.weight_decay");
  recipe.max_gradient_norm = number("training.max_grad_norm");
  recipe.proximal_mu = number("training.proximal_mu");
  recipe.early_stop_patience = count("training.early_stopping_patience");
  recipe.evaluate_every = count("training.eval_steps");
  recipe.seed = static_cast<std::uint64_t>(settings.get_int("training.seed"));
  recipe.momentum = number("training.momentum");
  using Optimizer = decltype(recipe.optimizer);
  recipe.optimizer =
      settings.get_string("training.optimizer") == "sgd" ? Optimizer::kSgd : Optimizer::kAdamW;
  using Kind = decltype(recipe.schedule);
  recipe.schedule = settings.get_string("training.lr_scheduler_type") == "constant"
                        ? Kind::kConstant
                        : Kind::kCosine;
}

} // namespace coppice
