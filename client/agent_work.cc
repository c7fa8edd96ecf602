// SPDX-License-Identifier: Apache-2.0
// The round's actions carried out, and the worker's jobs: training, the gate, the personal adapter.
#include <algorithm>
#include <deque>

#include "base/log.h"
#include "client/agent.h"
#include "client/kept_rules.h"
#include "client/train_checkpoint.h"
#include "crypto/hash.h"
#include "protocol/secagg_masking.h"
#include "protocol/slot_noise.h"

namespace coppice {

Result<void> Agent::feed(DeviceEvent event) {
  for (const DeviceAction& action : round_->handle(std::move(event), now())) {
    COPPICE_TRY(carry_out(action));
  }
  return {};
}

Result<void> Agent::carry_out(const DeviceAction& action) {
  if (const auto* persist = std::get_if<PersistMarks>(&action)) {
    if (persist->marks.highest_round != marks_.round.highest_round) {
      marks_.last_round_wall = clock_.wall();
    }
    marks_.round = persist->marks;
    marks_.cumulative_epsilon = std::max(marks_.cumulative_epsilon, offered_epsilon_);
    return folder_.store_marks(marks_);
  }
  if (const auto* answer = std::get_if<SendAnswer>(&action)) {
    return send(Channel::kControl, answer->answer, answer->answer.plan_hash);
  }
  if (const auto* order = std::get_if<StartTraining>(&action)) {
    return start_training(*order);
  }
  if (std::holds_alternative<StopTraining>(action)) {
    if (training_) training_->store(true);
  } else if (std::holds_alternative<ForgetTraining>(action)) {
    start_.reset();
    // After a training that was just stopped has written what it had.
    worker_->add([path = folder_.training_path()](const std::atomic<bool>&) -> Worker::Outcome {
      forget_checkpoint(path);
      return {};
    });
  } else if (const auto* sealing = std::get_if<SealAndStore>(&action)) {
    return seal_and_store(*sealing);
  } else if (const auto* offer = std::get_if<SendOffer>(&action)) {
    return send(Channel::kBulk, offer->offer, offer->offer.plan_hash);
  } else if (const auto* chunks = std::get_if<SendChunks>(&action)) {
    return send_chunks(*chunks);
  } else if (const auto* state = std::get_if<PersistSecAggState>(&action)) {
    return folder_.store_secagg_state(state->state);
  } else if (const auto* secagg = std::get_if<SendSecAggMessage>(&action)) {
    for (const SecAggPiece& piece : cut_secagg(secagg->plan_hash, secagg->message)) {
      COPPICE_TRY(send(Channel::kBulk, piece, secagg->plan_hash));
    }
  } else if (std::holds_alternative<ForgetSecAggState>(action)) {
    folder_.forget_secagg_state();
  } else if (const auto* forget = std::get_if<ForgetUpload>(&action)) {
    folder_.forget_upload(forget->upload);
  } else if (const auto* note = std::get_if<Note>(&action)) {
    say(note->line);
  }
  return {};
}

Result<void> Agent::start_training(const StartTraining& order) {
  if (!start_ || start_->release.adapter_hash != order.plan->adapter_hash) {
    start_ = std::make_shared<const SharedAdapter>(*keeper_->held());
  }
  if (start_->release.adapter_hash != order.plan->adapter_hash) {
    return feed(TrainingFailed{order.plan_hash, "another release came while training paused"});
  }
  say(cat("round ", order.plan->round, ": training"));
  auto job = std::make_shared<RoundTrainer::Job>(
      RoundTrainer::Job{*order.plan, std::shared_ptr<const Adapter>(start_, &start_->adapter),
                        order.deadline, nullptr, start_->control});
  const Sha256 plan_hash = order.plan_hash;
  training_ =
      worker_->add([this, job, plan_hash](const std::atomic<bool>& stop) -> Worker::Outcome {
        job->stop = &stop;
        auto result = std::make_shared<Result<RoundTrainer::RoundDelta>>(trainer_->train(*job));
        return [this, result, plan_hash] {
          Result<void> done;
          if (!result->ok() && result->error().code == ErrorCode::kCancelled) {
            log::info(result->error().message); // as the round ordered
          } else if (result->ok()) {
            training_->store(true); // one begun since, after a pause that came too late
            trained_ = std::move(*result).value();
            done = feed(Trained{plan_hash});
          } else {
            done = feed(TrainingFailed{plan_hash, result->error().message});
          }
          if (!done.ok()) say(done.error().message);
        };
      });
  return {};
}

// After the used-once mark. Whatever goes wrong here, nothing is sealed again under this plan.
Result<void> Agent::seal_and_store(const SealAndStore& order) {
  const RoundPlan& plan = *order.plan;
  auto finished = [&]() -> Result<Bytes> {
    RoundMetrics metrics{.loss_before = trained_->loss_before,
                         .loss_after = trained_->loss_after,
                         .release_kept = gate_ && gate_->release_kept(),
                         .examples = trained_->examples,
                         .steps = trained_->steps,
                         .curvature = trained_->curvature,
                         .cluster = trained_->cluster};
    EncodedDelta encoded = COPPICE_TRY(encode_delta(plan, identity_.id, trained_->delta, metrics));
    if (plan.encoding.error_feedback) {
      // Before the upload: once it is stored it may count.
      COPPICE_TRY(kept_.add_made(
          order.plan_hash, kKeptFeedback,
          feedback_after(keeper_->held()->adapter.spec(), plan.recipe,
                         std::move(trained_->feedback), std::exchange(encoded.lost, {}))));
    }
    if (delta_tap_) delta_tap_(plan.round, trained_->delta, encoded.elements);
    if (noise_is_distributed(plan.privacy.noise)) {
      SystemBytes source;
      COPPICE_TRY(add_slot_noise(plan, source, encoded.elements));
    }
    apply_masks(plan.slots, COPPICE_TRY(round_->masks()), encoded.elements);
    if (encoded.clip_factor < 1) {
      say(cat("the delta was clipped to ", fixed(100 * encoded.clip_factor, 0), " %"));
    }
    return build_upload(plan, order.plan_hash, identity_.id, identity_.signing, membership_.keys,
                        encoded);
  }();
  trained_.reset();
  if (!finished.ok()) {
    return feed(TrainingFailed{order.plan_hash, finished.error().message});
  }
  const Sha256 name = sha256(*finished);
  const auto stored = folder_.store_upload(name, *finished);
  if (!stored.ok()) return feed(TrainingFailed{order.plan_hash, stored.error().message});
  return feed(UploadStored{order.plan_hash, name, finished->size()});
}

Result<void> Agent::send_chunks(const SendChunks& chunks) {
  const Bytes bytes = COPPICE_TRY(folder_.upload(chunks.upload));
  for (std::uint32_t i = 0; i < chunks.count; ++i) {
    const std::size_t begin = std::size_t{chunks.first + i} * limits::kChunkBytes;
    if (begin >= bytes.size()) break;
    const std::size_t length = std::min(limits::kChunkBytes, bytes.size() - begin);
    const auto first = bytes.begin() + static_cast<std::ptrdiff_t>(begin);
    UploadChunk chunk{chunks.upload, chunks.first + i,
                      Bytes(first, first + static_cast<std::ptrdiff_t>(length))};
    COPPICE_TRY(send(Channel::kBulk, chunk, chunks.plan_hash));
  }
  return {};
}

// `round`, or one before it that is this device's last, was released: with this device's upload, if
// that was acknowledged.
Result<void> Agent::count_kept(RoundId round) {
  if (round < marks_.round.highest_round || !marks_.round.acknowledged) return {};
  return kept_.count(marks_.round.plan_hash);
}

Result<void> Agent::installed(const SharedAdapter& shared) {
  // With the revert the aggregator forgot what its strategy keeps, and what devices keep belongs to
  // that. First, so that no crash leaves the old beside the new.
  COPPICE_TRY(kept_.forget_before(shared.release.last_revert));
  COPPICE_TRY(folder_.store_shared(shared));
  personal_done_ = false;
  reported_ = false;
  last_round_seen_ = now();
  say(cat("holds release ", shared.release.version));
  if (workshop_ && shared.release.version.value > 0) start_gate();
  COPPICE_TRY(check_in()); // the aggregator learns who is up to date
  return consider_plan();
}

void Agent::start_gate() {
  auto shared = std::make_shared<const SharedAdapter>(*keeper_->held());
  gate_again_ = false;
  serving_work_ = worker_->add([this, shared](const std::atomic<bool>& stop) -> Worker::Outcome {
    auto outcome = std::make_shared<Result<GateOutcome>>([&]() -> Result<GateOutcome> {
      Engine* const engine = COPPICE_TRY(workshop_->engine());
      const StopScope stoppable(*engine, &stop);
      const ExampleSet examples = COPPICE_TRY(workshop_->examples(&stop));
      return serving_.gate(*engine, *shared, examples);
    }());
    return [this, outcome] {
      if (!outcome->ok() && outcome->error().code == ErrorCode::kCancelled) {
        gate_again_ = true;
        return;
      }
      if (!outcome->ok()) return say(cat("the gate failed: ", outcome->error().message));
      gate_ = outcome->value();
      say(cat("release ", gate_->version, ": serves with ", served_name(gate_->served)));
    };
  });
}

void Agent::start_personal() {
  personal_done_ = true; // one try a release
  gate_again_ = false;   // it ends with the gate
  if (!workshop_ || !keeper_->held()) return;
  auto shared = std::make_shared<const SharedAdapter>(*keeper_->held());
  serving_work_ = worker_->add([this, shared](const std::atomic<bool>& stop) -> Worker::Outcome {
    auto outcome = std::make_shared<Result<GateOutcome>>([&]() -> Result<GateOutcome> {
      Engine* const engine = COPPICE_TRY(workshop_->engine());
      const StopScope stoppable(*engine, &stop);
      const ExampleSet examples = COPPICE_TRY(workshop_->examples(&stop));
      if (settings_.personal.enabled) {
        COPPICE_TRY(serving_.train_personal(
            *engine, *shared, examples, [this] { return clock_.monotonic(); }, &stop));
      }
      const GateOutcome gate = COPPICE_TRY(serving_.gate(*engine, *shared, examples));
      COPPICE_TRY(serving_.report(*engine, *shared, examples));
      return gate;
    }());
    return [this, outcome] {
      if (!outcome->ok() && outcome->error().code == ErrorCode::kCancelled) {
        personal_done_ = false; // it goes on from its checkpoint
        return;
      }
      reported_ = true;
      if (!outcome->ok())
        return say(cat("the personal adapter failed: ", outcome->error().message));
      gate_ = outcome->value();
      say(cat("serves with ", served_name(gate_->served)));
    };
  });
}

// For runs with an end: the last release is here, judged, and the personal adapter stands on it.
Result<void> Agent::finish_when_done() {
  if (!limits_.until_release || !keeper_->held()) return {};
  if (keeper_->held()->release.version < *limits_.until_release || !worker_->idle()) return {};
  if (!workshop_ || reported_) {
    finished_ = true;
    write_status();
    return {};
  }
  if (!personal_done_ && !round_->paused()) start_personal();
  return {};
}

} // namespace coppice
