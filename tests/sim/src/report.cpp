#include "report.h"

#include <chrono>
#include <format>

#include <nlohmann/json.hpp>

namespace sluice::sim {

namespace {

using Json = nlohmann::ordered_json;

void add_row(std::string& table, std::string_view name, std::uint64_t count,
             std::string_view note = {}) {
  table += std::format("  {:<34} {:>12}{}{}\n", name, count, note.empty() ? "" : "  ", note);
}

/// 100 only where nothing is missing: rounding must not make up for a message.
std::string percent(std::uint64_t missing, std::uint64_t all) {
  if (missing == 0 || all == 0) return "100.000 %";
  const double share = 100.0 * static_cast<double>(all - missing) / static_cast<double>(all);
  return std::format("{:.3f} %", std::min(share, 99.999));
}

}  // namespace

double to_ms(std::chrono::nanoseconds time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

int Report::exit_status() const {
  const bool is_duplicated = forbids_duplicates && completeness.raw_duplicated > 0;
  if (!completeness.is_complete() || is_duplicated || !counts.faults.empty()) return 1;
  return is_settled ? 0 : 2;
}

std::string Report::table() const {
  const Completeness& sum = completeness;
  std::string table =
      std::format("completeness (seed {}, {} devices, {:.1f} s):\n", seed, devices, seconds);
  add_row(table, "published", sum.published);
  add_row(table, "acknowledged", sum.acknowledged);
  if (was_checked) {
    add_row(table, "in telemetry.raw", sum.in_raw);
    add_row(table, "  published twice", sum.raw_repeated);
    add_row(table, "  duplicated", sum.raw_duplicated);
    add_row(table, "  out of order", sum.out_of_order);
    if (sum.refused > 0)
      add_row(table, "  refused and there, of all refused", sum.refused_in_raw,
              std::to_string(sum.refused));
    add_row(table, "  missing", sum.missing_in_raw,
            percent(sum.missing_in_raw, sum.acknowledged) + " of the acknowledged are there");
  }
  if (sum.has_verdicts) {
    add_row(table, "in telemetry.valid", sum.in_valid);
    for (const auto& [reason, count] : sum.in_rejected) {
      add_row(table, "in telemetry.rejected", count, reason);
    }
    add_row(table, "  copies left out", sum.replays_left_out);
    add_row(table, "  verdicts repeated", sum.verdicts_repeated);
    add_row(table, "  in neither", sum.unjudged);
    add_row(table, "  in both", sum.contradictory);
    add_row(table, "  misjudged", sum.misjudged);
    add_row(table, "  out of order", sum.valid_out_of_order);
  }
  if (sum.has_samples) {
    add_row(table, "samples expected", sum.samples_expected);
    add_row(table, "samples stored", sum.samples_stored);
    add_row(table, "  merged, of one moment", sum.samples_merged);
    add_row(table, "  of copies without a time", sum.samples_copied);
    add_row(table, "  missing", sum.samples_missing,
            percent(sum.samples_missing, sum.samples_expected));
    add_row(table, "  wrong", sum.samples_wrong);
    add_row(table, "  duplicated", sum.samples_duplicated);
    add_row(table, "  of nobody", sum.samples_foreign);
  }
  if (sum.foreign > 0) add_row(table, "records of nobody", sum.foreign);
  for (const std::string& example : sum.examples) table += "  ! " + example + "\n";
  for (const auto& [fault, count] : counts.faults) {
    table += std::format("  ! the server did what none may do: {} ({})\n", fault, count);
  }
  if (!is_settled)
    table += std::format("  ! {} publishes were never answered\n", counts.unanswered);
  return table;
}

std::string Report::json() const {
  const Completeness& sum = completeness;
  Json json{{"seed", seed},
            {"devices", devices},
            {"start_ms", start_ms},
            {"seconds", seconds},
            {"cpu_seconds", cpu_seconds},
            {"status", exit_status()},
            {"publishes", counts.publishes},
            {"acknowledgements", counts.acks},
            {"resent", counts.resent},
            {"buffered", counts.buffered},
            {"connects", counts.connects},
            {"lost_sessions", counts.lost_sessions},
            {"storms", counts.storms},
            {"ends", counts.ends},
            {"faults", counts.faults},
            {"unanswered", counts.unanswered},
            {"puback_ms",
             {{"p50", to_ms(answering.quantile(0.5))},
              {"p99", to_ms(answering.quantile(0.99))},
              {"max", to_ms(answering.max())}}},
            {"completeness", {{"published", sum.published}, {"acknowledged", sum.acknowledged}}}};
  Json& completeness_json = json["completeness"];
  if (was_checked) {
    completeness_json["raw"] = {{"messages", sum.in_raw},
                                {"records", sum.raw_records},
                                {"repeated", sum.raw_repeated},
                                {"duplicated", sum.raw_duplicated},
                                {"missing", sum.missing_in_raw},
                                {"out_of_order", sum.out_of_order},
                                {"foreign", sum.foreign},
                                {"refused", sum.refused},
                                {"refused_there", sum.refused_in_raw}};
  }
  if (sum.has_verdicts) {
    completeness_json["verdicts"] = {{"valid", sum.in_valid},
                                     {"rejected", sum.in_rejected},
                                     {"replays_left_out", sum.replays_left_out},
                                     {"repeated", sum.verdicts_repeated},
                                     {"neither", sum.unjudged},
                                     {"both", sum.contradictory},
                                     {"misjudged", sum.misjudged},
                                     {"out_of_order", sum.valid_out_of_order}};
  }
  if (sum.has_samples) {
    completeness_json["samples"] = {
        {"expected", sum.samples_expected},     {"stored", sum.samples_stored},
        {"merged", sum.samples_merged},         {"copied", sum.samples_copied},
        {"missing", sum.samples_missing},       {"wrong", sum.samples_wrong},
        {"duplicated", sum.samples_duplicated}, {"foreign", sum.samples_foreign}};
  }
  completeness_json["examples"] = sum.examples;
  return json.dump(2);
}

std::string Moment::line() const {
  return std::format(
      "connected {}/{}  {:.0f} msg/s  PUBACK p50 {:.1f} ms p99 {:.1f} ms  unanswered {}  lost {}  "
      "duplicated {}",
      connected, devices, messages_per_second, p50_ms, p99_ms, unanswered, lost, duplicated);
}

std::string Moment::json(double at) const {
  return Json{{"at", at},
              {"connected", connected},
              {"acknowledged", acknowledged},
              {"unanswered", unanswered},
              {"p99_ms", p99_ms},
              {"lost", lost},
              {"duplicated", duplicated}}
      .dump();
}

}  // namespace sluice::sim
