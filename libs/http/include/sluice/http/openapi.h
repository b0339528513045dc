#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/result.h>
#include <sluice/http/response.h>
#include <sluice/http/router.h>

namespace sluice::http {

/// A service's OpenAPI description, which is the contract: written by hand as openapi.yaml,
/// embedded at build by sluice_embed_file(), served as YAML and as JSON and compared with the
/// router by a test. Each operation carries `x-required-role`: open, viewer, operator, admin or
/// platform.
class OpenApi {
 public:
  /// `text` is the description as YAML or JSON, usually the embedded one.
  static Result<OpenApi> parse(std::string_view text);
  ~OpenApi();
  OpenApi(OpenApi&&) noexcept;
  OpenApi& operator=(OpenApi&&) noexcept;

  /// Adds the open routes GET /openapi.json and GET /openapi.yaml. The description need not name
  /// them.
  void serve(Router& router) const;

  /// What differs between description and router, one sentence each: routes missing on either side,
  /// another x-required-role, other path parameters, write operations without a documented problem.
  std::vector<std::string> differences(const Router& router) const;

  /// Why this answer is not in the description; empty when it is: operation, status (or its class
  /// "4XX", or "default"), content type, and for JSON the required members and types of its schema.
  std::string undocumented(std::string_view method, std::string_view route, int status,
                           std::string_view content_type, std::string_view body) const;

 private:
  struct Impl;
  explicit OpenApi(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::http
