#!/usr/bin/env python3
"""Measures pairbench on a large dataset: from its start to its first request.

    python3 make_big_sharegpt.py BIG.json
    python3 measure_big_dataset.py PAIRBENCH BIG.json TOKENIZER.model [RUNS]

Starts `PAIRBENCH serve --backend api_server` and a proxy before it that notes when
the first prompt is posted; then, RUNS times (5), `PAIRBENCH profile` with 1,000
prompts in each of two styles. Printed are wall time, CPU time and the peak of
RssAnon (the process's own memory, sampled every 5 ms) up to that moment.

Where Python has the package sentencepiece, the same counting as in LMDeploy
v0.1.0's script is then timed: all prompts and answers, num_threads=2, after
json.load. pairbench's CPU time holds reading the file, too.
"""
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

TICK = os.sysconf("SC_CLK_TCK")
MARK = b"POST /v1/completions"


def read_address(server):
    for line in server.stdout:
        for word in line.replace("http://", "").split():
            if word.startswith("127.0.0.1:"):
                return int(word.split(":")[1].strip(".,/)`"))
    sys.exit("the simulated server gave no address")


def pump(source, target, marked):
    try:
        while data := source.recv(65536):
            if marked is not None and MARK in data:
                marked.set()
            target.sendall(data)
    except OSError:
        pass
    for end in (source, target):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def proxy(port, marked):
    listener = socket.create_server(("127.0.0.1", 0))

    def accept():
        while True:
            client, _ = listener.accept()
            server = socket.create_connection(("127.0.0.1", port))
            threading.Thread(target=pump, args=(client, server, marked), daemon=True).start()
            threading.Thread(target=pump, args=(server, client, None), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def rss_anon_kb(pid):
    with open(f"/proc/{pid}/status") as status:
        for line in status:
            if line.startswith("RssAnon:"):
                return int(line.split()[1])
    return 0


def cpu_s(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def once(pairbench, dataset, tokenizer, port, style):
    marked = threading.Event()
    address = f"127.0.0.1:{proxy(port, marked)}"
    with tempfile.TemporaryDirectory() as folder:
        command = [pairbench, "profile", "--backend", "api_server", address, tokenizer, dataset]
        command += ["--sampling", style, "--num-prompts", "1000", "--warmup", "0"]
        command += ["--records", f"{folder}/runs", "--csv", f"{folder}/rows.csv"]
        begun = time.perf_counter()
        with open(f"{folder}/log", "w+") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
            peak = 0
            while not marked.wait(0.005) and process.poll() is None:
                peak = max(peak, rss_anon_kb(process.pid))
            wall = time.perf_counter() - begun
            if not marked.is_set():
                log.seek(0)
                sys.exit(f"no request came:\n{log.read()}")
            cpu = cpu_s(process.pid)
            process.kill()
            process.wait()
    return wall, cpu, peak / 1024


def python_cpu(dataset, tokenizer):
    import sentencepiece

    model = sentencepiece.SentencePieceProcessor(model_file=tokenizer)
    with open(dataset, encoding="utf-8") as file:
        records = json.load(file)
    turns = [r["conversations"] for r in records if len(r["conversations"]) >= 2]
    texts = [t[0]["value"] for t in turns] + [t[1]["value"] for t in turns]
    del records, turns
    begun, wall = time.process_time(), time.perf_counter()
    counts = [len(ids) for ids in model.encode(texts, num_threads=2)]
    cpu, wall = time.process_time() - begun, time.perf_counter() - wall
    size = sum(len(text.encode()) for text in texts)
    return cpu, wall, len(counts), sum(counts), size, sentencepiece.__version__


def main():
    pairbench, dataset, tokenizer = sys.argv[1:4]
    runs = int(sys.argv[4]) if len(sys.argv) > 4 else 5
    command = [pairbench, "serve", "--backend", "api_server", "--listen", "127.0.0.1:0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        port = read_address(server)
        ours = {}
        for style in ["lmdeploy-0.2.6", "lmdeploy-0.1"]:
            got = [once(pairbench, dataset, tokenizer, port, style) for _ in range(runs)]
            for wall, cpu, peak in got:
                print(f"  {style}: {wall:.2f} s wall, {cpu:.2f} CPU s, RssAnon {peak:.0f} MiB")
            median = [statistics.median(column) for column in zip(*got)]
            ours[style] = median[1]
            print("{}: median {:.2f} s wall, {:.2f} CPU s, RssAnon {:.0f} MiB".format(style, *median))
        print("load average: {:.1f} {:.1f} {:.1f}".format(*os.getloadavg()))
    finally:
        server.kill()
        server.wait()
    try:
        cpu, wall, texts, tokens, size, version = python_cpu(dataset, tokenizer)
    except ImportError:
        print("sentencepiece is not there, so nothing to compare with")
        return
    print(
        f"sentencepiece {version}: {texts} texts, {size / 1e6:.1f} MB, {tokens} tokens: "
        f"{wall:.1f} s wall, {cpu:.1f} CPU s; {cpu / ours['lmdeploy-0.1']:.1f} times ours"
    )


if __name__ == "__main__":
    main()
