#include "clients.h"

#include <format>

namespace sluice::load {

namespace {

std::string_view take_until(std::string_view& rest, char separator) {
  const auto at = rest.find(separator);
  const auto taken = rest.substr(0, at);
  rest = at == std::string_view::npos ? std::string_view() : rest.substr(at + 1);
  return taken;
}

Result<std::vector<swarm::Identity>> parse_list(std::string_view text) {
  std::vector<swarm::Identity> found;
  for (std::size_t number = 1; !text.empty(); ++number) {
    auto line = take_until(text, '\n');
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.starts_with('#')) continue;
    const bool has_user = line.contains(',');
    swarm::Identity identity{.client_id = std::string(take_until(line, ','))};
    const bool has_password = line.contains(',');
    if (has_user) identity.user = take_until(line, ',');
    if (has_password) identity.password = line;
    if (identity.client_id.empty()) {
      return fail(ErrorCode::kInvalidArgument, std::format("line {}: no client id", number));
    }
    found.push_back(std::move(identity));
  }
  if (found.empty()) return fail(ErrorCode::kInvalidArgument, "no client in the list");
  return found;
}

}  // namespace

Result<TextTemplate> TextTemplate::parse(std::string_view text, bool allows_client_id) {
  TextTemplate made;
  std::string plain;
  const auto add = [&](Part part) {
    if (!plain.empty()) made.parts_.push_back({.text = std::exchange(plain, {})});
    made.parts_.push_back(std::move(part));
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      plain += text[i];
      continue;
    }
    int width = 0;
    ++i;
    while (i < text.size() && text[i] >= '0' && text[i] <= '9' && width < 10) {
      width = width * 10 + (text[i++] - '0');
    }
    const char kind = i < text.size() ? text[i] : '\0';
    if (kind == 'd') {
      add({.kind = Part::Kind::kIndex, .width = width});
    } else if (kind == 'c' && allows_client_id) {
      add({.kind = Part::Kind::kClientId});
    } else if (kind == '%') {
      plain += '%';
    } else {
      return fail(ErrorCode::kInvalidArgument,
                  std::format("'{}': after % stands d, a width and d, {}or %", text,
                              allows_client_id ? "c, " : ""));
    }
  }
  if (!plain.empty()) made.parts_.push_back({.text = std::move(plain)});
  return made;
}

std::string TextTemplate::make(std::uint32_t index, std::string_view client_id) const {
  std::string made;
  for (const Part& part : parts_) {
    switch (part.kind) {
      case Part::Kind::kText:
        made += part.text;
        break;
      case Part::Kind::kIndex:
        made += std::format("{:0{}}", index, part.width);
        break;
      case Part::Kind::kClientId:
        made += client_id;
        break;
    }
  }
  return made;
}

Result<Clients> Clients::make(const Options& options) {
  Clients clients;
  if (options.listed) {
    SLUICE_TRY_ASSIGN(clients.listed_, parse_list(*options.listed));
    return clients;
  }
  SLUICE_TRY_ASSIGN(clients.client_id_, TextTemplate::parse(options.client_id, false));
  if (!options.user.empty()) {
    SLUICE_TRY_ASSIGN(clients.user_, TextTemplate::parse(options.user, true));
  }
  if (!options.password.empty()) {
    SLUICE_TRY_ASSIGN(clients.password_, TextTemplate::parse(options.password, true));
  }
  return clients;
}

swarm::Identity Clients::identity(std::uint32_t index) const {
  if (listed_) return listed_->at(index);
  swarm::Identity identity{.client_id = client_id_.make(index, {})};
  if (user_) identity.user = user_->make(index, identity.client_id);
  if (password_) identity.password = password_->make(index, identity.client_id);
  return identity;
}

std::optional<std::size_t> Clients::limit() const {
  return listed_ ? std::optional(listed_->size()) : std::nullopt;
}

}  // namespace sluice::load
