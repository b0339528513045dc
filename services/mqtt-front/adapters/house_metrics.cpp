#include "adapters/house_metrics.h"

#include <string>

#include <sys/resource.h>

namespace sluice::front {
namespace {

Gauge entries(Registry& registry, const char* kind) {
  return registry.gauge("sluice_mqtt_identity_cache_entries",
                        "Credentials whose answer is remembered, by kind of answer.",
                        {{"answer", kind}});
}

Counter answers(Registry& registry, const char* source) {
  return registry.counter("sluice_mqtt_identity_cache_answers_total",
                          "Questions about who connects, by where the answer came from.",
                          {{"source", source}});
}

double thread_cpu_seconds() {
  rusage used{};
  if (getrusage(RUSAGE_THREAD, &used) != 0) return 0;
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

}  // namespace

HouseMetrics::HouseMetrics(Registry& registry, std::size_t loops)
    : identities_(entries(registry, "identity")),
      refusals_(entries(registry, "refusal")),
      questions_(registry.gauge("sluice_mqtt_identity_cache_questions",
                                "Questions to the device registry that are under way.")),
      waiters_(registry.gauge("sluice_mqtt_identity_cache_waiters",
                              "Connections that wait for a question of another one.")),
      hits_{answers(registry, "cache")},
      refused_hits_{answers(registry, "cached_refusal")},
      misses_{answers(registry, "registry")},
      joined_{answers(registry, "joined")},
      stale_{answers(registry, "stale")},
      evicted_{registry.counter("sluice_mqtt_identity_cache_evicted_total",
                                "Identities forgotten for want of room.")},
      ended_{registry.counter("sluice_mqtt_identity_cache_ended_total",
                              "Identities forgotten because of a change in control.devices.")},
      outdated_{registry.counter("sluice_mqtt_identity_cache_outdated_total",
                                 "Answers of the registry that a change had overtaken.")} {
  for (std::size_t i = 0; i < loops; ++i) {
    loop_cpu_.push_back(registry.gauge("sluice_mqtt_loop_cpu_seconds",
                                       "CPU time that a loop's thread has used; only goes up.",
                                       {{"loop", std::to_string(i)}}));
  }
}

void HouseMetrics::update(const IdentityCache::Stats& stats,
                          std::span<const std::unique_ptr<FrontLoop>> loops) {
  identities_.set(static_cast<double>(stats.identities));
  refusals_.set(static_cast<double>(stats.refusals));
  questions_.set(static_cast<double>(stats.questions));
  waiters_.set(static_cast<double>(stats.waiters));
  hits_.follow(stats.hits);
  refused_hits_.follow(stats.refused_hits);
  misses_.follow(stats.misses);
  joined_.follow(stats.joined);
  stale_.follow(stats.stale_served);
  evicted_.follow(stats.evicted);
  ended_.follow(stats.ended_by_change);
  outdated_.follow(stats.outdated_answers);
  for (std::size_t i = 0; i < loops.size() && i < loop_cpu_.size(); ++i) {
    // A thread is told its own time alone.
    loops[i]->post([gauge = loop_cpu_[i]]() mutable { gauge.set(thread_cpu_seconds()); });
  }
}

}  // namespace sluice::front
