#include "host_stub/admin/metrics.h"

#include <initializer_list>
#include <limits>
#include <map>
#include <utility>

#include "host_stub/engine/hosted_instance.h"
#include "host_stub/observe/process.h"

namespace host_stub {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

// An instance can have no such name: names begin with a letter or a digit.
constexpr char kUnknown[] = "_unknown";

using Labels = std::initializer_list<std::pair<const char*, absl::string_view>>;

ClientMetric WithLabels(Labels labels) {
  ClientMetric metric;
  for (const auto& [name, value] : labels) metric.label.push_back({name, std::string(value)});
  return metric;
}

// A family of counters or gauges.
class Family {
 public:
  Family(MetricType type, const char* name, const char* help) {
    family_.type = type;
    family_.name = name;
    family_.help = help;
  }

  Family& Add(Labels labels, double value) {
    ClientMetric& metric = family_.metric.emplace_back(WithLabels(labels));
    if (family_.type == MetricType::Counter) metric.counter.value = value;
    if (family_.type == MetricType::Gauge) metric.gauge.value = value;
    return *this;
  }
  Family& Add(Labels labels, int64_t value) { return Add(labels, static_cast<double>(value)); }

  // `unit`: of what the values are multiples.
  template <size_t kBounds>
  Family& AddHistogram(Labels labels, const std::array<int64_t, kBounds>& bounds,
                       const HistogramCounts<kBounds>& values, double unit) {
    ClientMetric& metric = family_.metric.emplace_back(WithLabels(labels));
    uint64_t total = 0;
    for (size_t i = 0; i <= kBounds; ++i) {
      total += static_cast<uint64_t>(values.counts[i]);
      metric.histogram.bucket.push_back({total, i == kBounds
                                                    ? std::numeric_limits<double>::infinity()
                                                    : static_cast<double>(bounds[i]) * unit});
    }
    metric.histogram.sample_count = total;
    metric.histogram.sample_sum = static_cast<double>(values.sum) * unit;
    return *this;
  }

  void MoveTo(std::vector<MetricFamily>& families) {
    if (!family_.metric.empty()) families.push_back(std::move(family_));
  }

 private:
  MetricFamily family_;
};

Family Counter(const char* name, const char* help) { return {MetricType::Counter, name, help}; }
Family Gauge(const char* name, const char* help) { return {MetricType::Gauge, name, help}; }
Family HistogramFamily(const char* name, const char* help) {
  return {MetricType::Histogram, name, help};
}

// One without labels.
template <typename Value>
void AddGauge(std::vector<MetricFamily>& families, const char* name, const char* help,
              Value value) {
  Gauge(name, help).Add({}, value).MoveTo(families);
}
template <typename Value>
void AddCounter(std::vector<MetricFamily>& families, const char* name, const char* help,
                Value value) {
  Counter(name, help).Add({}, value).MoveTo(families);
}

double Seconds(absl::Time time) { return absl::ToDoubleSeconds(time - absl::UnixEpoch()); }

const char* RouteName(RequestDurations::Route route) {
  switch (route) {
    case RequestDurations::Route::kInstance:
      return "/instance/execute/{instance}";
    case RequestDurations::Route::kListen:
      return "/";
    case RequestDurations::Route::kNone:
      break;
  }
  return "";
}

void AddHttp(const RequestDurations& durations, const HostState& state,
             std::vector<MetricFamily>& families) {
  Family histogram = HistogramFamily("http_server_request_duration_seconds",
                                     "Time from a request's first byte to its answer");
  durations.ForEach([&](const RequestDurations::Series& series) {
    histogram.AddHistogram({{"http_request_method", series.method},
                            {"http_response_status_code", series.status},
                            {"http_route", RouteName(series.route)},
                            {"url_scheme", series.over_tls ? "https" : "http"}},
                           RequestDurations::kBounds, series.durations, 1e-9);
  });
  histogram.MoveTo(families);
  AddGauge(families, "http_server_active_requests",
           "Requests of the front that have a head and no answer yet", state.front_active_requests);
  AddGauge(families, "generic_webhook_front_connections", "Open connections of the front",
           state.front_connections);
  AddGauge(families, "generic_webhook_front_bytes_in_flight",
           "Bytes of requests and unread answers of the front, which bytes_in_flight limits",
           state.front_bytes_in_flight);
}

// The families that have the label `instance`, filled instance by instance.
struct OfInstances {
  Family requests = Counter("generic_webhook_requests_total",
                            "Requests and refused connections by door and outcome");
  Family refused = Counter("generic_webhook_refused_total",
                           "Requests and connections that were refused, by reason");
  Family received = Counter("generic_webhook_received_bytes_total", "Bytes of requests");
  Family created =
      Counter("generic_webhook_incidents_created_total", "Incidents that were created");
  Family duplicate = Counter("generic_webhook_incidents_duplicate_total",
                             "Incidents that were not created because their delivery key is known");
  Family dropped =
      Counter("generic_webhook_incidents_dropped_total",
              "Events that became no incident because a rule said so, since the instance was last "
              "changed");
  Family hidden =
      Counter("generic_webhook_incidents_hidden_total",
              "Incidents that were not created because their delivery key is known with "
              "another content");
  Family forgotten =
      Counter("generic_webhook_delivery_keys_forgotten_total",
              "Delivery keys that were forgotten before their time, for want of room");
  Family in_flight = Gauge("generic_webhook_calls_in_flight", "Requests that the plugin has");
  Family faults = Counter("generic_webhook_plugin_faults_total", "Faults of the plugin");
  Family up =
      Gauge("generic_webhook_instance_up", "1 if the instance serves, 0 if it should and does not");

