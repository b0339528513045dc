#pragma once

#include "core/payload/json_decoder.h"
#include "core/schema/compiled_schema.h"
#include "core/schema/extractor.h"

#include <array>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::validator::testing {

/// Holds the short way of reading JSON against the general one: what it takes the other takes too,
/// with the same bits, and what it does not take leaves no trace.
class FlatAgreement {
 public:
  struct Told {
    bool was_flat = false;
    std::string difference{};  // empty: they agree
    std::string json{};
  };
  static constexpr std::size_t kSchemas = 4;  // the third is none

  FlatAgreement() {
    constexpr std::string_view kMetrics = R"("metrics": [
      {"name": "temp", "type": "double", "unit": "Cel", "min": -300, "max": 200, "required": true},
      {"name": "hum", "type": "double", "nullable": true},
      {"name": "n", "type": "int64", "max": 5000, "default": 4},
      {"name": "ok", "type": "bool"}, {"name": "hot", "type": "double", "source_unit": "[degF]",
      "unit": "Cel"}, {"name": "mode", "type": "string", "enum": ["on", "off"]},
      {"name": "text", "type": "string", "pattern": "^[a-z]*$", "max_length": 8},
      {"name": "a name of more than sixteen bytes", "type": "double"},
      {"name": "engine.rpm", "type": "int64"}])";
    for (const char* const additional : {"reject", "ignore", "", "keep"}) {
      if (*additional == '\0') {
        schemas_.push_back(nullptr);
        continue;
      }
      auto made = compile(SchemaKind::kMetricsTable,
                          "{" + std::string(kMetrics) + ", \"additional\": \"" + additional + "\"}",
                          UnitTable::built_in(), {});
      if (!made) std::abort();
      schemas_.push_back(*std::move(made));
    }
  }

  /// `behind` lies behind the payload, where nobody may believe it.
  Told compare(std::size_t schema, std::string_view json, std::string_view behind = {}) {
    Told told{.json = std::string(json)};
    buffer_.assign(json);
    buffer_.append(behind.substr(0, kPayloadPadding));
    buffer_.resize(std::max(buffer_.size(), json.size() + kPayloadPadding), '7');
    const auto payload = std::as_bytes(std::span(buffer_.data(), json.size()));
    const CompiledSchema* const judged_by = schemas_[schema % kSchemas].get();

    general_extractor_.begin(judged_by, general_, payload);
    auto rejection = general_decoder_.decode_generally(payload, {}, general_extractor_);
    if (!rejection) rejection = general_extractor_.finish();

    flat_extractor_.begin(judged_by, flat_, payload);
    told.was_flat = flat_extractor_.take_flat_json({buffer_.data(), json.size()}, {});
    auto flat_rejection =
        told.was_flat ? std::nullopt : flat_decoder_.decode_generally(payload, {}, flat_extractor_);
    if (!flat_rejection) flat_rejection = flat_extractor_.finish();

    if (rejection.has_value() != flat_rejection.has_value()) {
      told.difference = rejection ? "one rejects: " + rejection->detail : "the short way rejects";
    } else if (rejection) {
      if (rejection->reason != flat_rejection->reason ||
          rejection->pointer != flat_rejection->pointer) {
        told.difference = "two reasons";
      }
    } else {
      told.difference = difference();
    }
    return told;
  }

  /// A payload made of a seed, mostly a good one with something done to it.
  Told compare_at_random(std::uint64_t seed) {
    state_ = seed * 2 + 1;
    std::string json = payload();
    if (below(3) == 0) {
      for (std::uint64_t changes = 1 + below(2); changes > 0; --changes) damage(json);
    }
    return compare(below(kSchemas), json);
  }

  const Extracted& flat() const { return flat_; }

 private:
  std::string difference() const {
    if (flat_.samples.size() != general_.samples.size()) return "samples";
    for (std::size_t i = 0; i < flat_.samples.size(); ++i) {
      const Sample& a = flat_.samples[i];
      const Sample& b = general_.samples[i];
      if (a.device_time_ms != b.device_time_ms || a.sequence != b.sequence ||
          a.buffered != b.buffered || a.first_reading != b.first_reading ||
          a.reading_count != b.reading_count) {
        return "sample " + std::to_string(i);
      }
    }
    if (flat_.readings.size() != general_.readings.size()) return "readings";
    for (std::size_t i = 0; i < flat_.readings.size(); ++i) {
      const Reading& a = flat_.readings[i];
      const Reading& b = general_.readings[i];
      if (a.metric != b.metric || a.unit != b.unit || a.type != b.type || a.quality != b.quality ||
          std::bit_cast<std::uint64_t>(a.number) != std::bit_cast<std::uint64_t>(b.number) ||
          a.integer != b.integer || a.text != b.text || a.metric_id != b.metric_id ||
          a.metric_hash != b.metric_hash) {
        return "reading " + std::string(b.metric);
      }
    }
    return "";
  }

  std::uint64_t below(std::uint64_t bound) {
    state_ = state_ * 6364136223846793005U + 1442695040888963407U;
    return (state_ >> 33U) % bound;
  }
  template <std::size_t kCount>
  std::string one_of(const std::array<std::string_view, kCount>& choices) {
    return std::string(choices[below(kCount)]);
  }
  std::string blank() {
    static constexpr std::array<std::string_view, 8> kBlanks = {"", "",  "",   "",
                                                                "", " ", "\n", "\t "};
    return one_of(kBlanks);
  }
  std::string number() {
    static constexpr std::array<std::string_view, 20> kNumbers = {"0",
                                                                  "1",
                                                                  "-1",
                                                                  "40.25",
                                                                  "1013.2",
                                                                  "-0.0",
                                                                  "-0",
                                                                  "1e2",
                                                                  "2.0",
                                                                  "0.1",
                                                                  "21.530000000000001",
                                                                  "9007199254740993",
                                                                  "123456789012345678",
                                                                  "1234567890123456789",
                                                                  "18446744073709551615",
                                                                  "1e-400",
                                                                  "1E308",
                                                                  "200",
                                                                  "200.00000000000003",
                                                                  "5001"};
    return one_of(kNumbers);
  }
  std::string any_value() {
    static constexpr std::array<std::string_view, 12> kOthers = {
        "true",
        "false",
        "null",
        "\"on\"",
        "\"off\"",
        "\"\"",
        "\"abc\"",
        "\"\xC3\xA4\"",
        "\"a\\n\"",
        "[1,2]",
        "{\"value\":70,\"unit\":\"[degF]\"}",
        "{\"rpm\":900}"};
    return below(3) == 0 ? one_of(kOthers) : number();
  }
  /// What nothing is wrong with.
  static std::string plain_value(const std::string& key) {
    return key == "ok" ? "false" : key == "mode" ? "\"off\"" : key == "text" ? "\"az\"" : "1";
  }
  std::string member() {
    static constexpr std::array<std::string_view, 18> kKeys = {
        "ts",     "seq", "buffered", "temp", "temp",     "hum",
        "n",      "ok",  "hot",      "mode", "text",     "a name of more than sixteen bytes",
        "engine", "x",   "y",        "z.z",  "\xC3\xA4", "a\\u0062"};
    static constexpr std::array<std::string_view, 5> kTimes = {
        "1700000000123", "1700000000", "\"2026-11-21T14:00:00Z\"", "1.7e9", "-5"};
    const std::string key = one_of(kKeys);
    if (below(2) == 0) return '"' + key + "\":" + plain_value(key);
    const std::string value = key == "ts"                         ? one_of(kTimes)
                              : key == "ok"                       ? "true"
                              : key == "mode"                     ? "\"on\""
                              : key == "text"                     ? "\"abc\""
                              : key == "engine"                   ? "{\"rpm\":900}"
                              : key == "seq" || key == "buffered" ? std::to_string(below(3))
                                                                  : any_value();
    return '"' + key + '"' + blank() + ':' + blank() + value;
  }
  std::string object() {
    std::string json = "{" + blank();
    const std::uint64_t members = 1 + below(5);
    if (below(2) == 0) json += "\"temp\":" + number() + ",";
    for (std::uint64_t i = 0; i < members; ++i) {
      json += (i > 0 ? blank() + "," + blank() : "") + member();
    }
    return json + blank() + "}";
  }
  std::string payload() {
    switch (below(6)) {
      case 0:
        return "[" + object() + "," + blank() + object() + "]";
      case 1:
        return "{\"ts\":1700000000,\"metrics\":" + object() + ",\"seq\":4}";
      default:
        return blank() + object() + blank();
    }
  }
  void damage(std::string& json) {
    static constexpr std::string_view kBytes = "{}[],:\"0123456789.eE+-\\tn \x01\x80\xFF";
    const std::size_t at = below(json.size());
    switch (below(4)) {
      case 0:
        json[at] = kBytes[below(kBytes.size())];
        break;
      case 1:
        json.erase(at, 1 + below(3));
        break;
      case 2:
        json.insert(at, 1, kBytes[below(kBytes.size())]);
        break;
      default:
        json.resize(at);
        break;
    }
    if (json.empty()) json = " ";
  }

  std::vector<std::shared_ptr<const CompiledSchema>> schemas_;
  std::string buffer_;
  JsonDecoder general_decoder_;
  JsonDecoder flat_decoder_;
  Extractor general_extractor_;
  Extractor flat_extractor_;
  Extracted general_;
  Extracted flat_;
  std::uint64_t state_ = 1;
};

}  // namespace sluice::validator::testing
