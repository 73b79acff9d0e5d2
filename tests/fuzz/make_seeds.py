"""Writes the starting inputs below seeds/: small, and of every shape a target knows."""

import pathlib
import struct

here = pathlib.Path(__file__).parent
data = here.parent / "data"


def write(target, name, content):
    folder = here / "seeds" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


turns = '[{"conversations": [{"from": "human", "value": "a\\u00e9"}, {"from": "gpt", "value": "b"}, {}]}]'
write("json_reader", "sharegpt", turns.encode())
write("json_reader", "twice", b'[{"conversations": [], "conversations": [{"value": "x", "value": "y"}, {"value": ""}]}]')
write("json_reader", "shapes", b'[{"conversations": 1}, null, 1.5e9, -1, true, "\\ud83d\\ude00\\ud83d", [], {"messages": []}]')
write("json_reader", "messages", b'{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]}\n')
write("json_reader", "prompts", b'{"prompt": "hi", "output_len": 3}\n{"prompt": "ho"}\n')

TEXTS = ["Hello world,  this is\n\ta test <eoh>", "\u4e2d\u6587\u5b57\u7b26 \U0001f600 e\u0301 \u2581\0", "a" * 200]
for shape in range(5):
    for number, text in enumerate(TEXTS):
        write("sp_encoder", f"text-{shape}-{number}", bytes([shape]) + text.encode())
    for high in (0x80, 0xA0, 0xC0):
        write("sp_encoder", f"pieces-{shape}-{high:x}", bytes([shape | high]) + bytes(range(0, 240)))


