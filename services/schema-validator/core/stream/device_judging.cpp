// What a message means by what its device said before.
#include "core/stream/device_state_inside.h"
#include "core/stream/hash.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <format>

#include <sluice/base/planted_bug.h>

namespace sluice::validator {
namespace {

std::uint64_t mix(std::uint64_t seed, const void* bytes, std::size_t size) {
  return hash_bytes(bytes, size, seed);
}

std::uint64_t mix(std::uint64_t seed, std::uint64_t value) {
  return mix(seed, &value, sizeof(value));
}

/// Lets a value into a hash: nothing that differs becomes equal on the way. mix() scatters the end.
std::uint64_t fold(std::uint64_t hash, std::uint64_t value) {
  hash = (std::rotl(hash, 23) ^ value) * 0x9E37'79B9'7F4A'7C15U;
  return hash ^ (hash >> 29U);
}

std::uint64_t bits_of(const Reading& reading) {
  switch (reading.type) {
    case ValueType::kDouble:
      return std::bit_cast<std::uint64_t>(reading.number);
    case ValueType::kInt64:
    case ValueType::kBool:
      return static_cast<std::uint64_t>(reading.integer);
    case ValueType::kString:
    case ValueType::kBytes:
      return hash_text(reading.text);
  }
  return 0;
}

/// What a sample says, whatever the payload around it looked like: a device that replays a stored
/// sample may put it into another array than before. `names` has the hash of each reading's metric.
std::uint64_t content_of(const Sample& sample, const std::vector<Reading>& readings,
                         const std::vector<std::uint64_t>& names, std::uint64_t seed) {
  constexpr std::uint64_t kNoTime = 0x6E6F'2074'696D'6521U;
  std::uint64_t hash = fold(
      seed, sample.device_time_ms ? static_cast<std::uint64_t>(*sample.device_time_ms) : kNoTime);
  for (std::uint32_t i = 0; i < sample.reading_count; ++i) {
    const std::size_t index = sample.first_reading + i;
    hash = fold(hash, names[index] + static_cast<std::uint64_t>(readings[index].type));
    hash = fold(hash, bits_of(readings[index]));
  }
  return hash;
}

/// The value that outliers are judged by; nullopt for what has no distance.
std::optional<double> number_of(const Reading& reading) {
  if (reading.type == ValueType::kInt64) return static_cast<double>(reading.integer);
  if (reading.type == ValueType::kDouble && std::isfinite(reading.number)) return reading.number;
  return std::nullopt;
}

/// The end of the year 9999.
constexpr std::int64_t kMaxReceivedAtMs = 253'402'300'799'999;

/// What lies elsewhere than in the state itself.
void prefetch(const DeviceState& state) {
  if (state.window) __builtin_prefetch(state.window.get());
  constexpr std::size_t kLine = 64;
  const auto* const metrics = reinterpret_cast<const char*>(state.metrics.data());
  const std::size_t size = std::min(state.metrics.size() * sizeof(MetricState), 8 * kLine);
  for (std::size_t at = 0; at < size; at += kLine) __builtin_prefetch(metrics + at);
}

void apply(Copy copy, SampleJudgement& sample, Judgement& judgement) {
  if (copy == Copy::kMaybe) {
    sample.quality |= kMaybeDuplicate;
    ++judgement.maybe_duplicates;
  } else if (copy == Copy::kReplay) {
    sample.is_replay = true;
    ++judgement.replays;
  }
}

}  // namespace

void DeviceStates::Inside::observe_clock(const MessageContext& message, const Extracted& extracted,
                                         DeviceState& state) {
  if (message.buffered || message.is_redrive) return;
  std::optional<std::int64_t> newest;
  for (const Sample& sample : extracted.samples) {
    if (sample.buffered || !sample.device_time_ms) continue;
    newest = std::max(newest.value_or(*sample.device_time_ms), *sample.device_time_ms);
  }
  if (newest) state.clock.observe(*newest, message.received_at_ms);
}

void DeviceStates::Inside::judge_times(const MessageContext& message, const Extracted& extracted,
                                       const DeviceState& state, Judgement& judgement) {
  is_credible.clear();
  for (const Sample& sample : extracted.samples) {
    const EventTime time =
        event_time_of(sample.device_time_ms, message.received_at_ms, state.clock, settings.time);
    is_credible.push_back(time.is_credible ? 1 : 0);
    judgement.samples.push_back(
        {.event_time_ms = time.event_time_ms,
         .device_time_ms = time.keeps_device_time ? sample.device_time_ms : std::nullopt,
         .sequence = sample.sequence ? sample.sequence : message.sequence,
         .quality = time.quality,
         .buffered = message.buffered || sample.buffered});
  }
}

/// Before anything else: no cache holds the windows of all devices, and what is needed of one comes
/// while the clocks are looked at.
void DeviceStates::Inside::take_fingerprints(const MessageContext& message,
                                             const Extracted& extracted, std::uint64_t device,
                                             const DeviceState& state) {
  numbered.clear();
  const auto& samples = extracted.samples;
  if (message.is_redrive || samples.empty()) return;
  const auto sequence_of = [&](const Sample& sample) {
    return sample.sequence ? sample.sequence : message.sequence;
  };
  // One number for several samples numbers the message: judged together.
  const auto first = sequence_of(samples.front());
  const bool is_shared =
      samples.size() > 1 && first &&
      std::ranges::all_of(samples, [&](const Sample& one) { return sequence_of(one) == first; });
  const std::size_t step = is_shared ? samples.size() : 1;
  for (std::size_t begin = 0; begin < samples.size(); begin += step) {
    const auto sequence = sequence_of(samples[begin]);
    if (!sequence) continue;
    std::uint64_t fingerprint = mix(device, *sequence);
    for (std::size_t i = begin; i < begin + step; ++i) {
      fingerprint = content_of(samples[i], extracted.readings, names, fingerprint);
    }
    fingerprint = mix(device, fingerprint);
    if (state.window) state.window->prefetch(*sequence);
    numbered.push_back(
        {.begin = begin, .count = step, .sequence = *sequence, .fingerprint = fingerprint});
  }
}

void DeviceStates::Inside::judge_copies(const Extracted& extracted, DeviceState& state,
                                        Judgement& judgement) {
  for (const Numbered& one : numbered) {
    std::optional<std::int64_t> time;
    bool are_credible = true;
    for (std::size_t i = one.begin; i < one.begin + one.count; ++i) {
      are_credible = are_credible && is_credible[i] != 0;
      if (is_credible[i] != 0) {
        time = std::max(time.value_or(INT64_MIN), *extracted.samples[i].device_time_ms);
      }
    }
    const Copy copy =
        judge_copy(one.sequence, are_credible ? time : std::nullopt, one.fingerprint, state);
    for (std::size_t i = one.begin; i < one.begin + one.count; ++i) {
      apply(copy, judgement.samples[i], judgement);
    }
  }
}

Copy DeviceStates::Inside::judge_copy(std::uint64_t sequence,
                                      std::optional<std::int64_t> credible_time_ms,
                                      std::uint64_t fingerprint, DeviceState& state) {
  if (!state.window) state.window = std::make_unique<SequenceWindow>(settings.window_size);
  const bool is_first = state.window->is_empty();
  const WindowVerdict verdict = state.window->take(sequence, credible_time_ms, fingerprint);
  // The window's proof needs no other, and nearly all messages have it.
  const bool is_maybe_seen = verdict != WindowVerdict::kFresh && filter.maybe_contains(fingerprint);
  // Inserted even where it seems to be there: another key's bits may go with their generation.
  filter.insert(fingerprint);
  if (verdict == WindowVerdict::kFresh) return Copy::kFresh;

  // The filter's "no" is a proof for what cannot have come before filter and state began: a message
  // does not arrive before it happens, but for clocks that are ahead by what is tolerated.
  const std::int64_t known_since =
      std::max(filter.knows_since_ms(), state.knows_since_ms.value_or(INT64_MAX));
  const bool is_covered =
      credible_time_ms && *credible_time_ms - settings.time.max_ahead_ms > known_since;
  if (!is_maybe_seen && (is_covered || is_first)) return Copy::kFresh;
  // Without a time that can be believed, a device that restarts its counter and says the same
  // again looks like a replay of what it said before, also where it tells a time: its clock began
  // anew with its counter (README.md, "Copies without a time").
  const bool is_proven = verdict == WindowVerdict::kSeen &&
                         (credible_time_ms || SLUICE_PLANTED_BUG("validator_believes_any_time"));
  return is_proven ? Copy::kReplay : Copy::kMaybe;
}

MetricState* DeviceStates::Inside::metric_of(DeviceState& state, std::uint32_t key,
                                             std::uint32_t hint) const {
  auto& metrics = state.metrics;
  if (hint < metrics.size() && metrics[hint].key == key) return &metrics[hint];
  const auto found = std::ranges::find(metrics, key, &MetricState::key);
  if (found == metrics.end()) {
    if (metrics.size() >= settings.max_metrics) return nullptr;
    metrics.push_back({.key = key});
    return &metrics.back();
  }
  // Moves to where it will be looked for first.
  if (hint >= metrics.size()) return &*found;
  std::swap(*found, metrics[hint]);
  return &metrics[hint];
}

void DeviceStates::Inside::judge_outliers(const OutlierRules& rules, Extracted& extracted,
                                          DeviceState& state, Judgement& judgement) {
  for (std::size_t i = 0; i < extracted.samples.size(); ++i) {
    if (judgement.samples[i].is_replay) continue;
    const Sample& sample = extracted.samples[i];
    for (std::uint32_t r = 0; r < sample.reading_count; ++r) {
      const std::size_t index = sample.first_reading + r;
      Reading& reading = extracted.readings[index];
      const auto value = number_of(reading);
      if (!value || (reading.quality & kDefaulted) != 0) continue;
      const std::uint32_t key = OutlierRules::key_of(names[index]);
      const OutlierRule& rule = rules.rule_for(key);
      if (rule.action == OutlierAction::kPass) continue;
      MetricState* const metric = metric_of(state, key, reading.metric_id);
      if (metric == nullptr) {
        ++judgement.unjudged_readings;
        continue;
      }
      const auto kind = judge_value(*metric, *value, judgement.samples[i].event_time_ms, rule);
      if (!kind) continue;
      ++judgement.outliers[static_cast<std::size_t>(*kind)];
      reading.quality |= kOutlier;
      if (rule.action != OutlierAction::kQuarantine || judgement.rejection) continue;
      judgement.rejected_sample = i;
      judgement.rejected_reading = index;
      judgement.rejection =
          Rejection{.reason = RejectReason::kOutlier,
                    .detail = std::format("{} of metric {} fails the check \"{}\"", *value,
                                          reading.metric, name_of(*kind))};
    }
  }
}

void DeviceStates::judge(const MessageContext& given, Extracted& extracted, Judgement& judgement) {
  Inside& in = *inside_;
  // Ingest's own figure, and yet bytes from a topic: sums of it must not overflow.
  MessageContext message = given;
  message.received_at_ms = std::clamp<std::int64_t>(given.received_at_ms, 0, kMaxReceivedAtMs);
  judgement.samples.clear();
  judgement.rejection.reset();
  judgement.outliers.fill(0);
  judgement.replays = judgement.maybe_duplicates = judgement.unjudged_readings = 0;

  in.filter.advance(message.received_at_ms);
  const std::uint64_t device = DeviceTable::hash_of(message.device_key);
  bool is_new = false;
  const DeviceTable::Index index = in.table.touch(message.device_key, device, is_new);
  DeviceState& state = in.table.entry(index).state;
  if (is_new) {
    if (!in.aside.empty()) in.bring_back(message.device_key, state);
    if (!in.gone.empty()) in.forget_gone(message.device_key);
  }
  prefetch(state);
  state.heard_at_ms = std::max(state.heard_at_ms.value_or(0), message.received_at_ms);
  if (!state.knows_since_ms) state.knows_since_ms = message.received_at_ms;

  in.names.clear();
  for (const Reading& reading : extracted.readings) {
    in.names.push_back(reading.metric_hash != 0 ? reading.metric_hash : hash_text(reading.metric));
  }
  in.take_fingerprints(message, extracted, device, state);
  in.observe_clock(message, extracted, state);
  in.judge_times(message, extracted, state, judgement);
  in.judge_copies(extracted, state, judgement);
  in.judge_outliers(message.outliers != nullptr ? *message.outliers : in.settings.outliers,
                    extracted, state, judgement);
  judgement.clock_offset_ms = state.clock.offset_ms();
  in.table.mark_dirty(index);
}

}  // namespace sluice::validator
