#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace sluice::testing {

/// The value of a variable that the test runner sets, such as SLUICE_TEST_POSTGRES_URL. Throws a
/// text that says what to do when it is missing, which fails the test: a test that cannot run is
/// not a pass.
std::string require_env(std::string_view name);

/// Where the build put a service's or tool's program, found from the place of the running test
/// program: `built_program("device-registry")`. Throws when it has not been built.
std::filesystem::path built_program(std::string_view name);

/// A text that no other test of this or any other process uses: "<prefix>_<process>_<time>_<count>"
/// in [a-z0-9_], for topics, databases, schemas and key prefixes on a shared server. At most 24
/// characters longer than prefix.
std::string unique_name(std::string_view prefix);

}  // namespace sluice::testing
