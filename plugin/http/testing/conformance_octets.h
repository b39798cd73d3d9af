// The escapes and macros of conformance_cases.txt, for the programs that play its cases.
#ifndef PLUGIN_HTTP_TESTING_CONFORMANCE_OCTETS_H_
#define PLUGIN_HTTP_TESTING_CONFORMANCE_OCTETS_H_

#include <string>

namespace webhook::http {

// The octets that a case's line stands for; the file's head explains the notation. Ends the
// program at a line that is wrong.
std::string Octets(std::string text);

}  // namespace webhook::http

#endif  // PLUGIN_HTTP_TESTING_CONFORMANCE_OCTETS_H_
