"""The border of plugin/abi/long_running_integration.h for engines in Python: its structs, and a host.

Only what the header says is used here: this is what an engine's developer writes from it.
"""

import base64
import ctypes
import threading
import time
from ctypes import CFUNCTYPE, POINTER, Structure, byref, c_char_p, c_double, c_int32, c_int64
from ctypes import c_size_t, c_uint32, c_uint64, c_void_p, sizeof

OK, INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS = 0, 3, 5, 6
DEADLINE_EXCEEDED, FAILED_PRECONDITION, UNIMPLEMENTED, UNAVAILABLE = 4, 9, 12, 14
CREATED, NOT_CREATED, NOT_KNOWN = 1, 2, 3
LISTEN, EXECUTE = 3, 4
LENGTH_UNKNOWN = 2**64 - 1
BODY_PADDING = 64


class View(Structure):
    _fields_ = [("data", c_void_p), ("size", c_size_t)]

    def bytes(self):
        return ctypes.string_at(self.data, self.size) if self.size else b""

    def text(self):
        return self.bytes().decode()


class Array(Structure):
    """lri_pairs, lri_views and the others: `stride` bytes from one element to the next."""

    _fields_ = [("data", c_void_p), ("count", c_size_t), ("stride", c_size_t)]

    def items(self, element):
        return [element.from_address(self.data + i * self.stride) for i in range(self.count)]


class Pair(Structure):
    _fields_ = [("name", View), ("value", View)]


class Error(Structure):
    _fields_ = [("struct_size", c_uint32), ("message", ctypes.c_char * 1020)]


class RequestHead(Structure):
    _fields_ = [
        ("struct_size", c_uint32), ("peer_flags", c_uint32), ("method", View), ("path", View),
        ("remainder", View), ("query", View), ("headers", Array), ("peer_address", View),
        ("request_id", View), ("content_length", c_uint64), ("deadline_mono_ns", c_int64),
    ]  # fmt: skip


class Request(Structure):
    _fields_ = [
        ("struct_size", c_uint32), ("reserved", c_uint32), ("call", c_void_p),
        ("head", POINTER(RequestHead)), ("body", View), ("head_ticket", c_uint64),
    ]  # fmt: skip


class Answer(Structure):
    _fields_ = [
        ("struct_size", c_uint32), ("status", c_int32), ("headers", Array), ("body", View),
        ("reason", c_int32), ("reserved", c_uint32), ("detail", View),
    ]  # fmt: skip


class HeadVerdict(Structure):
    _fields_ = [
        ("struct_size", c_uint32), ("refused", c_uint32), ("body_limit_bytes", c_uint64),
        ("ticket", c_uint64),
    ]  # fmt: skip


class Incident(Structure):
    _fields_ = [
        ("name", View), ("type", View), ("occurred", View), ("details", Array), ("warnings", Array),
        ("delivery_key", View), ("content", View), ("severity", c_double),
    ]  # fmt: skip


class CreatedIncident(Structure):
    _fields_ = [
        ("id", View), ("created", View), ("duplicate", c_uint32), ("other_content", c_uint32),
        ("name", View), ("type", View), ("occurred", View), ("severity", c_double),
    ]  # fmt: skip


class CreateResult(Structure):
    _fields_ = [
        ("struct_size", c_uint32), ("outcome", c_int32), ("code", c_int32),
        ("retry_after_s", c_uint32), ("message", View), ("incidents", c_void_p),
        ("count", c_size_t), ("stride", c_size_t),
    ]  # fmt: skip


CreateDone = CFUNCTYPE(None, c_void_p, POINTER(CreateResult))
ContextDone = CFUNCTYPE(None, c_void_p, c_int32, View)
CommandDone = CFUNCTYPE(None, c_void_p, c_int32, View)
AnswerSink = CFUNCTYPE(None, c_void_p, POINTER(Answer))


class IncidentBatch(Structure):
    _fields_ = [
        ("struct_size", c_uint32), ("dry_run", c_uint32), ("incidents", Array),
        ("delivery_key", View), ("delivery_key_ttl_s", c_int64), ("deadline_mono_ns", c_int64),
        ("done", CreateDone), ("done_context", c_void_p), ("call", c_void_p),
        ("request_id", View), ("peer_address", View), ("content", View),
        ("replay_key", View), ("request_address", View), ("request_query", View),
    ]  # fmt: skip


