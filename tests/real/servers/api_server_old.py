"""LMDeploy 0.1.0's api_server (December 2023) over the suite's engine. Its own:
the FastAPI app, request models, AsyncEngine, tokenizer, chat template. Ours: the
TurboMind library below, and the one class of mmengine that it needs.

usage: api_server_old.py MODEL_FOLDER PORT
"""
import os
import sys

os.environ.update(USE_TORCH="0", HF_HUB_OFFLINE="1")

import stand_in

stand_in.use("torch")
stand_in.module("mmengine", Registry=stand_in.Registry)

import numpy as np  # noqa: E402
from lmdeploy.model import MODELS  # noqa: E402
from lmdeploy.tokenizer import Tokenizer  # noqa: E402

import engine  # noqa: E402


class Instance:
    def __init__(self, source):
        self.source = source

    async def async_stream_infer(self, input_ids, request_output_len, ignore_eos, **_):
        ids = []
        async for id in self.source.answer(list(input_ids[0]), request_output_len, ignore_eos):
            if id == self.source.tokenizer.eos:
                return
            ids.append(id)
            # All of the answer so far, and how much that is.
            yield [(np.array(ids), len(ids))]

    def stream_infer(self, *_, **__):
        """Asked to stop or to end a session only."""
        return ()


class TurboMind:
    model_name = "internlm-chat-7b"  # a chat template that this version knows

    def __init__(self, folder):
        self.tokenizer = Tokenizer(folder)
        self.eos_id = self.tokenizer.eos_token_id
        self.model = MODELS.get(self.model_name)()
        self.session_len = engine.SESSION_TOKENS
        self.engine = engine.Engine()

    @classmethod
    def from_pretrained(cls, folder, **_):
        return cls(folder)

    def create_instance(self):
        return Instance(self.engine)


turbomind = stand_in.module("lmdeploy.turbomind", TurboMind=TurboMind)
import lmdeploy  # noqa: E402

lmdeploy.turbomind = turbomind

if __name__ == "__main__":
    folder, port = sys.argv[1:]
    from lmdeploy.serve.openai import api_server
    api_server.serve(folder, server_name="127.0.0.1", server_port=int(port))
