// Takes any bytes as a path, as a mapper and as a sample. The results are JSON, each listed path
// can be parsed, and samples that were written can be read again.
//
// The input: a path, NUL, the mapper's arguments, NUL, a sample's JSON.
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "plugin/base/json_path.h"
#include "plugin/base/json_reader.h"
#include "plugin/base/json_text.h"
#include "plugin/base/testing/padded_text.h"
#include "plugin/core/mapper.h"
#include "plugin/core/samples.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/strict_json.h"

namespace {

using base::JsonPath;
using base::JsonReader;
using base::JsonValue;
using webhook::core::Mapper;
using webhook::core::SharedSample;
using webhook::fuzz::MayBeJson;
using webhook::fuzz::Require;

constexpr size_t kMostBytes = 1 << 20;
constexpr int kDepth = 130;

bool IsObject(absl::string_view json) {
  base::JsonReader reader(kDepth);
  const base::PaddedText text(json);
  base::JsonValue value;
  return reader.Open(text.view()) && reader.Peek() == '{' && reader.ReadValue(value) &&
         reader.Finish();
}

// Every value at the path is a part of the text and JSON by itself.
void CheckPath(absl::string_view path, absl::string_view json) {
  const auto paths = JsonPath::ParseList(path);
  if (!paths.ok()) return;
  for (const std::vector<JsonPath>& joined : *paths) {
    for (const JsonPath& one : joined) {
      Require(JsonPath::Parse(one.text()).ok());
      base::JsonReader reader(kDepth);
      const base::PaddedText text(json);
      std::vector<base::JsonValue> values;
      if (!reader.Open(text.view()) || !one.Collect(reader, values)) continue;
      Require(values.size() <= 1 || !one.names_one_value());
      for (const base::JsonValue& value : values) {
        Require(value.text.data() >= text.view().data());
        Require(value.text.data() + value.text.size() <= text.view().data() + text.view().size());
      }
    }
  }
}

void CheckName(absl::string_view name) {
  constexpr size_t kMostPathBytes = 1024;
  std::string inside(base::MostEscapedBytes(name.size()), '\0');
  bool beyond_ascii = false;
  const char* const end = base::WriteJsonEscapedBytes(name, inside.data(), beyond_ascii);
  inside.resize(static_cast<size_t>(end - inside.data()));
  Require(MayBeJson(absl::StrCat("\"", inside, "\"")));
  const std::string quoted = absl::StrCat("\"", inside, "\"");
  // A name put into a path is found under it.
  const base::PaddedText text(absl::StrCat("{", quoted, ":7}"));
  const std::string plain =
      base::TextOfString({base::JsonKind::kString, true, false, absl::string_view(quoted)});
  std::string path;
  base::AppendPathName(&path, plain);
  if (path.size() > kMostPathBytes) return;
  const auto parsed = JsonPath::Parse(path);
  Require(parsed.ok());
  base::JsonReader reader(kDepth);
  std::vector<base::JsonValue> values;
  Require(reader.Open(text.view()) && parsed->Collect(reader, values));
  Require(values.size() == 1 && values[0].text == "7");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  webhook::fuzz::Input input(data, size);
  const absl::string_view path = input.UpTo('\0');
  const absl::string_view arguments = input.UpTo('\0');
  const absl::string_view json = input.Rest();
  CheckPath(path, json);
  CheckName(path);

  // Only JSON objects become samples, and objects that were cut.
  std::vector<SharedSample> samples;
  if (IsObject(json)) {
    samples.push_back(
        webhook::core::MakeSample("n", "t", "2024-05-01T10:00:00Z", {&json, 1}, size));
    samples.push_back(
        webhook::core::MakeSample("n", "t", "2024-05-01T10:00:00Z", {&json, 1}, size / 2));
  }
  Require(MayBeJson(webhook::core::ListFields(samples, 100)));
  const std::string written = webhook::core::WriteSamples(samples, kMostBytes);
  Require(MayBeJson(written));
  const auto read = webhook::core::ReadSamples(written);
  Require(read.ok() && read->size() == samples.size());
  for (size_t i = 0; i < samples.size(); ++i) {
    Require((*read)[i]->raw_json == samples[i]->raw_json);
  }
  (void)webhook::core::ReadSamples(json);  // the host may keep anything

  const auto mapper = Mapper::Parse(arguments, 100);
  if (!mapper.ok()) {
    Require(!mapper.status().message().empty());
    return 0;
  }
  const auto mapped = mapper->Map(samples, kMostBytes);
  Require(!mapped.ok() || MayBeJson(*mapped));
  return 0;
}
