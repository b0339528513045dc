#include <format>
#include <future>
#include <utility>

#include <sluice/base/encoding.h>
#include <sluice/redis/client.h>

#include <openssl/sha.h>

namespace sluice::redis {
namespace {

Command script_command(std::string_view verb, std::string_view script,
                       const std::vector<std::string>& keys,
                       const std::vector<std::string>& arguments) {
  const std::string key_count = std::format("{}", keys.size());
  std::vector<std::string_view> words{verb, script, key_count};
  words.insert(words.end(), keys.begin(), keys.end());
  words.insert(words.end(), arguments.begin(), arguments.end());
  return Command::on_key(keys.empty() ? std::string_view() : std::string_view(keys.front()), words);
}

}  // namespace

Script::Script(std::string source) : source_(std::move(source)) {
  // SHA-1 is Redis' name for a script, not a matter of security.
  std::string digest(SHA_DIGEST_LENGTH, '\0');
  SHA1(reinterpret_cast<const unsigned char*>(source_.data()), source_.size(),
       reinterpret_cast<unsigned char*>(digest.data()));
  sha1_ = to_hex(digest);
}

void Script::run(Client& client, std::vector<std::string> keys, std::vector<std::string> arguments,
                 Client::Callback done) const {
  Command by_hash = script_command("EVALSHA", sha1_, keys, arguments);
  client.send(std::move(by_hash),
              [&client, source = source_, keys = std::move(keys), arguments = std::move(arguments),
               done = std::move(done)](Result<Reply> reply) mutable {
                if (reply || reply.error().reason() != "NOSCRIPT") {
                  done(std::move(reply));
                  return;
                }
                client.send(script_command("EVAL", source, keys, arguments), std::move(done));
              });
}

Result<Reply> Script::call(Client& client, std::vector<std::string> keys,
                           std::vector<std::string> arguments) const {
  std::promise<Result<Reply>> promise;
  auto answer = promise.get_future();
  run(client, std::move(keys), std::move(arguments),
      [&](Result<Reply> reply) { promise.set_value(std::move(reply)); });
  return answer.get();
}

std::vector<Result<Reply>> Script::call_all(Client& client, std::vector<Call> calls) const {
  std::vector<std::promise<Result<Reply>>> promises(calls.size());
  std::vector<Result<Reply>> answers;
  answers.reserve(calls.size());
  for (std::size_t i = 0; i < calls.size(); ++i) {
    run(client, std::move(calls[i].keys), std::move(calls[i].arguments),
        [promise = &promises[i]](Result<Reply> reply) { promise->set_value(std::move(reply)); });
  }
  for (auto& promise : promises) answers.push_back(promise.get_future().get());
  return answers;
}

}  // namespace sluice::redis
