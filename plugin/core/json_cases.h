// The project's JSON conformance cases, for tests: testdata/json_cases.txt.
#ifndef PLUGIN_CORE_JSON_CASES_H_
#define PLUGIN_CORE_JSON_CASES_H_

#include <string>
#include <vector>

namespace webhook::core {

struct JsonCase {
  bool accepted;  // as the body of a request
  std::string name;
  std::string text;
};

// Of the runfiles of a test that has the file among its data.
std::vector<JsonCase> ReadJsonCases();

}  // namespace webhook::core

#endif  // PLUGIN_CORE_JSON_CASES_H_
