#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <sluice/base/result.h>

namespace sluice::load {

enum class Command : std::uint8_t { kPub, kPubsub, kConn, kStorm, kNullSink, kHelp };

/// What the command line says. help() explains each.
struct Options {
  Command command = Command::kHelp;

  std::string host = "127.0.0.1";
  std::uint32_t port = 1883;
  std::uint32_t mqtt = 4;  // protocol level: 3, 4 (3.1.1) or 5
  std::uint32_t keepalive = 0;
  bool persistent = false;
  std::uint32_t sources = 0;
  std::vector<int> pids{};
  std::uint32_t threads = 1;
  double timeout = 120;
  bool json = false;

  bool tls = false;
  bool tls12 = false;
  bool resume = false;
  std::string ca{};
  std::string cert{};
  std::string key{};

  std::string client_id = "load-%d";
  std::string user{};
  std::string password{};
  std::string credentials{};  // a file

  std::uint32_t pubs = 1000;
  std::uint32_t qos = 1;
  std::uint32_t window = 1;
  std::uint32_t batch = 1;
  double rate = 0;
  std::uint64_t count = 100'000;
  std::uint32_t size = 128;
  std::string topic = "load/%c";
  std::string payload{};

  std::uint32_t subs = 1;
  std::string filter = "load/#";

  std::uint32_t n = 1000;
  std::uint32_t inflight = 256;
  bool churn = false;
  double hold = 1;
  std::uint32_t pings = 0;
  double before = 5;
  double retry = 0.1;
  std::uint32_t crowd_port = 0;  // 0: port

  bool forward = false;
  std::string fault{};
  std::uint32_t limit = 0;  // 0: none
};

/// `arguments` without the program's name.
Result<Options> parse_options(std::span<const std::string> arguments);
std::string help();

}  // namespace sluice::load