  Family rules = Counter("generic_webhook_rule_events_total",
                         "Events on which a rule of the instance has decided, by its place from 0, "
                         "since the instance was last changed");
  Family handshakes = Counter("generic_webhook_tls_handshakes_total",
                              "TLS handshakes of the listen port, by result");
  Family certificate_end = Gauge("generic_webhook_certificate_expiry_timestamp_seconds",
                                 "When the listen port's certificate ends, in Unix time");
  Family passwords_end = Gauge("generic_webhook_passwords_expiry_timestamp_seconds",
                               "When the last password ends, in Unix time");

  void AddTraffic(absl::string_view instance, const TrafficCounts& counts) {
    for (int door = 0; door < kDoors; ++door) {
      for (int i = 0; i < static_cast<int>(Outcome::kCount); ++i) {
        const auto outcome = static_cast<Outcome>(i);
        const int64_t count = counts.of(door, outcome);
        // The usual ones are there from the start, so that a rate of them can be asked for.
        const bool usual = instance != kUnknown && outcome == Outcome::kAccepted &&
                           (door == LRI_DOOR_FRONT || door == LRI_DOOR_LISTEN);
        if (count == 0 && !usual) continue;
        requests.Add(
            {{"instance", instance}, {"via", DoorName(door)}, {"outcome", OutcomeName(outcome)}},
            count);
      }
    }
    for (const auto& [reason, count] : counts.reasons()) {
      if (!IsRefusal(reason)) continue;
      refused.Add({{"instance", instance}, {"reason", reason}}, count);
    }
    received.Add({{"instance", instance}}, counts.bytes_received());
  }

  void Add(const InstanceEntry& entry) {
    const std::string& name = entry.settings.name;
    const Labels instance = {{"instance", name}};
    if (!entry.settings.disabled) up.Add(instance, int64_t{entry.serves()});
    if (entry.instance == nullptr) return;
    AddTraffic(name, entry.instance->traffic());
    const InstanceCounts counts = entry.instance->counts();
    created.Add(instance, counts.incidents_created);
    duplicate.Add(instance, counts.incidents_duplicate);
    hidden.Add(instance, counts.incidents_hidden);
    forgotten.Add(instance, counts.keys_forgotten_early);
    in_flight.Add(instance, counts.calls_in_flight);
    faults.Add(instance, counts.faults);
    const absl::StatusOr<InstanceDescription> description = entry.instance->Describe();
    if (!description.ok()) return;
    for (size_t rule = 0; rule < description->rule_counts.size(); ++rule) {
      rules.Add({{"instance", name}, {"rule", std::to_string(rule)}},
                static_cast<int64_t>(description->rule_counts[rule]));
    }
    if (!description->rule_counts.empty()) {
      dropped.Add(instance, static_cast<int64_t>(description->events_dropped));
    }
    if (description->certificate_end != absl::InfiniteFuture()) {
      const auto failed = [&counts](const char* reason) {
        const auto found = counts.reasons.find(reason);
        return found == counts.reasons.end() ? 0 : found->second;
      };
      handshakes.Add({{"instance", name}, {"result", "ok"}},
                     static_cast<int64_t>(description->tls_handshakes));
      handshakes.Add({{"instance", name}, {"result", "failed"}},
                     failed("tls_handshake") + failed("plain_http_on_tls"));
      certificate_end.Add(instance, Seconds(description->certificate_end));
    }
    if (description->passwords_end != absl::InfiniteFuture()) {
      passwords_end.Add(instance, Seconds(description->passwords_end));
    }
  }

