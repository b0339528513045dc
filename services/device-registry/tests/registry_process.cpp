#include "registry_process.h"

#include "unused_parts.h"

#include <algorithm>
#include <format>
#include <stdexcept>

#include <sluice/embedded/device_registry_openapi.h>
#include <sluice/http/openapi.h>
#include <sluice/testing/environment.h>
#include <sluice/testing/eventually.h>

#include <gtest/gtest.h>

namespace sluice::registry::testing {

using sluice::testing::eventually;

namespace {

/// Whatever a test asks, the answer must be one that openapi.yaml describes.
void expect_documented(const RegistryProcess::Call& call, const Answer& answer) {
  static const UnusedParts parts;
  static const http::OpenApi description =
      http::OpenApi::parse(embedded::device_registry_openapi).value();
  const auto match = parts.router().match(call.method, call.path.substr(0, call.path.find('?')));
  if (!match || match->route == nullptr || match->route->access.is_open()) return;
  EXPECT_EQ(description.undocumented(call.method, match->route->path, answer.status,
                                     answer.header("Content-Type"), answer.body),
            "")
      << call.path << " " << answer.body;
}

}  // namespace

Json Answer::json() const { return Json::parse(body, nullptr, false); }

std::string Answer::reason() const { return json().value("reason", ""); }

std::vector<std::string> Answer::faulty_fields() const {
  std::vector<std::string> fields;
  const Json document = json();
  if (!document.contains("errors")) return fields;
  for (const Json& error : document["errors"]) {
    fields.push_back(error.value("pointer", error.value("parameter", "?")));
  }
  std::ranges::sort(fields);
  return fields;
}

RegistryProcess::RegistryProcess(platform::Environment settings)
    : registry_(surroundings_, std::move(settings)) {}

void RegistryProcess::stop() { EXPECT_EQ(process().stop().code, 0) << process().output(); }

Answer RegistryProcess::call(const Call& call) const {
  http::ClientResponse response = registry_.call(call);
  Answer answer{response.status, std::move(response.headers), std::move(response.body)};
  expect_documented(call, answer);
  return answer;
}

RegistryProcess::Tenant RegistryProcess::make_tenant() {
  const auto made = registry_.make_tenant();
  Tenant tenant{.id = made.id, .admin = made.admin_key, .operator_ = {}, .viewer = {}};
  const auto key_of = [&](const char* role) -> std::string {
    const Answer answer = post("/v1/api-keys", tenant.admin, {{"name", role}, {"role", role}});
    if (answer.status != 201) {
      throw std::runtime_error(std::format("{} {}", answer.status, answer.body));
    }
    return answer.json()["key"];
  };
  tenant.operator_ = key_of("operator");
  tenant.viewer = key_of("viewer");
  return tenant;
}

Json RegistryProcess::import(const std::string& key, const std::string& lines,
                             const std::string& parameters) const {
  const Answer taken = call({"POST",
                             "/v1/devices:import" + parameters,
                             key,
                             lines,
                             {{"Content-Type", "application/x-ndjson"}}});
  EXPECT_EQ(taken.status, 202) << taken.body;
  return wait_for_operation(key, taken.json()["operation_id"]);
}

Json RegistryProcess::wait_for_operation(const std::string& key,
                                         const std::string& operation_id) const {
  Json operation;
  // A busy machine may take any time for a large upload; what must not be is that nothing moves.
  std::uint64_t lines_read = 0;
  const auto ended_or_moved = [&] {
    operation = get("/v1/operations/" + operation_id, key).json();
    const auto now_read = operation.value("lines_read", std::uint64_t{0});
    const bool has_moved = now_read > lines_read;
    lines_read = now_read;
    return has_moved || operation.value("state", "") != "running";
  };
  do {
    if (eventually(ended_or_moved)) continue;
    ADD_FAILURE() << operation;
    break;
  } while (operation.value("state", "") == "running");
  return operation;
}

RegistryProcess& shared_registry() {
  static const std::unique_ptr<RegistryProcess> registry = [] {
    auto made = std::make_unique<RegistryProcess>();
    made->start();
    return made;
  }();
  return *registry;
}

std::string fresh_id(std::string_view prefix) { return sluice::testing::unique_name(prefix); }

}  // namespace sluice::registry::testing