class Answered(Structure):
    _fields_ = [
        ("struct_size", c_uint32), ("door", c_int32), ("instance", c_void_p),
        ("request_id", View), ("peer_address", View), ("method", View), ("path", View),
        ("header_names", Array), ("status", c_int32), ("reason", c_int32), ("detail", View),
        ("bytes_received", c_uint64), ("bytes_sent", c_uint64), ("duration_ns", c_int64),
        ("over_tls", c_uint32), ("reserved", c_uint32), ("trace_id", View),
    ]  # fmt: skip


class HostTable(Structure):
    _fields_ = [
        ("struct_size", c_uint32), ("abi_minor", c_uint32), ("context", c_void_p),
        ("create_incidents", CFUNCTYPE(c_int32, c_void_p, c_void_p, POINTER(IncidentBatch))),
        ("complete", CFUNCTYPE(None, c_void_p, c_void_p, POINTER(Answer))),
        ("context_get", CFUNCTYPE(c_int32, c_void_p, c_void_p, View, ContextDone, c_void_p)),
        ("context_set", CFUNCTYPE(c_int32, c_void_p, c_void_p, View, View, ContextDone, c_void_p)),
        ("set_health", CFUNCTYPE(None, c_void_p, c_void_p, c_int32, View)),
        ("log", CFUNCTYPE(None, c_void_p, c_void_p, c_int32, View)),
        ("now", CFUNCTYPE(c_int64, c_void_p)),
        ("on_answered", CFUNCTYPE(None, c_void_p, POINTER(Answered))),
        ("answered_doors", c_uint32), ("reserved", c_uint32),
    ]  # fmt: skip


class PluginOptions(Structure):
    _fields_ = [("struct_size", c_uint32), ("io_threads", c_uint32), ("limits", Array)]


class InstanceOptions(Structure):
    _fields_ = [
        ("struct_size", c_uint32), ("on_engine", c_uint32), ("host_instance", c_void_p),
        ("name", View), ("product", View), ("platform_url", View), ("parameters", Array),
        ("reserved", c_uint64),
    ]  # fmt: skip


class Parameter(Structure):
    _fields_ = [
        ("name", View), ("type", c_int32), ("secret", c_uint32), ("may_be_file", c_uint32),
        ("reserved", c_uint32), ("default_value", View), ("required", View), ("meaning", View),
    ]  # fmt: skip


class Limit(Structure):
    _fields_ = [
        ("name", View), ("default_value", c_int64), ("least", c_int64), ("most", c_int64),
        ("meaning", View),
    ]  # fmt: skip


class Source(Structure):
    _fields_ = [("name", View), ("title", View), ("description", View), ("profile", View)]


class PluginInfo(Structure):
    _fields_ = [
        ("struct_size", c_uint32), ("reserved", c_uint32), ("name", View), ("version", View),
        ("parameters", Array), ("described_parameters", Array), ("limits", Array),
        ("sources", Array),
    ]  # fmt: skip


class Description(Structure):
    _fields_ = [
        ("struct_size", c_uint32), ("external_key_needed", c_uint32), ("path_prefix", View),
        ("webhook_url", View), ("listen_url", View), ("record_noun", View), ("warnings", Array),
        ("listen_succeeded", c_uint64), ("listen_refused", c_uint64), ("listen_failed", c_uint64),
        ("rule_counts", POINTER(c_uint64)), ("rules", c_size_t), ("token_header", Pair),
        ("token_parameter", View), ("is_signed", c_uint32), ("reserved", c_uint32),
        ("certificate_end_s", c_int64), ("passwords_end_s", c_int64), ("tls_handshakes", c_uint64),
        ("events_dropped", c_uint64),
    ]  # fmt: skip


InfoSink = CFUNCTYPE(None, c_void_p, POINTER(PluginInfo))
DescriptionSink = CFUNCTYPE(None, c_void_p, POINTER(Description))


