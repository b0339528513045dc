#include <sluice/http/response.h>

#include <sluice/json/json.h>

#include <nlohmann/json.hpp>

namespace sluice::http {

Response Response::json(const nlohmann::json& value, int status) {
  Response out;
  out.status = status;
  out.content_type = "application/json";
  out.body = to_json_text(value);
  return out;
}

Response Response::text(std::string text, int status) {
  Response out;
  out.status = status;
  out.content_type = "text/plain; charset=utf-8";
  out.body = std::move(text);
  return out;
}

Response Response::bytes(std::string content_type, std::string bytes) {
  Response out;
  out.content_type = std::move(content_type);
  out.body = std::move(bytes);
  return out;
}

Response Response::created(const nlohmann::json& value, std::string location) {
  return json(value, 201).with_header("Location", std::move(location));
}

Response Response::accepted(const nlohmann::json& value, std::string location) {
  return json(value, 202).with_header("Location", std::move(location));
}

Response Response::no_content() {
  Response out;
  out.status = 204;
  return out;
}

Response Response::not_modified(std::string etag) {
  Response out;
  out.status = 304;
  return std::move(out).with_etag(std::move(etag));
}

Response Response::streamed(std::string content_type, Stream stream) {
  Response out;
  out.content_type = std::move(content_type);
  out.stream = std::move(stream);
  return out;
}

Response Response::with_header(std::string name, std::string value) && {
  headers.add(std::move(name), std::move(value));
  return std::move(*this);
}

Response Response::with_etag(std::string etag) && {
  headers.set("ETag", std::move(etag));
  return std::move(*this);
}

}  // namespace sluice::http
