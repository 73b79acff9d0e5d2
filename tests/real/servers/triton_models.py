"""LMDeploy's Triton models over the suite's engine, for Triton's python backend.

Tensors, types and shapes are those of LMDeploy's model repository (v0.2.5;
`lmdeploy_model`: v0.4.0). Two things are not: an ensemble cannot be made of the
three models as they are, since a step behind a decoupled one may take nothing
else. So `postprocessing` needs no `skip_special_tokens`, and `turbomind` gives an
ensemble the new token and the one before it, with the place to read from.
"""
import asyncio
import json
import threading
import time

import numpy as np
import triton_python_backend_utils as triton

from engine import SESSION_TOKENS, Engine, Tokenizer

FINAL = triton.TRITONSERVER_RESPONSE_COMPLETE_FINAL
TOO_LONG, FAILED = 6, 5  # turbomind's error numbers


def given(request, name):
    tensor = triton.get_input_tensor_by_name(request, name)
    return None if tensor is None else tensor.as_numpy()


def number(request, name, otherwise=0):
    value = given(request, name)
    return otherwise if value is None else int(value.reshape(-1)[0])


def texts(name, *values):
    return triton.Tensor(name, np.array([value.encode() for value in values], dtype=object))


def u32(name, values):
    return triton.Tensor(name, np.array(values, dtype=np.uint32))


class Preprocessing:
    def initialize(self, args):
        self.tokenizer = Tokenizer()

    def execute(self, requests):
        return [self.ids_of(given(request, "QUERY").reshape(-1)[0].decode()) for request in requests]

    def ids_of(self, text):
        special = {"<BOS>": self.tokenizer.bos, "<EOS>": self.tokenizer.eos}
        ids = [special[text]] if text in special else self.tokenizer.encode(text)
        return triton.InferenceResponse([u32("INPUT_ID", [ids]), u32("REQUEST_INPUT_LEN", [[len(ids)]])])


class Postprocessing:
    """`sequence_length` is the place to read from, as in LMDeploy. With a parameter
    `uneven_ms` some tokens take that long, as texts of many lengths do."""

    def initialize(self, args):
        self.tokenizer = Tokenizer()
        parameters = json.loads(args["model_config"]).get("parameters", {})
        self.uneven_s = float(parameters.get("uneven_ms", {}).get("string_value", 0)) / 1e3

    def execute(self, requests):
        return [self.text_of(request) for request in requests]

    def text_of(self, request):
        ids = given(request, "TOKENS_BATCH").reshape(-1).tolist()
        if self.uneven_s and ids[-1] % 2:
            time.sleep(self.uneven_s)
        text = self.tokenizer.decode(ids, number(request, "sequence_length"))
        return triton.InferenceResponse([texts("OUTPUT", text)])


class Decoupled:
    """What the two streaming models share: one event loop for all requests."""

    def initialize(self, args):
        self.engine = Engine()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def execute(self, requests):
        for request in requests:
            asyncio.run_coroutine_threadsafe(self.serve(request, request.get_response_sender()), self.loop)

    async def serve(self, request, sender):
        try:
            async for tensors in self.answer(request):
                if sender.is_cancelled():
                    break
                sender.send(triton.InferenceResponse(tensors))
            # The end comes by itself, without tensors.
            sender.send(flags=FINAL)
        except Exception as error:
            words = triton.TritonError(self.complaint(error))
            sender.send(triton.InferenceResponse(error=words), flags=FINAL)

    def finalize(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()


class Turbomind(Decoupled):
    def complaint(self, error):
        number = error.args[0] if isinstance(error, ValueError) else FAILED
        return f"TurboMind execute failure:  {number}"

    async def answer(self, request):
        length = number(request, "input_lengths")
        ids = given(request, "input_ids").reshape(-1)[:length].tolist()
        room = SESSION_TOKENS - length
        if room <= 0:
            raise ValueError(TOO_LONG)
        forbidden = given(request, "bad_words_list")
        ignore_eos = forbidden is not None and self.engine.tokenizer.eos in forbidden
        wanted = request.requested_output_names()
        tokens = min(number(request, "request_output_len"), room)
        whole = np.zeros((1, 1, SESSION_TOKENS), dtype=np.uint32)
        whole[0, 0, :length] = ids
        async for id in self.engine.answer(ids, tokens, ignore_eos):
            if id == self.engine.tokenizer.eos:
                return
            whole[0, 0, length] = id
            length += 1
            count = u32("sequence_length", [[length]])
            if "output_ids" in wanted:
                yield [triton.Tensor("output_ids", whole.copy()), count]
            else:
                piece = whole[:, :, length - 2:length].copy()
                offset = int(length - 1 > len(ids))
                piece = piece if offset else piece[:, :, 1:]
                yield [triton.Tensor("piece_ids", piece), u32("piece_offset", [[offset]]), count]


class LmdeployModel(Decoupled):
    def complaint(self, error):
        return f"Error when processing request: {error}"

    async def answer(self, request):
        tokenizer = self.engine.tokenizer
        prompt = tokenizer.encode(given(request, "prompt").reshape(-1)[0].decode())
        if len(prompt) >= SESSION_TOKENS:
            raise Exception(f"the prompt has {len(prompt)} tokens, the session {SESSION_TOKENS}")
        streams, pieces, before = number(request, "stream"), [], []
        tokens = min(number(request, "max_tokens"), SESSION_TOKENS - len(prompt))
        async for id in self.engine.answer(prompt, tokens, number(request, "ignore_eos")):
            if id == tokenizer.eos:
                break
            pieces.append(tokenizer.decode([*before, id], len(before)))
            before = [id]
            if streams:
                yield [self.response(pieces.pop())]
        yield [self.response("".join(pieces))]

    @staticmethod
    def response(text):
        # Of rank 0, against its own configuration, as LMDeploy's is.
        return triton.Tensor("response", np.array(text, dtype=object))