def varint(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def nested(number, message):
    return varint(number << 3 | 2) + varint(len(message)) + message


def integer(number, value):
    return varint(number << 3) + varint(value)


def piece(text, score, kind):
    return nested(1, nested(1, text.encode()) + varint(2 << 3 | 5) + struct.pack("<f", score) + integer(3, kind))


def model(pieces, trainer=b"", prefix=0, escape=1):
    written = b"".join(piece(*one) for one in [("<unk>", 0.0, 2), *pieces])
    return written + nested(2, integer(3, 2) + trainer) + nested(
        3, integer(3, prefix) + integer(4, 0) + integer(5, escape))


def with_text(text, content):
    text = text.encode()
    return struct.pack("<H", len(text)) + text + content


letters = [("a", -9.0, 1), ("b", -9.0, 1), ("c", -9.0, 1)]
merged = letters + [("ab", -2.0, 1), ("bc", -1.0, 1), ("aa", -3.0, 1), ("abc", -4.0, 1)]
unused = letters + [("ab", -2.0, 5), ("abab", -3.0, 5), ("aba", -2.5, 1), ("z", 0.0, 5)]
user = [("a", 0.0, 1), ("<e>", 0.0, 4), ("<e>>", 0.0, 4), ("<", 0.0, 1), ("<e>a", 9.0, 1), ("e", 0.0, 4), ("<s>", 0.0, 3)]
in_bytes = [(f"<0x{byte:02X}>", 0.0, 6) for byte in range(256)]
write("sp_loader", "merged", with_text("aabcab bca", model(merged, prefix=1)))
write("sp_loader", "unused", with_text("ababaabaz", model(unused)))
write("sp_loader", "user", with_text("a<e><e>>a<ea", model(user, escape=0)))
write("sp_loader", "bytes", with_text("\u00e9ab\0", model([("ab", 0.0, 1)] + in_bytes, trainer=integer(35, 1))))


def cut(kind, lengths, content):
    """An input that comes in pieces; see `parts` in backends/src/fuzzing.rs."""
    return bytes([kind, len(lengths)]) + bytes(lengths) + content


def h2(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


OK, TRAILERS = b"\x88", b"\x00\x0bgrpc-status\x010"
answer = h2(1, 4, 1, OK) + h2(0, 0, 1, b"piece") + h2(1, 5, 1, TRAILERS)
write("http2_frames", "answer", cut(0, [1, 9, 30], answer))
write("http2_frames", "interleaved", cut(0, [20], h2(1, 4, 1, OK) + h2(1, 4, 5, OK) + h2(0, 0, 5, b"c") + h2(0, 1, 1, b"a") + h2(0, 0, 5, b"d")))
write("http2_frames", "padded", cut(0, [3], h2(1, 0x2c, 1, b"\x01" + bytes(5) + OK + b"\0") + h2(0, 9, 1, b"\x02xy\0\0")))
write("http2_frames", "continued", cut(0, [], h2(1, 1, 3, OK) + h2(9, 0, 3) + h2(9, 4, 3, b"\x00\x01a\x01b")))
write("http2_frames", "huffman", cut(0, [5], h2(1, 5, 1, b"\x20\x88\x5f\x8b\x1d\x75\xd0\x62\x0d\x26\x3d\x4c\x4d\x65\x64")))
write("http2_frames", "settings", cut(1, [7], h2(4, 0, 0, b"\0\x03\0\0\0\x01\0\x04\0\0\0\x02\0\x05\0\0\x80\0") + h2(8, 0, 1, b"\0\0\0\x05") + h2(8, 0, 0, b"\0\1\0\0")))
write("http2_frames", "pings", cut(0, [2], h2(6, 0, 0, b"12345678") * 3 + h2(6, 1, 0, bytes(8)) + h2(4, 1, 0)))
write("http2_frames", "goodbye", cut(0, [8], h2(7, 0, 0, b"\0\0\0\1\0\0\0\x0btoo_many_pings\x1b[m") + h2(1, 5, 1, OK)))
write("http2_frames", "resets", cut(1, [4], h2(3, 0, 3, b"\0\0\0\x08") + h2(1, 4, 1, OK) + h2(3, 0, 1, b"\0\0\0\0") + h2(0, 0, 1, b"late")))
write("http2_frames", "push", cut(0, [9], answer + h2(5, 4, 1, b"\0\0\0\2" + OK)))
write("http2_frames", "too-early", cut(0, [], h2(0, 0, 1, b"x") + h2(1, 4, 5, TRAILERS)))
write("http2_frames", "informational", cut(0, [6], h2(1, 4, 1, b"\x08\x03103") + h2(1, 4, 1, OK) + h2(1, 4, 1, TRAILERS)))


def event(text, more=""):
    return ('data: {"id":7,"object":"text_completion","choices":[{"index":0,"text":"%s"%s}]}\n\n' % (text, more)).encode()


DONE = b"data: [DONE]\n\n"
STOP = ',"finish_reason":"length"'
STREAM = event("a") + event(" b") + event("\u6d41") + event("", STOP) + DONE
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}\n\n'
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
for kind in (2, 3, 4):
    write("sse_events", f"stream-{kind}", cut(kind, [1], STREAM))
    write("sse_events", f"by-events-{kind}", cut(kind, [83, 84, 85], STREAM))
write("sse_events", "usage", cut(2, [40, 7], event("a") + event("b", STOP) + USAGE + DONE))
write("sse_events", "carriage-returns", cut(3, [5], STREAM.replace(b"\n", b"\r\n")))
write("sse_events", "single-returns", cut(3, [2], STREAM.replace(b"\n", b"\r")))
write("sse_events", "mark", cut(2, [1], b"\xef\xbb\xbf: ping\n\n" + STREAM))
write("sse_events", "blank-first", cut(2, [1], b" \n\n" + STREAM))
write("sse_events", "two-lines", cut(2, [9], b"data: {\"choices\":\ndata: [{\"text\":\"a\"}]}\n\nid: 3\nevent: x\n\n" + DONE))
write("sse_events", "no-end", cut(0x82, [3], STREAM[:-9]))
write("sse_events", "error-event", cut(2, [8], event("a") + b'data: {"error":{"message":"m","code":500}}\n\n'))
write("sse_events", "bare-json", cut(2, [4], b'\n{"text":"a"}\n'))
write("sse_events", "no-utf8", cut(2, [4], event("a") + b'data: {"choices":[{"text":"\xff"}]}\n\n'))
write("sse_events", "chunks", cut(1, [1], b"6;x=y\r\ndata: \r\n007\r\n[DONE]\n\r\n1\r\n\n\r\n0\r\nt: u\r\n\r\n"))
write("sse_events", "bad-chunks", cut(1, [3], b"3\r\nabcd\r\n"))
write("sse_events", "raw", cut(0, [10], HEAD + b"content-length: %d\r\n\r\n" % len(STREAM) + STREAM))
write("sse_events", "interim", cut(0, [1], b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"connection: close\r\n\r\n" + STREAM))
write("sse_events", "refusal", cut(0, [2], b"HTTP/1.1 503 Busy\r\ncontent-length: 2\r\n\r\n{}"))
write("sse_events", "redirect", cut(0, [2], b"HTTP/1.1 307 Go\r\nlocation: http://h/\r\ncontent-length: 0\r\n\r\n"))
write("sse_events", "no-http", cut(0, [1], b"\0\0\x12\x04\0\0\0\0\0"))
BODY = b'{"choices":[{"index":0,"text":"ab","finish_reason":"length"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}'
write("sse_events", "whole", cut(5, [7], BODY))
write("sse_events", "whole-error", cut(5, [7], b'{"object":"error","message":"no","code":404}'))

data_of = lambda stream: b"\n".join(line[6:] for line in stream.split(b"\n") if line.startswith(b"data: "))
write("api_json", "stream", b"\0" + data_of(STREAM))
write("api_json", "usage", b"\0" + data_of(event("a") + event("b", STOP) + USAGE + DONE))
write("api_json", "counts-along", b"\0" + b"\n".join(
    b'{"choices":[{"delta":{"content":"a"}}],"usage":{"completion_tokens":%d}}' % n for n in (1, 2, 2, 5, 3)))
write("api_json", "chat", b'\0{"choices":[{"index":0,"delta":{"role":"assistant","content":"\xc3\xa9","reasoning_content":null,"tool_calls":[]},"logprobs":null,"finish_reason":null}],"usage":null}\n[DONE]')
write("api_json", "thoughts", b'\1{"choices":[{"delta":{"reasoning":"hm","content":""},"token_ids":null}]}\n{"choices":[{"delta":{"reasoning_content":"a","content":"b"}}]}')
write("api_json", "tools", b'\0{"choices":[{"delta":{"tool_calls":[{"index":0}]},"finish_reason":"tool_calls"}]}\n[DONE]')
write("api_json", "twice", b'\0{"choices":[{"text":"a","text":"b"}]}')
write("api_json", "escapes", b'\0{"choices":[{"text":"a\\n\\ud83d\\ude00"}]}\n{"choices":[{"text":"\\ud83d"}]}')
write("api_json", "numbers", b'\0{"created":-0.5e3,"choices":[{"index":0,"text":"a","x":007}]}')
write("api_json", "wrong-types", b'\0{"choices":[{"index":"' + b"long " * 300 + b'","text":1}]}')
write("api_json", "error", b'\0{"choices":[{"text":"a"}],"error":{"message":"m"}}')
write("api_json", "flat-error", b'\0{"object":"error","message":"The model `x` does not exist.","code":"404"}')
write("api_json", "detail", b'\x16{"detail":[{"loc":["body","max_tokens"],"msg":"no integer"}],"body":{}}')
write("api_json", "models", b'\0{"object":"list","data":[{"id":"m","owned_by":"lmdeploy","max_model_len":2048}]}')
write("api_json", "aborted", b'\0{"choices":[{"text":"","finish_reason":"error"}]}')
write("api_json", "metrics", b'\0# HELP a\na{b="c } \\" d"} 1\na 2.5 17\nlmdeploy:e2e_sum 3e2\nx NaN\n')


def output(name, kind, shape=b""):
    return nested(5, nested(1, name) + nested(2, kind) + shape)


def flag(value):
    return nested(4, nested(1, b"triton_final_response") + nested(2, integer(1, value)))


def frame(tokens, final=False, error=b""):
    ids = struct.pack("<8I", *range(1, 9))
    reply = nested(1, b"turbomind") + nested(2, b"1") + nested(3, b"7") + flag(int(final))
    reply += output(b"output_ids", b"UINT32", nested(3, b"\x01\x01\x08")) + output(b"sequence_length", b"UINT32")
    reply += nested(6, ids) + nested(6, struct.pack("<I", tokens))
    return (nested(1, error) if error else b"") + nested(2, reply)


def framed(*messages):
    return b"".join(struct.pack(">BI", 0, len(message)) + message for message in messages)


TEXT = nested(1, b"ensemble") + output(b"text_output", b"BYTES") + nested(6, struct.pack("<I", 5) + b" w475")
ANSWER = framed(frame(3), frame(4), frame(6), nested(2, nested(1, b"turbomind") + flag(1)))
write("grpc_tensors", "call", cut(0, [1], ANSWER))
write("grpc_tensors", "call-in-parts", cut(0, [5, 100, 3], ANSWER))
write("grpc_tensors", "call-shrinks", cut(0, [50], framed(frame(5), frame(3))))
write("grpc_tensors", "call-compressed", cut(0, [2], b"\x01\0\0\0\0"))
write("grpc_tensors", "call-huge", cut(0, [9], b"\0\x0f\xff\xff\xff" + b"a" * 20))
write("grpc_tensors", "call-beyond", cut(0, [9], b"\0\xff\xff\xff\xff"))
write("grpc_tensors", "frame", cut(1, [], frame(5)))
write("grpc_tensors", "frame-final", cut(1, [], frame(8, True)))
write("grpc_tensors", "frame-error", cut(1, [], frame(0, True, b"[request id: 7] TurboMind execute failure: 6")))
write("grpc_tensors", "frame-text", cut(1, [], nested(2, TEXT)))
write("grpc_tensors", "frame-groups", cut(1, [], b"\x1b\x08\x01\x1c" + frame(2) + b"\x25\0\0\0\0\x29" + b"\0" * 8))
write("grpc_tensors", "frame-twice", cut(1, [], frame(2) + frame(3)))
write("grpc_tensors", "answer", cut(2, [], TEXT))
write("grpc_tensors", "answer-many", cut(2, [], b"".join(output(b"o%d" % n, b"INT64") for n in range(9)) + nested(6, b"\x07" + b"\0" * 7)))
write("grpc_tensors", "answer-no-bytes", cut(2, [], output(b"OUTPUT", b"BYTES")))


def tensor(number, name, kind, dims=b"\x01", more=b""):
    return nested(number, nested(1, name) + integer(2, kind) + nested(4 if number == 5 else 3, dims) + more)


CONFIG = nested(1, b"ensemble") + integer(4, 4) + tensor(5, b"text_input", 13) + tensor(5, b"max_tokens", 8)
CONFIG += tensor(6, b"text_output", 13) + tensor(6, b"sequence_length", 4)
write("grpc_tensors", "config", cut(3, [], CONFIG))
write("grpc_tensors", "config-wrapped", cut(3, [], nested(1, CONFIG)))
write("grpc_tensors", "strings", cut(4, [3, 1], struct.pack("<I", 2) + b"ab" + struct.pack("<I", 0)))
write("grpc_tensors", "strings-short", cut(4, [], struct.pack("<I", 9) + b"ab"))

RUN = b'{"format":1,"tool_version":"0.1.0","started_utc":"2026-01-02T03:04:05Z","backend":"tis","family":"tis","answer":"text","address":"sim","server":"triton","model":"<script>alert(1)</script>","simulated":true,"prompt_mode":"raw","stream":true,"seed":0,"concurrency":2,"num_prompts":2,"warmup":1,"workload":"a1","temperature":1.0,"top_p":1.0,"top_k":1,"ignore_eos":true,"dataset":"d","tokenizer":"t","sampling_style":"s","adds_bos":true,"max_failed":0,"command":[],"cores":2'


def request(index, start, block=0, more=""):
    return ('{"index":%d,"slot":0,"block":%d,"prompt_tokens":10,"requested_tokens":3,"scheduled_ns":%d,"issued_ns":%d,"first_event_ns":%d,"end_ns":%d,"outcome":"ok","ending":"length","completion_tokens":3,"token_source":"ids","marks":[[%d,1],[%d,2]],"hops":{"engine":{"calls":1,"total_ns":9,"until_first_ns":9}},"text":"a b c","first_text_bytes":1%s}\n' % (
        index, block, start, start, start + 9, start + 30, start + 10, start + 20, more)).encode()


REQUESTS = request(0, 100) + request(1, 140)
EXPERIMENT = b',"experiment":{"id":"e","arm":0,"arms":2,"blocks":2,"block_requests":1,"duet":false,"margin":0.02}}'


def block(number, start):
    return ('{"number":%d,"turn":0,"start_ns":%d,"steady_from_ns":%d,"steady_to_ns":%d,"end_ns":%d}\n' % (
        number, start, start + 1, start + 29, start + 30)).encode()


def folder(kind, torn, **files):
    names = {"run": "run.json", "requests": "requests.jsonl", "blocks": "blocks.jsonl",
             "recount": "recount.json", "end": "end.json", "calibration": "calibration.json"}
    return bytes([kind, torn]) + b"".join(
        names[name].encode() + b"\n" + content + (b"" if content.endswith(b"\n") else b"\n") for name, content in files.items())


END = b'{"interrupted":false,"span_ns":1000,"client_cpu_ns":10}'
write("records", "whole", folder(3, 9, run=RUN + b"}", requests=REQUESTS, recount=b'{"answers":[[0,3,1],[1,3,1]]}', end=END))
write("records", "died", folder(0, 40, requests=REQUESTS + b'{"index":1,"sl'))
write("records", "blocks", folder(3, 1, run=RUN + EXPERIMENT, requests=request(0, 100) + request(1, 140, 1) + request(0, 90, 0, ',"lead_in":true'), blocks=block(0, 100) + block(1, 140), end=END))
for kind in range(4, 64, 4):
    write("records", f"forms-{kind:02}", folder(3 | kind, 1, run=RUN + EXPERIMENT, requests=request(0, 100) + request(1, 140, 1) + request(0, 90, 0, ',"lead_in":true'), blocks=block(0, 100) + block(1, 140), end=END))
write("records", "failed", folder(0, 3, requests=b'{"index":0,"slot":0,"prompt_tokens":1,"requested_tokens":2,"scheduled_ns":1,"issued_ns":2,"end_ns":3,"outcome":"connect","error":"refused","marks":[]}\n', end=END))
write("records", "backwards", folder(0, 0, requests=b'{"index":4294967295,"slot":4294967295,"prompt_tokens":4294967295,"requested_tokens":0,"scheduled_ns":18446744073709551615,"issued_ns":5,"end_ns":0,"outcome":"ok","marks":[[7,1],[3,4294967295]]}\n', end=b'{"interrupted":true,"span_ns":0}'))
write("records", "other-format", folder(1, 0, run=RUN.replace(b'"format":1', b'"format":99') + b"}"))
write("records", "damaged", folder(1, 0, run=RUN[:90]))
write("records", "no-records", folder(2, 0, run=RUN + b"}"))
write("records", "empty", folder(0, 0, requests=b""))
write("records", "blank-lines", folder(0, 1, requests=b"\n\n" + REQUESTS + b"\n"))
DELAY = b'{"count":2,"mean_ns":5,"p50_ns":5,"p99_ns":6,"max_ns":7}'
FLOOR = b'{"backend":"%s","floor":%s,"request":%s,"first_token_error":%s,"gap_error":%s,"slip":%s,"rounds":[{"place":0,"events":9,"mean_ns":5,"p99_ns":6,"span_ns":100},{"place":1,"events":9,"mean_ns":7,"p99_ns":6,"span_ns":100}]}'
LOAD = b'"load":{"concurrency":2,"client_threads":1,"first_token_ns":1,"per_token_ns":1,"output_tokens":2,"requests":2,"rounds":2,"ramp_ns":0,"output_ids":0,"places":"x"}'
CALIBRATION = b'{"format":1,"tool_version":"0.1.0","started_utc":"2026-01-02T03:04:05Z","host":{"cores":2,"cpu":"c"},' + LOAD + b',"backends":[%s,%s]}' % tuple(FLOOR % ((name,) + (DELAY,) * 5) for name in (b"tis-direct", b"api_server"))
write("records", "calibration", folder(0, 0, calibration=CALIBRATION))

write("csv_header", "new-rows", b"\4" + b"1," * 48 + b"1\n")
write("csv_header", "empty", b"\0")
write("csv_header", "no-line-end", b"\5")
write("csv_header", "spreadsheet", b"\1\r\n1,2\r\n")
write("csv_header", "cut", b"\2\x20")
write("csv_header", "goes-on", b"\2\xff,more\n1,2\n")
write("csv_header", "other", b"\0a,b\n1,2\n")
write("csv_header", "no-csv", b"\0\x1f\x8b\x08\0\xff\xfe\n\n")
write("csv_header", "quotes", b'\4"a ""b"", c",2\n')
write("csv_header", "half-a-row", b"\4" + b"1," * 9)
write("csv_header", "single-returns", b"\5\r1,2\r")
write("csv_header", "blank-first", b"\0\n\n")

ARMS = "tis=0.0.0.0:33337\napi_server=http://[::1]:23333/v1,model=m\n"
write("flags", "profile", b"\0tis-ensemble\nsim\ntokenizer\ndata.json\n--num-prompts\n5\n--stream_output\n--ramp=1.5")
write("flags", "compare", b"\1--backend\ntis=sim\n--backend=api_server=b:2\n--duet\n--precision\n2%\n--fail-if\ntis.ttft_p99 > 1.05 * api_server.ttft_p99")
write("flags", "verbs", b"\2--concurrency\n4\n--seed=9")
write("flags", "help", b"\2--help")
write("flags", "script", b"\3fail=cut after=3,every=10 text=split eos=2 ttft_ms=5 itl_ms=1 @@fail=stall")
write("flags", "condition", b"\4tis.ttft_p99 > 1.05 * api_server.ttft_p99")
write("flags", "condition-value", b"\4tis.throughput >= 1e3")
write("flags", "metric", b"\4itl_p99")
for number, share in enumerate([b"2%", b" 0.5 %", b"0.02", b"1e-3", b"NaN", b"inf%", b"-2%"]):
    write("flags", f"share-{number}", b"\5" + share)
write("flags", "arms", b"\6" + ARMS.encode())
write("flags", "arms-odd", b"\6tis=http://me:secretsecret@gpu7:8001?x#y\napi_server=[fe80::1]:1/\n=\n")
for number, value in enumerate([b"0", b"1e308", b"-1", b"0.1", b"18446744073709551616", b"true", b"2%"]):
    write("flags", f"value-{number}", b"\7" + bytes([number * 4]) + value)
for number, address in enumerate(["127.0.0.1:80", "https://h/p/", "grpc://[::]:1/", "http://me:secretsecret@h:port", "h:1?key=a@b", "\u0131\u0307:1"]):
    write("flags", f"address-{number}", b"\6" + address.encode())
