"""LMDeploy 0.18's api_server over the suite's engine. Its own: the FastAPI app,
request models, validation, sessions, tokenizer, text of tokens, endings, usage.
Ours: what lies below AsyncEngine.

usage: api_server_new.py MODEL_FOLDER PORT
"""
import os
import sys

os.environ.update(USE_TORCH="0", HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")
import transformers  # noqa: E402,F401  has to look for torch before there is a stand-in

import stand_in  # noqa: E402

stand_in.use("torch", "torchvision", "triton", "ray", "xgrammar", "cv2", "peft", "tilelang", "fla", "rdkit",
             "psutil", "PIL", "pybase64", "openai")
stand_in.module("mmengine", Registry=stand_in.Registry)

from lmdeploy.messages import EngineOutput, PytorchEngineConfig, ResponseType, ScheduleMetrics  # noqa: E402
from lmdeploy.serve.core.async_engine import AsyncEngine  # noqa: E402
from lmdeploy.serve.openai import api_server  # noqa: E402

import engine  # noqa: E402


class Handle:
    """One request at a time, as AsyncEngine asks for it."""

    def __init__(self, source):
        self.source = source
        self.cancelled = False

    async def async_stream_infer(self, _session, *, input_ids, gen_config, **_):
        self.cancelled = False
        left = tokens = gen_config.max_new_tokens
        try:
            async for id in self.source.answer(input_ids, tokens, gen_config.ignore_eos):
                if self.cancelled:
                    yield EngineOutput(ResponseType.CANCEL, [])
                    return
                left -= 1
                over = left == 0 or id == self.source.tokenizer.eos
                yield EngineOutput(ResponseType.FINISH if over else ResponseType.SUCCESS, [id])
        except engine.Failure:
            yield EngineOutput(ResponseType.INTERNAL_ENGINE_ERROR, [])

    async def async_cancel(self, _session):
        self.cancelled = True

    async def async_end(self, _session):
        pass


class Below(engine.Engine):
    """What AsyncEngine takes for the PyTorch engine."""

    def __init__(self, config):
        super().__init__()
        self.engine_config = config

    def create_instance(self):
        return Handle(self)

    def start_loop(self):
        return True

    def get_schedule_metrics(self):
        return ScheduleMetrics()

    async def get_health_status(self):
        return {"alive": True, "message": "", "schedule_metrics": self.get_schedule_metrics()}

    def close(self):
        pass


if __name__ == "__main__":
    folder, port = sys.argv[1:]
    AsyncEngine._build_pytorch = lambda _self, backend_config, **_: Below(backend_config)
    config = PytorchEngineConfig(session_len=engine.SESSION_TOKENS, max_batch_size=128, enable_metrics=False)
    api_server.serve(folder, model_name="real", backend="pytorch", backend_config=config,
                     server_name="127.0.0.1", server_port=int(port), enable_abort_handling=True, log_level="ERROR")
