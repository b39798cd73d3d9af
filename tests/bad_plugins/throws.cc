// Lets an exception out of the function that THROWS_IN names.
#include <stdexcept>

#include "tests/bad_plugins/harmless.h"

template <typename Result, typename... Arguments>
Result Throw(Arguments...) {
  throw std::runtime_error("out of luck");
}

// A function of whatever type the member has.
template <typename Result, typename... Arguments>
void MakeThrow(Result (*&member)(Arguments...)) {
  member = &Throw<Result, Arguments...>;
}

const lri_plugin_table* lri_plugin_entry_v1(uint32_t) {
  lri_plugin_table* table = HarmlessTable();
  MakeThrow(table->THROWS_IN);
  return table;
}
