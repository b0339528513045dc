#pragma once

#include "fleet.h"
#include "routes.h"
#include "simulation.h"

#include <chrono>
#include <cstdint>
#include <span>
#include <string>

#include <sluice/base/result.h>

namespace sluice::sim {

/// What the command line says. help() explains each.
struct Options {
  bool is_help = false;
  std::string devices{};  // a file
  std::string mqtt{};
  std::string mqtts{};
  std::string ca{};
  double tls = 0.5;

  std::uint64_t seed = 1;
  double seconds = 30;
  double rate = 0.5;
  double qos0 = 0.1;
  double qos2 = 0.1;
  double mqtt5 = 0.5;
  double bad = 0.002;
  double repeated = 0.005;
  double skewed = 0.02;
  double offline = 0.1;
  double offline_seconds = 8;
  double storm_every = 0;
  std::uint64_t window = 16;
  double patience = 0;
  double drain = 60;

  std::string brokers{};
  std::string name_space = "sluice.";  // as services have it
  bool verdicts = false;
  std::string query{};
  std::string query_ca{};
  std::string query_key{};  // a file
  double settle = 60;
  bool no_duplicates = false;
  std::string report{};   // a file
  std::string moments{};  // a file
  std::string ledger{};   // a file

  FleetOptions fleet() const;
  RouteOptions routes() const;
  SimulationOptions simulation() const;
};

/// `arguments` without the program's name.
Result<Options> parse_options(std::span<const std::string> arguments);
std::string help();

}  // namespace sluice::sim
