// The project's JSON conformance cases, for tests: testdata/json_cases.txt.
#ifndef PLUGIN_BASE_TESTING_JSON_CASES_H_
#define PLUGIN_BASE_TESTING_JSON_CASES_H_

#include <string>
#include <vector>

namespace base {

struct JsonCase {
  bool accepted;  // as the body of a request
  std::string name;
  std::string text;
};

// Reads them from the runfiles; the test needs //plugin/base:testing.
std::vector<JsonCase> ReadJsonCases();

}  // namespace base

#endif  // PLUGIN_BASE_TESTING_JSON_CASES_H_
