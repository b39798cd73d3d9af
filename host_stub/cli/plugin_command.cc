#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "host_stub/cli/client.h"
#include "host_stub/cli/commands.h"
#include "host_stub/cli/text.h"
#include "host_stub/config/nearest_name.h"

namespace host_stub {
namespace {

namespace v1 = ::long_running_integration::v1;

constexpr char kNotDescribed[] = "the plugin does not describe them";

// "text" of PARAMETER_TYPE_TEXT.
std::string TypeName(v1::ParameterType type) {
  return absl::AsciiStrToLower(absl::StripPrefix(v1::ParameterType_Name(type), "PARAMETER_TYPE_"));
}

}  // namespace

int ShowParameters(const ClientOptions& options) {
  v1::GetPluginInfoResponse info;
  if (const int code = Client(options).Call(v1::GetPluginInfoRequest(), info); code != kDone) {
    return code;
  }
  std::vector<std::string> documents;
  std::vector<std::vector<std::string>> rows = {
      {"NAME", "TYPE", "SECRET", "DEFAULT", "REQUIRED", "MEANING"}};
  for (const v1::ParameterDescription& one : info.described_parameters()) {
    documents.push_back(JsonObject({{"name", JsonString(one.name())},
                                    {"type", JsonString(TypeName(one.type()))},
                                    {"secret", one.secret() ? "true" : "false"},
                                    {"mayBeFile", one.may_be_file() ? "true" : "false"},
                                    {"default", JsonString(one.default_value())},
                                    {"required", JsonString(one.required())},
                                    {"meaning", JsonString(one.meaning())}}));
    rows.push_back({one.name(), TypeName(one.type()), one.secret() ? "yes" : "",
                    one.default_value(), one.required(), one.meaning()});
  }
  PrintList(options.json, documents, rows, kNotDescribed);
  return kDone;
}

int ShowLimits(const ClientOptions& options) {
  v1::GetPluginInfoResponse info;
  if (const int code = Client(options).Call(v1::GetPluginInfoRequest(), info); code != kDone) {
    return code;
  }
  std::vector<std::string> documents;
  std::vector<std::vector<std::string>> rows = {{"NAME", "DEFAULT", "LEAST", "MOST", "BEYOND IT"}};
  for (const v1::LimitDescription& one : info.limits()) {
    documents.push_back(JsonObject({{"name", JsonString(one.name())},
                                    {"default", absl::StrCat(one.default_value())},
                                    {"least", absl::StrCat(one.least())},
                                    {"most", absl::StrCat(one.most())},
                                    {"meaning", JsonString(one.meaning())}}));
    rows.push_back({one.name(), absl::StrCat(one.default_value()), absl::StrCat(one.least()),
                    absl::StrCat(one.most()), one.meaning()});
  }
  PrintList(options.json, documents, rows, kNotDescribed);
  return kDone;
}

int ShowSources(const ClientOptions& options) {
  v1::GetPluginInfoResponse info;
  if (const int code = Client(options).Call(v1::GetPluginInfoRequest(), info); code != kDone) {
    return code;
  }
  std::vector<std::string> documents;
  std::vector<std::vector<std::string>> rows = {{"NAME", "TITLE"}};
  std::vector<absl::string_view> names;
  for (const v1::SourceDescription& one : info.sources()) {
    names.push_back(one.name());
    if (!options.name.empty() && options.name != one.name()) continue;
    documents.push_back(JsonObject({{"name", JsonString(one.name())},
                                    {"title", JsonString(one.title())},
                                    {"description", JsonString(one.description())},
                                    {"profile", one.profile()}}));
    rows.push_back({one.name(), one.title()});
    if (options.name.empty() || options.json) continue;
    std::printf("%s\nThe profile, as the parameter source takes it too\n%s\n",
                one.description().c_str(), one.profile().c_str());
  }
  if (!options.name.empty() && documents.empty()) {
    return Fail(absl::StrCat("NAME: unknown; ", DidYouMean(options.name, names)), kNotAsked);
  }
  if (options.name.empty() || options.json) {
    PrintList(options.json, documents, rows, kNotDescribed);
  }
  return kDone;
}

}  // namespace host_stub
