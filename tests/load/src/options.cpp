#include "options.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <format>
#include <string_view>
#include <utility>
#include <variant>

namespace sluice::load {

namespace {

using Member = std::variant<bool Options::*, std::uint32_t Options::*, std::uint64_t Options::*,
                            double Options::*, std::string Options::*, std::vector<int> Options::*>;

struct Option {
  std::string_view name;
  Member member;
  std::string_view help;
};

constexpr std::array<std::pair<std::string_view, Command>, 6> kCommands{{
    {"pub", Command::kPub},
    {"pubsub", Command::kPubsub},
    {"conn", Command::kConn},
    {"storm", Command::kStorm},
    {"null-sink", Command::kNullSink},
    {"--help", Command::kHelp},
}};

constexpr std::array kOptions{
    Option{"host", &Options::host, "the server, a name or an address"},
    Option{"port", &Options::port, "its port; null-sink: to listen on, 0 for any free one"},
    Option{"mqtt", &Options::mqtt, "protocol level: 3, 4 for MQTT 3.1.1, 5"},
    Option{"keepalive", &Options::keepalive, "seconds in CONNECT; of itself nobody pings"},
    Option{"persistent", &Options::persistent, "ask for sessions that outlive connections"},
    Option{"sources", &Options::sources,
           "source addresses from 127.0.0.2 on; 0: as many as needed"},
    Option{"pid", &Options::pids, "the server's processes, 12,34: their CPU and memory are read"},
    Option{"threads", &Options::threads,
           "loops that share clients and messages; storm: for devices and for the crowd"},
    Option{"timeout", &Options::timeout, "seconds after which the run ends as incomplete"},
    Option{"json", &Options::json, "print JSON instead of a line"},
    Option{"tls", &Options::tls, "TLS, without a look at the server's name"},
    Option{"tls12", &Options::tls12, "no TLS 1.3"},
    Option{"resume", &Options::resume, "offer the ticket of the place's last connection"},
    Option{"ca", &Options::ca, "PEM file: who may sign the other side's certificate"},
    Option{"cert", &Options::cert, "PEM file: our certificate"},
    Option{"key", &Options::key, "PEM file: its key"},
    Option{"client-id", &Options::client_id, "template: %d is the client's index, %06d padded"},
    Option{"user", &Options::user, "template, with %d and %c (client id)"},
    Option{"password", &Options::password, "template, with %d and %c"},
    Option{"credentials", &Options::credentials,
           "file instead: client id[,user[,password]] a line"},
    Option{"pubs", &Options::pubs, "pub, pubsub, storm: publishing clients"},
    Option{"qos", &Options::qos, "of publishing and subscribing"},
    Option{"window", &Options::window, "unanswered messages per client, QoS 1 and 2"},
    Option{"batch", &Options::batch, "messages per write"},
    Option{"rate", &Options::rate, "messages per second of all; 0: as fast as it goes"},
    Option{"count", &Options::count, "messages of all"},
    Option{"size", &Options::size, "bytes of payload, 24 at least"},
    Option{"topic", &Options::topic, "template, with %d and %c"},
    Option{"payload", &Options::payload, "this text instead of a payload with the time in it"},
    Option{"subs", &Options::subs, "pubsub: subscribing clients"},
    Option{"filter", &Options::filter, "pubsub: what they subscribe to"},
    Option{"n", &Options::n, "conn, storm: clients that connect"},
    Option{"inflight", &Options::inflight, "clients connecting at a time"},
    Option{"churn", &Options::churn, "conn: each leaves again at once"},
    Option{"hold", &Options::hold, "conn: seconds before the server's memory is read"},
    Option{"pings", &Options::pings, "conn: clients that ping once a second while held"},
    Option{"before", &Options::before, "storm: seconds of publishing before it breaks loose"},
    Option{"retry", &Options::retry, "storm: seconds before who was refused comes again"},
    Option{"crowd-port", &Options::crowd_port,
           "storm: where the crowd goes, if not to --port: what it then does to the others"},
    Option{"forward", &Options::forward,
           "null-sink: what is published goes to the last subscriber"},
    Option{"fault", &Options::fault,
           "null-sink, for tests: wrong-id, twice, refuse, busy, hang-up"},
    Option{"limit", &Options::limit,
           "null-sink: connections let in a second, twice that at once; 0: all"},
};

template <typename Number>
bool read_number(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && number >= Number{};
}

bool read_list(std::string_view text, std::vector<int>& numbers) {
  numbers.clear();
  while (true) {
    const auto comma = text.find(',');
    if (!read_number(text.substr(0, comma), numbers.emplace_back())) return false;
    if (comma == std::string_view::npos) return true;
    text.remove_prefix(comma + 1);
  }
}

/// Whether the text is a value of the member's type.
bool set(Options& options, const Member& member, std::string_view text) {
  return std::visit(
      [&](auto pointer) {
        auto& target = options.*pointer;
        using Type = std::remove_reference_t<decltype(target)>;
        if constexpr (std::is_same_v<Type, bool>) {
          return false;  // a switch takes no value
        } else if constexpr (std::is_same_v<Type, std::string>) {
          target = text;
          return true;
        } else if constexpr (std::is_same_v<Type, std::vector<int>>) {
          return read_list(text, target);
        } else {
          return read_number(text, target);
        }
      },
      member);
}

Result<Options> checked(Options options) {
  const auto refuse = [](std::string_view why) {
    return fail(ErrorCode::kInvalidArgument, std::string(why));
  };
  if (options.port > 65'535) return refuse("--port is at most 65535");
  if (options.crowd_port > 65'535) return refuse("--crowd-port is at most 65535");
  if (options.mqtt < 3 || options.mqtt > 5) return refuse("--mqtt is 3, 4 or 5");
  if (options.keepalive > 65'535) return refuse("--keepalive is at most 65535");
  if (options.qos > 2) return refuse("--qos is 0, 1 or 2");
  if (options.threads == 0) return refuse("--threads is at least 1");
  if (std::min({options.pubs, options.n, options.inflight}) < options.threads) {
    return refuse("--pubs, --n and --inflight are at least --threads");
  }
  if (options.pings > options.n) return refuse("--pings is at most --n");
  if (options.command == Command::kStorm && options.rate <= 0) return refuse("storm needs --rate");
  if (options.window == 0 || options.window > 65'535) return refuse("--window is 1 to 65535");
  if (options.qos == 0 && options.command == Command::kStorm) {
    return refuse("storm measures acknowledgements, which QoS 0 has none of");
  }
  if (options.batch == 0) return refuse("--batch is at least 1");
  if (options.qos > 0 && options.batch > options.window) {
    return refuse("--batch above --window would never be sent");
  }
  if (options.cert.empty() != options.key.empty()) return refuse("--cert and --key go together");
  if (options.resume && !options.tls) return refuse("--resume needs --tls");
  constexpr std::array<std::string_view, 6> kFaults{"",       "wrong-id", "twice",
                                                    "refuse", "busy",     "hang-up"};
  if (std::ranges::find(kFaults, options.fault) == kFaults.end()) {
    return refuse("--fault is wrong-id, twice, refuse, busy or hang-up");
  }
  return options;
}

}  // namespace

Result<Options> parse_options(std::span<const std::string> arguments) {
  const auto refuse = [](std::string why) { return fail(ErrorCode::kInvalidArgument, why); };
  Options options;
  if (arguments.empty()) return options;
  const auto* command = std::ranges::find(kCommands, std::string_view(arguments[0]),
                                          [](const auto& entry) { return entry.first; });
  if (command == kCommands.end()) return refuse(std::format("no command {}", arguments[0]));
  options.command = command->second;
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    std::string_view name = arguments[i];
    if (!name.starts_with("--")) return refuse(std::format("{} is no option", name));
    name.remove_prefix(2);
    const auto* option = std::ranges::find(kOptions, name, &Option::name);
    if (option == kOptions.end()) return refuse(std::format("no option --{}", name));
    if (const auto* flag = std::get_if<bool Options::*>(&option->member)) {
      options.*(*flag) = true;
      continue;
    }
    if (++i == arguments.size()) return refuse(std::format("--{} needs a value", name));
    if (!set(options, option->member, arguments[i])) {
      return refuse(std::format("--{}: '{}' will not do", name, arguments[i]));
    }
  }
  return checked(std::move(options));
}

std::string help() {
  std::string text = "usage: sluice-load pub|pubsub|conn|storm|null-sink [OPTION...]\n";
  for (const Option& option : kOptions) {
    text += std::format("  --{:<12} {}\n", option.name, option.help);
  }
  return text;
}

}  // namespace sluice::load
