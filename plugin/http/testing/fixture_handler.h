// A handler that behaves like a webhook front, for tests and measurements: one path, POST only,
// Basic credentials before the body, JSON bodies.
#ifndef PLUGIN_HTTP_TESTING_FIXTURE_HANDLER_H_
#define PLUGIN_HTTP_TESTING_FIXTURE_HANDLER_H_

#include <string>

#include "plugin/http/handler.h"

namespace webhook::http {

class FixtureHandler : public Handler {
 public:
  static constexpr char kPath[] = "/instance/execute/webhook";

  // `credentials` is "user:password"; empty: none are asked for.
  explicit FixtureHandler(absl::string_view credentials);

  HeadVerdict OnHead(Exchange& exchange) override;
  void OnRequest(Exchange& exchange) override;

 private:
  bool Authorized(const RequestHead& head) const;

  std::string authorization_;  // base64 of the credentials
};

}  // namespace webhook::http

#endif  // PLUGIN_HTTP_TESTING_FIXTURE_HANDLER_H_
