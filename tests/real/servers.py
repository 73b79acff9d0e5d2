"""Starts the real servers on loopback, on free ports, runs a command with their
addresses in its environment, and stops what it started. Without a command it
says how to try pairbench on them and waits for Ctrl-C.

usage: servers.py FOLDER [COMMAND ...]      (FOLDER as made by install.py)
"""
import ctypes
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
SENTENCEPIECE = PROJECT / "src/demo/tokenizer.model"
HUGGINGFACE = PROJECT / "tests/data/tokenizers/mistral-v1-hf"
READY_S = 120
CONFIG = """{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "max_position_embeddings": 2048,
"vocab_size": 32000, "hidden_size": 64, "intermediate_size": 64, "num_attention_heads": 1,
"num_hidden_layers": 1, "bos_token_id": 1, "eos_token_id": 2}"""


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def models(folder):
    """Triton's model repository: the models as they lie in the project, and the
    ensemble with a postprocessing of several instances, without and with what
    keeps the order of their texts."""
    shutil.copytree(HERE / "servers/models", folder)
    several = "instance_group [ { count: 3 kind: KIND_CPU } ]\n" \
              'parameters { key: "uneven_ms" value: { string_value: "15" } }\n'
    for kind, order in (("unordered", ""), ("ordered", "dynamic_batching { preserve_ordering: true }\n")):
        for model in ("postprocessing", "ensemble"):
            copy = folder / f"{model}_{kind}"
            shutil.copytree(folder / model, copy)
            (copy / "1").mkdir(exist_ok=True)
            config = copy / "config.pbtxt"
            lines = [line for line in config.read_text().splitlines(True) if not line.startswith("instance_group")]
            text = "".join(lines).replace('name: "ensemble"', f'name: "ensemble_{kind}"')
            text = text.replace('name: "postprocessing"', f'name: "postprocessing_{kind}"')
            config.write_text(text + (several + order if model == "postprocessing" else ""))
    (folder / "ensemble/1").mkdir(exist_ok=True)
    return folder


def dies_with_us():
    """A server must not outlive this process, however that ends."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


class Server:
    """One server of ours, from its start to its end."""

    def __init__(self, name, scratch, command, ready, **environment):
        self.name, self.ready = name, ready
        self.log = scratch / f"{name}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [str(part) for part in command], stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=scratch,
                env={**os.environ, "REAL_TOKENIZER": str(SENTENCEPIECE), "PYTHONDONTWRITEBYTECODE": "1", **environment},
                start_new_session=True, preexec_fn=dies_with_us)

    def wait(self, until):
        # Proxies of the environment have no business on loopback.
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        while True:
            if self.process.poll() is not None:
                self.give_up("it ended before it was ready")
            try:
                direct.open(self.ready, timeout=2).close()
                return
            except OSError:
                if time.monotonic() > until:
                    self.give_up(f"it was not ready after {READY_S} s")
            time.sleep(0.1)

    def give_up(self, why):
        tail = self.log.read_text(errors="replace").splitlines()[-25:]
        sys.exit("\n".join([*tail, f"servers: {self.name}: {why}"]))

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def triton(folder, scratch, ports):
    grpc, http, metrics = ports
    site = next((folder / "venv/lib").glob("python3.*")) / "site-packages"
    home = site / "pytriton/tritonserver"
    command = [home / "bin/tritonserver", f"--model-repository={models(scratch / 'models')}",
               f"--backend-directory={home / 'backends'}", f"--cache-directory={home / 'caches'}",
               "--allow-gpu-metrics=false", "--exit-timeout-secs=10",
               f"--backend-config=python,shm-region-prefix-name=pairbench{os.getpid()}"]
    for what, port in (("grpc", grpc), ("http", http), ("metrics", metrics)):
        command += [f"--{what}-address=127.0.0.1", f"--{what}-port={port}"]
    libraries = [sysconfig.get_config_var("LIBDIR"), str(site / "nvidia_pytriton.libs")]
    # Its python models take the first python3 there is for theirs.
    path = f"{folder / 'venv/bin'}:{os.environ['PATH']}"
    return Server("triton", scratch, command, f"http://127.0.0.1:{http}/v2/health/ready",
                  PATH=path, LD_LIBRARY_PATH=":".join(libraries))


def api_server(folder, scratch, version, script, port, files, config=None):
    model = scratch / f"model-{version}"
    model.mkdir()
    for file in files:
        shutil.copy(file, model)
    if config:
        (model / "config.json").write_text(config)
    command = [folder / "venv/bin/python", HERE / "servers" / script, model, port]
    return Server(f"api_server-{version}", scratch, command, f"http://127.0.0.1:{port}/v1/models",
                  PYTHONPATH=str(folder / f"lmdeploy=={version}"))


def start(folder, scratch, started):
    """Starts all of them at once; gives their addresses."""
    *ports, new, old = free_ports(5)
    started.append(triton(folder, scratch, ports))
    huggingface = [HUGGINGFACE / "tokenizer.json", HUGGINGFACE / "tokenizer_config.json"]
    started.append(api_server(folder, scratch, "0.18.0", "api_server_new.py", new, huggingface, CONFIG))
    started.append(api_server(folder, scratch, "0.1.0", "api_server_old.py", old, [SENTENCEPIECE]))
    until = time.monotonic() + READY_S
    for server in started:
        server.wait(until)
    return {"PAIRBENCH_REAL_TRITON": f"127.0.0.1:{ports[0]}", "PAIRBENCH_REAL_API_SERVER": f"127.0.0.1:{new}",
            "PAIRBENCH_REAL_API_SERVER_OLD": f"127.0.0.1:{old}"}


def how_to_try(addresses):
    grpc, new, old = addresses.values()
    print(f"""
Triton 2.51.0, gRPC      {grpc}   models: preprocessing, turbomind, postprocessing, lmdeploy_model,
                                          ensemble, ensemble_ordered, ensemble_unordered
LMDeploy 0.18.0          {new}
LMDeploy 0.1.0           {old}

pairbench compare --backend tis={grpc} --backend tis-ensemble={grpc},model=ensemble \\
    --backend tis-direct={grpc} --backend api_server={new} \\
    src/demo/tokenizer.model src/demo/conversations.json --concurrency 4 --num-prompts 96 --output-len 24

Ctrl-C stops them.""", flush=True)
    signal.pause()


def main():
    folder, *command = sys.argv[1:]
    folder = pathlib.Path(folder).resolve()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started = []
    with tempfile.TemporaryDirectory(prefix="pairbench-real-") as scratch:
        try:
            begin = time.monotonic()
            addresses = start(folder, pathlib.Path(scratch), started)
            print(f"servers: ready after {time.monotonic() - begin:.0f} s", flush=True)
            if not command:
                how_to_try(addresses)
            return subprocess.run(command, env={**os.environ, **addresses}).returncode
        except KeyboardInterrupt:
            return 130
        finally:
            for server in started:
                server.stop()


if __name__ == "__main__":
    sys.exit(main())
