#include "options.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <format>
#include <limits>
#include <string_view>
#include <variant>

namespace sluice::sim {

namespace {

using Member = std::variant<bool Options::*, std::uint64_t Options::*, double Options::*,
                            std::string Options::*>;

struct Option {
  std::string_view name;
  Member member;
  std::string_view help;
  double min = 0;  // of numbers
  double max = 1;
};

constexpr double kDay = 86'400;

constexpr std::array kOptions{
    Option{"devices", &Options::devices,
           "file: profile,tenant,device,token or profile,tenant,device,,certificate,key a line"},
    Option{"mqtt", &Options::mqtt, "host:port,… without TLS; each reconnect takes the next one"},
    Option{"mqtts", &Options::mqtts, "host:port,… with TLS; devices with certificates need it"},
    Option{"ca", &Options::ca, "PEM file: who may sign the server's certificate"},
    Option{"tls", &Options::tls, "share of devices with tokens that come with TLS"},
    Option{"seed", &Options::seed, "of everything that devices do by themselves", 0, 1e18},
    Option{"seconds", &Options::seconds, "of publishing; 0: until SIGINT or SIGTERM", 0, 1e9},
    Option{"rate", &Options::rate, "messages a second of each device", 1e-4, 100},
    Option{"qos0", &Options::qos0, "share of messages"},
    Option{"qos2", &Options::qos2, "share of messages; the rest is QoS 1"},
    Option{"mqtt5", &Options::mqtt5, "share of devices; the rest speaks 3.1.1"},
    Option{"bad", &Options::bad, "share of messages that must be rejected"},
    Option{"repeated", &Options::repeated, "share of messages published twice with one number"},
    Option{"skewed", &Options::skewed, "share of devices whose clock is wrong by hours"},
    Option{"offline", &Options::offline, "share of devices that are away a fifth of the time"},
    Option{"offline-seconds", &Options::offline_seconds, "of one absence", 0, kDay},
    Option{"storm-every", &Options::storm_every, "seconds between reboots of all; 0: none", 0,
           kDay},
    Option{"window", &Options::window, "unanswered messages of a device", 1, 1000},
    Option{"patience", &Options::patience,
           "seconds without an answer after which a device connects anew; 0: it waits for ever", 0,
           kDay},
    Option{"drain", &Options::drain, "seconds after the end for what is not acknowledged yet", 0,
           kDay},
    Option{"brokers", &Options::brokers, "Kafka, host:port,…: checks telemetry.raw"},
    Option{"namespace", &Options::name_space, "before the names of topics (sluice.)"},
    Option{"verdicts", &Options::verdicts, "checks telemetry.valid and telemetry.rejected too"},
    Option{"query", &Options::query, "URL of the query API: checks every sample; with --verdicts"},
    Option{"query-ca", &Options::query_ca, "PEM file: who may sign its certificate"},
    Option{"query-key", &Options::query_key, "file with an API key of the devices' tenant"},
    Option{"settle", &Options::settle, "seconds for what is under way behind Kafka", 0, kDay},
    Option{"no-duplicates", &Options::no_duplicates,
           "a record sent again is a fault: nothing broke"},
    Option{"report", &Options::report, "file for the report as JSON; - for standard output"},
    Option{"moments", &Options::moments,
           "file for the figures of each second, a line of JSON each"},
    Option{"ledger", &Options::ledger,
           "file for what devices know of their messages: a line of JSON each, ranges of numbers"},
};

Error wrong(std::string_view name, std::string_view why) {
  return {ErrorCode::kInvalidArgument, std::format("--{} {}", name, why)};
}

template <typename Number>
Result<> read_number(const Option& option, std::string_view text, Number& into) {
  const auto read = std::from_chars(text.data(), text.data() + text.size(), into);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size() ||
      !(static_cast<double>(into) >= option.min && static_cast<double>(into) <= option.max)) {
    return fail(
        wrong(option.name, std::format("is a number from {} to {}", option.min, option.max)));
  }
  return {};
}

Result<> check(const Options& options) {
  if (options.devices.empty()) return fail(wrong("devices", "is needed"));
  if (options.mqtt.empty() && options.mqtts.empty())
    return fail(wrong("mqtt", "or --mqtts is needed"));
  if (options.qos0 + options.qos2 > 1) return fail(wrong("qos0", "and --qos2 are more than all"));
  if (options.verdicts && options.brokers.empty())
    return fail(wrong("verdicts", "needs --brokers"));
  if (!options.query.empty() && !options.verdicts) return fail(wrong("query", "needs --verdicts"));
  return {};
}

std::chrono::milliseconds to_ms(double seconds) {
  return std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000));
}

}  // namespace

Result<Options> parse_options(std::span<const std::string> arguments) {
  Options options;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view word = arguments[i];
    if (word == "--help") {
      options.is_help = true;
      return options;
    }
    const auto* const option = std::ranges::find_if(kOptions, [&](const Option& one) {
      return word.starts_with("--") && word.substr(2) == one.name;
    });
    if (option == kOptions.end()) {
      return fail(ErrorCode::kInvalidArgument, std::format("'{}' is no option; see --help", word));
    }
    if (const auto* const flag = std::get_if<bool Options::*>(&option->member)) {
      options.** flag = true;
      continue;
    }
    if (++i == arguments.size()) return fail(wrong(option->name, "wants a value"));
    if (const auto* const text = std::get_if<std::string Options::*>(&option->member)) {
      options.** text = arguments[i];
    } else if (const auto* const real = std::get_if<double Options::*>(&option->member)) {
      SLUICE_TRY(read_number(*option, arguments[i], options.**real));
    } else {
      SLUICE_TRY(read_number(*option, arguments[i],
                             options.*std::get<std::uint64_t Options::*>(option->member)));
    }
  }
  SLUICE_TRY(check(options));
  return options;
}

std::string help() {
  std::string text =
      "sluice-sim: a fleet of simulated devices, and the proof that nothing of it was lost\n\n";
  const Options defaults;
  for (const Option& option : kOptions) {
    const std::string value = std::visit(
        [&](auto member) -> std::string {
          using Value = std::remove_cvref_t<decltype(defaults.*member)>;
          if constexpr (std::is_same_v<Value, std::string> || std::is_same_v<Value, bool>) {
            return {};
          } else {
            return std::format(" ({})", defaults.*member);
          }
        },
        option.member);
    text += std::format("  --{:<16} {}{}\n", option.name, option.help, value);
  }
  return text;
}

FleetOptions Options::fleet() const {
  return {.seed = seed,
          .rate = rate,
          .qos_0_share = qos0,
          .qos_2_share = qos2,
          .mqtt_5_share = mqtt5,
          .bad_share = bad,
          .repeated_share = repeated,
          .skewed_share = skewed,
          .offline_share = offline,
          .offline_for = to_ms(offline_seconds)};
}

RouteOptions Options::routes() const {
  return {.plain = mqtt, .tls = mqtts, .ca_file = ca, .tls_share = tls};
}

SimulationOptions Options::simulation() const {
  return {.window = static_cast<std::uint32_t>(window),
          .patience = to_ms(patience),
          .storm_every = to_ms(storm_every)};
}

}  // namespace sluice::sim