class PluginTable(Structure):
    _fields_ = [
        ("struct_size", c_uint32), ("abi_minor", c_uint32),
        ("info", CFUNCTYPE(None, InfoSink, c_void_p)),
        ("plugin_create", CFUNCTYPE(c_int32, POINTER(HostTable), POINTER(PluginOptions),
                                    POINTER(c_void_p), POINTER(Error))),
        ("plugin_destroy", CFUNCTYPE(None, c_void_p)),
        ("create", CFUNCTYPE(c_int32, c_void_p, POINTER(InstanceOptions), POINTER(c_void_p),
                             POINTER(Error))),
        ("start", CFUNCTYPE(c_int32, c_void_p, POINTER(Error))),
        ("stop", CFUNCTYPE(c_int32, c_void_p, c_int64, POINTER(Error))),
        ("destroy", CFUNCTYPE(None, c_void_p)),
        ("check_head", CFUNCTYPE(c_int32, c_void_p, POINTER(RequestHead), AnswerSink, c_void_p,
                                 POINTER(HeadVerdict))),
        ("execute", CFUNCTYPE(c_int32, c_void_p, POINTER(Request))),
        ("cancel", CFUNCTYPE(None, c_void_p, c_void_p)),
        ("update_prepare", CFUNCTYPE(c_int32, c_void_p, POINTER(InstanceOptions),
                                     POINTER(c_void_p), POINTER(Error))),
        ("update_commit", CFUNCTYPE(None, c_void_p)),
        ("update_abort", CFUNCTYPE(None, c_void_p)),
        ("describe", CFUNCTYPE(c_int32, c_void_p, DescriptionSink, c_void_p)),
        ("command", CFUNCTYPE(c_int32, c_void_p, View, View, CommandDone, c_void_p)),
    ]  # fmt: skip


def sized(struct, **members):
    return struct(struct_size=sizeof(struct), **members)


class Keeper:
    """Keeps what views point to for as long as it lives."""

    def __init__(self):
        self.kept = []

    def view(self, text):
        data = text.encode() if isinstance(text, str) else text
        buffer = ctypes.create_string_buffer(data, len(data) + BODY_PADDING)
        self.kept.append(buffer)
        return View(ctypes.addressof(buffer), len(data))

    def array(self, element, items):
        array = (element * max(len(items), 1))(*items)
        self.kept.append(array)
        return Array(ctypes.addressof(array), len(items), sizeof(element))

    def pairs(self, pairs):
        return self.array(Pair, [Pair(self.view(name), self.view(value)) for name, value in pairs])


def in_seconds(seconds):
    return time.monotonic_ns() + int(seconds * 1e9)


def basic(user="user", password="pass"):
    return "Authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def load(path):
    """The plugin's table, and the library, which must be kept."""
    library = ctypes.CDLL(path)
    entry = library.lri_plugin_entry_v1
    entry.argtypes, entry.restype = [c_uint32], POINTER(PluginTable)
    return entry(2).contents, library


def info(table):
    """What the plugin tells of itself: name, version, parameters and limits as dictionaries."""
    told = {}

    def sink(_, given):
        given = given.contents
        told["name"], told["version"] = given.name.text(), given.version.text()
        told["names"] = [view.text() for view in given.parameters.items(View)]
        told["parameters"] = [
            {
                "name": one.name.text(),
                "type": one.type,
                "secret": bool(one.secret),
                "may_be_file": bool(one.may_be_file),
                "default": one.default_value.text(),
                "required": one.required.text(),
                "meaning": one.meaning.text(),
            }
            for one in given.described_parameters.items(Parameter)
        ]
        told["limits"] = [
            {
                "name": one.name.text(),
                "default": one.default_value,
                "least": one.least,
                "most": one.most,
                "meaning": one.meaning.text(),
            }
            for one in given.limits.items(Limit)
        ]
        told["sources"] = [
            {
                "name": one.name.text(),
                "title": one.title.text(),
                "description": one.description.text(),
                "profile": one.profile.text(),
            }
            for one in given.sources.items(Source)
        ]

    table.info(InfoSink(sink), None)
    return told


