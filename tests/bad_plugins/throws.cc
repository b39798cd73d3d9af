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

// Otherwise it keeps a call until it is stopped, so that there is something to cancel.
static lri_call* kept_call;

static int32_t Execute(lri_instance*, const lri_request* request) {
  kept_call = request->call;
  return LRI_OK;
}

static int32_t Stop(lri_instance*, int64_t, lri_error*) {
  if (kept_call != nullptr) HarmlessAnswer(kept_call);
  kept_call = nullptr;
  return LRI_OK;
}

const lri_plugin_table* lri_plugin_entry_v1(uint32_t) {
  lri_plugin_table* table = HarmlessTable();
  table->execute = &Execute;
  table->stop = &Stop;
  MakeThrow(table->THROWS_IN);
  return table;
}
