#include "plugin/http/testing/fixture_handler.h"

#include <simdjson.h>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"

namespace webhook::http {
namespace {

void Answer(Exchange& exchange, int status, absl::string_view text,
            std::span<const HeaderField> headers = {}) {
  Response response;
  response.status = status;
  response.content_type = status == 200 ? "application/json" : "text/plain";
  response.headers = headers;
  response.body = text;
  exchange.Respond(response);
}

bool IsJson(absl::string_view body) {
  // One parser a thread, as the real user of the server has.
  thread_local simdjson::dom::parser parser;
  simdjson::dom::element element;
  return parser.parse(body.data(), body.size(), /*realloc_if_needed=*/false).get(element) ==
         simdjson::SUCCESS;
}

}  // namespace

FixtureHandler::FixtureHandler(absl::string_view credentials) {
  if (!credentials.empty()) authorization_ = absl::Base64Escape(credentials);
}

bool FixtureHandler::Authorized(const RequestHead& head) const {
  if (authorization_.empty()) return true;
  const HeaderField* found = nullptr;
  for (const HeaderField& field : head.fields) {
    if (!absl::EqualsIgnoreCase(field.name, "Authorization")) continue;
    if (found != nullptr) return false;
    found = &field;
  }
  return found != nullptr && absl::StartsWithIgnoreCase(found->value, "Basic ") &&
         found->value.substr(6) == authorization_;
}

HeadVerdict FixtureHandler::OnHead(Exchange& exchange) {
  const RequestHead& head = exchange.head();
  if (head.path != kPath) {
    Answer(exchange, 404, "no such path\n");
    return HeadVerdict::Answered();
  }
  if (head.method != "POST") {
    const HeaderField allow = {"Allow", "POST"};
    Answer(exchange, 405, "POST only\n", std::span(&allow, 1));
    return HeadVerdict::Answered();
  }
  if (!Authorized(head)) {
    const HeaderField challenge = {"WWW-Authenticate", "Basic realm=\"webhook\""};
    Answer(exchange, 401, "Authorization failed.\n", std::span(&challenge, 1));
    return HeadVerdict::Answered();
  }
  return HeadVerdict::ReadBody();
}

void FixtureHandler::OnRequest(Exchange& exchange) {
  if (!IsJson(exchange.body())) return Answer(exchange, 400, "the body must be JSON\n");
  Answer(exchange, 200, "[{\"id\":1}]");
}

}  // namespace webhook::http