class Host:
    """An engine: a store in memory, and what it was told. One at a time uses a plugin."""

    def __init__(self, table, limits=(), without=()):
        self.table = table
        self.changed = threading.Condition()
        self.batches, self.answers, self.answered, self.log, self.health = [], {}, [], [], []
        self.context = {}
        self.outcome = {}  # of the next batches: members of CreateResult
        self.first = None  # what all incidents of the next batches are duplicates of
        self.completions = 1  # how often each done is called
        self.hold = []  # where it is not None: batches that wait
        self.held = None
        keeper = Keeper()
        functions = {
            "create_incidents": self._create,
            "complete": self._complete,
            "context_get": self._context_get,
            "context_set": self._context_set,
            "set_health": lambda _, instance, health, text: self.health.append((health, text.text())),
            "log": lambda _, instance, severity, text: self.log.append(text.text()),
            "on_answered": self._answered,
        }
        self.host_table = sized(HostTable, abi_minor=3)
        self.kept = [keeper]
        for name, function in functions.items():
            if name in without:
                continue
            kind = dict(HostTable._fields_)[name]
            self.kept.append(kind(function))
            setattr(self.host_table, name, self.kept[-1])
        options = sized(PluginOptions, io_threads=1, limits=keeper.pairs(limits))
        self.plugin = c_void_p()
        error = sized(Error)
        code = table.plugin_create(byref(self.host_table), byref(options), byref(self.plugin), byref(error))
        if code != OK:
            raise RuntimeError(error.message.decode())

    # ---- the host's table -----------------------------------------------------------------------

    def _create(self, _, instance, batch):
        batch = batch.contents
        incidents = [
            {
                "name": one.name.text(),
                "type": one.type.text(),
                "occurred": one.occurred.text(),
                "details": b"".join(view.bytes() for view in one.details.items(View)).decode(),
                "warnings": [view.text() for view in one.warnings.items(View)],
                "delivery_key": one.delivery_key.bytes(),
                "severity": one.severity,
            }
            for one in batch.incidents.items(Incident)
        ]
        made = {
            "incidents": incidents,
            "dry_run": batch.dry_run,
            "delivery_key": batch.delivery_key.bytes(),
            "replay_key": batch.replay_key.bytes(),
            "delivery_key_ttl_s": batch.delivery_key_ttl_s,
            "call": batch.call,
            "request_id": batch.request_id.text(),
            "peer_address": batch.peer_address.text(),
            "request": (batch.request_address.text(), batch.request_query.text()),
        }
        finish = lambda: self._finish(batch.done, batch.done_context, len(incidents), batch.dry_run)
        with self.changed:
            self.batches.append(made)
            if self.held is not None:
                self.held.append(finish)
                return OK
        finish()
        return OK

    def _finish(self, done, done_context, count, dry_run):
        keeper = Keeper()
        first = sum(len(batch["incidents"]) for batch in self.batches) - count + 1
        created = [
            CreatedIncident(
                id=keeper.view("" if dry_run else str(first + i)),
                created=keeper.view("2024-05-01T10:00:00Z"),
            )
            for i in range(count)
        ]
        for one in created if self.first else ():
            one.duplicate, one.severity = 1, self.first["severity"]
            for member in ("name", "type", "occurred"):
                setattr(one, member, keeper.view(self.first[member]))
        array = keeper.array(CreatedIncident, created)
        result = sized(
            CreateResult, outcome=CREATED, incidents=array.data, count=count, stride=array.stride
        )
        for member, value in self.outcome.items():
            setattr(result, member, keeper.view(value) if member == "message" else value)
        for _ in range(self.completions):
            done(done_context, byref(result))

    def release(self):
        with self.changed:
            held, self.held = self.held, None
        for finish in held:
            finish()

    def _complete(self, _, call, answer):
        answer = answer.contents
        headers = {pair.name.text(): pair.value.text() for pair in answer.headers.items(Pair)}
        with self.changed:
            self.answers.setdefault(call, []).append((answer.status, headers, answer.body.text()))
            self.changed.notify_all()

    def _answered(self, _, answered):
        one = answered.contents
        made = {name: getattr(one, name) for name in ("door", "status", "reason", "bytes_received")}
        for name in ("request_id", "peer_address", "method", "path", "detail"):
            made[name] = getattr(one, name).text()
        made["header_names"] = [view.text() for view in one.header_names.items(View)]
        with self.changed:
            self.answered.append(made)
            self.changed.notify_all()

    def _context_get(self, _, instance, key, done, done_context):
        keeper = Keeper()
        value = self.context.get(key.text())
        for _ in range(self.completions):
            done(done_context, NOT_FOUND if value is None else OK, keeper.view(value or b""))
        return OK

    def _context_set(self, _, instance, key, value, done, done_context):
        self.context[key.text()] = value.bytes()
        for _ in range(self.completions):
            done(done_context, OK, View())
        return OK

    # ---- what an engine does --------------------------------------------------------------------

    def wait(self, holds, seconds=30):
        with self.changed:
            assert self.changed.wait_for(holds, seconds), (self.answers, self.answered)

    def options(self, keeper, name, product="XSOAR_8_ON_PREM", **parameters):
        return sized(
            InstanceOptions,
            name=keeper.view(name),
            product=keeper.view(product),
            parameters=keeper.pairs(parameters.items()),
        )

    def create(self, name="webhook", **parameters):
        """(code, handle, message)"""
        keeper, handle, error = Keeper(), c_void_p(), sized(Error)
        options = self.options(keeper, name, **parameters)
        code = self.table.create(self.plugin, byref(options), byref(handle), byref(error))
        return code, handle, error.message.decode()

    def serve(self, **parameters):
        code, handle, message = self.create(**parameters)
        assert code == OK, message
        error = sized(Error)
        assert self.table.start(handle, byref(error)) == OK, error.message
        return handle

    def end(self, *instances):
        """Stops and destroys the instances and the plugin."""
        for instance in instances:
            error = sized(Error)
            assert self.table.stop(instance, in_seconds(20), byref(error)) == OK, error.message
            self.table.destroy(instance)
        self.table.plugin_destroy(self.plugin)

    def head(self, keeper, headers=(), method="POST", remainder="", length=0, **members):
        return sized(
            RequestHead,
            method=keeper.view(method),
            path=keeper.view("/instance/execute/webhook" + remainder),
            remainder=keeper.view(remainder),
            headers=keeper.pairs(headers),
            peer_address=keeper.view("192.0.2.7"),
            request_id=keeper.view("engine-1"),
            content_length=length,
            **members,
        )

    def check_head(self, instance, head):
        """(code, verdict, status of the refusal or None)"""
        told = []
        verdict = sized(HeadVerdict)
        sink = AnswerSink(lambda _, answer: told.append(answer.contents.status))
        code = self.table.check_head(instance, byref(head), sink, None, byref(verdict))
        return code, verdict, told[0] if told else None

    def execute(self, instance, body=b"{}", ticket=0, head=None, keeper=None, **head_members):
        """The one answer: (status, headers, body)."""
        keeper = keeper or Keeper()
        head = head or self.head(keeper, length=len(body), **head_members)
        with self.changed:
            call = 1000 + len(self.answers)
            self.answers[call] = []
        request = sized(
            Request, call=call, head=ctypes.pointer(head), body=keeper.view(body), head_ticket=ticket
        )
        code = self.table.execute(instance, byref(request))
        if code != OK:
            return code
        self.wait(lambda: self.answers[call])
        return self.answers[call][0]

    def command(self, instance, name, arguments=""):
        """(code, text); a code alone where it is refused."""
        keeper, told = Keeper(), []
        done = CommandDone(lambda _, code, text: told.append((code, text.text())))
        code = self.table.command(instance, keeper.view(name), keeper.view(arguments), done, None)
        if code != OK:
            return code
        deadline = time.monotonic() + 30
        while not told and time.monotonic() < deadline:
            time.sleep(0.001)
        return told[0]

    def describe(self, instance):
        told = []
        sink = DescriptionSink(
            lambda _, given: told.append(
                {
                    "warnings": [view.text() for view in given.contents.warnings.items(View)],
                    "listen_url": given.contents.listen_url.text(),
                    "record_noun": given.contents.record_noun.text(),
                    "answers": (
                        given.contents.listen_succeeded,
                        given.contents.listen_refused,
                        given.contents.listen_failed,
                    ),
                }
            )
        )
        assert self.table.describe(instance, sink, None) == OK
        return told[0]
