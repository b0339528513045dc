#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/base/result.h>
#include <sluice/swarm/loop.h>

namespace sluice::load {

/// A text with places for a client's index and id: `%d` (or `%06d`, padded with zeros), `%c`, and
/// `%%` for a percent sign.
class TextTemplate {
 public:
  /// `allows_client_id`: false where `%c` would mean itself.
  static Result<TextTemplate> parse(std::string_view text, bool allows_client_id);

  std::string make(std::uint32_t index, std::string_view client_id) const;

 private:
  struct Part {
    enum class Kind : std::uint8_t { kText, kIndex, kClientId };
    Kind kind = Kind::kText;
    std::string text{};  // kText
    int width = 0;       // kIndex
  };
  std::vector<Part> parts_;
};

/// Who the clients of a run are: made from templates, or listed in a file.
class Clients final : public swarm::Identities {
 public:
  struct Options {
    std::string client_id = "load-%d";
    std::string user{};      // empty: none
    std::string password{};  // empty: none
    /// Text of a file that replaces all three: `client id[,user[,password]]` a line; a password may
    /// hold commas. Blank lines and lines that begin with # are passed over.
    std::optional<std::string> listed{};
  };
  static Result<Clients> make(const Options& options);

  swarm::Identity identity(std::uint32_t index) const override;
  /// How many there can be; nullopt: any number.
  std::optional<std::size_t> limit() const;

 private:
  TextTemplate client_id_;
  std::optional<TextTemplate> user_;
  std::optional<TextTemplate> password_;
  std::optional<std::vector<swarm::Identity>> listed_;
};

}  // namespace sluice::load