  void MoveTo(std::vector<MetricFamily>& families) {
    for (Family* family :
         {&requests, &refused, &received, &created, &duplicate, &dropped, &hidden, &forgotten,
          &in_flight, &faults, &up, &rules, &handshakes, &certificate_end, &passwords_end}) {
      family->MoveTo(families);
    }
  }
};

void AddStore(const IncidentStore& store, std::vector<MetricFamily>& families) {
  const StoreStatistics statistics = store.statistics();
  HistogramFamily("generic_webhook_store_commit_duration_seconds", "Time of a commit with its sync")
      .AddHistogram({}, StoreStatistics::kCommitBounds, statistics.commit_durations, 1e-9)
      .MoveTo(families);
  HistogramFamily("generic_webhook_store_commit_incidents", "Incidents of a commit")
      .AddHistogram({}, StoreStatistics::kIncidentBounds, statistics.incidents_of_commits, 1)
      .MoveTo(families);
  AddCounter(families, "generic_webhook_incidents_deleted_total",
             "Incidents that retention has deleted", statistics.deleted_incidents);
  Counter("generic_webhook_store_errors_total", "Faults of the store, by operation")
      .Add({{"operation", "commit"}}, statistics.failed_commits)
      .Add({{"operation", "connection"}}, statistics.lost_connections)
      .MoveTo(families);
  AddGauge(families, "generic_webhook_store_up",
           "1 if the last commit succeeded, 0 if the store cannot write",
           int64_t{store.health().ok()});
  AddGauge(families, "generic_webhook_store_queued_batches",
           "Requests that wait for the writer, which queued_batches limits",
           statistics.queued_batches);
  AddGauge(families, "generic_webhook_store_queued_bytes",
           "The same in bytes, which queued_bytes limits", statistics.queued_bytes);
  AddGauge(families, "generic_webhook_store_size_bytes", "The database on disk",
           statistics.database_bytes);
  AddGauge(families, "generic_webhook_store_wal_size_bytes", "The WAL on disk",
           statistics.wal_bytes);
  if (statistics.free_disk_bytes >= 0) {
    AddGauge(families, "generic_webhook_store_free_bytes", "What is left on its file system",
             statistics.free_disk_bytes);
  }
  AddGauge(families, "generic_webhook_store_last_incident_id", "The highest id of an incident",
           store.last_id());
}

void AddProcess(std::vector<MetricFamily>& families) {
  const ProcessUse use = ReadProcessUse();
  AddCounter(families, "process_cpu_seconds_total", "Processor time",
             absl::ToDoubleSeconds(use.processor));
  AddGauge(families, "process_resident_memory_bytes", "Resident memory", use.resident_bytes);
  AddGauge(families, "process_virtual_memory_bytes", "Virtual memory", use.virtual_bytes);
  AddGauge(families, "process_open_fds", "Open file descriptors", use.open_descriptors);
  AddGauge(families, "process_max_fds", "File descriptors that the system permits",
           use.most_descriptors);
  AddGauge(families, "process_threads", "Threads", use.threads);
  AddGauge(families, "process_start_time_seconds", "When the process was started, in Unix time",
           Seconds(use.started));
}

}  // namespace

std::vector<MetricFamily> HostMetrics::Collect() const {
  std::vector<MetricFamily> families;
  const HostState state = parts_.state();
  AddHttp(parts_.traffic->durations(), state, families);

  OfInstances of_instances;
  of_instances.AddTraffic(kUnknown, parts_.traffic->without_instance());
  const std::shared_ptr<const InstanceSnapshot> snapshot = parts_.instances->current();
  for (const auto& [name, entry] : snapshot->entries()) of_instances.Add(*entry);
  of_instances.MoveTo(families);

  AddStore(*parts_.store, families);
  AddGauge(families, "generic_webhook_config_last_reload_successful",
           "1 if the configuration was taken over when it was last read",
           int64_t{state.last_reload_succeeded});
  AddGauge(families, "generic_webhook_config_last_reload_success_timestamp_seconds",
           "When the configuration was last taken over, in Unix time", Seconds(state.last_reload));
  AddCounter(families, "generic_webhook_clock_steps_total",
             "How often the clock was set by a second or more", state.clock_steps);
  AddCounter(families, "generic_webhook_log_lines_dropped_total",
             "Lines that were left out of the log, because of log_lines_per_second or because they "
             "could not be written at once",
             parts_.logger->dropped());
  const AccessLog* const access_log = parts_.traffic->access_log();
  AddCounter(
      families, "generic_webhook_access_log_lines_dropped_total",
      "Requests that have no line in the access log, for want of room in its buffer or because "
      "it could not be written",
      access_log == nullptr ? 0 : access_log->dropped());
  Family limits = Gauge("generic_webhook_limit", "The limits of the configuration, by name");
  for (const webhook::LimitDescription& limit : webhook::DescribeLimits()) {
    limits.Add({{"name", limit.name}}, parts_.limits.*limit.member);
  }
  limits.MoveTo(families);
  Gauge("generic_webhook_build_info", "1, with the version as a label")
      .Add({{"version", parts_.version}}, int64_t{1})
      .MoveTo(families);
  AddProcess(families);
  return families;
}

}  // namespace host_stub
