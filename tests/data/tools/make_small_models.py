"""Trains the two small models that hold what the real ones lack.

    pip install sentencepiece==0.2.3 protobuf
    python make_small_models.py ../sharegpt_mini.json ../tokenizers

sp-small-unk: no byte fallback (runs of unknown characters are one piece),
overlapping user-defined pieces, unused pieces.
sp-small-bytes: byte fallback, no dummy prefix, spaces kept as spaces, unused pieces.
Unused pieces have two characters or more: SentencePiece 0.1.99 gives the id of a
single unused character, 0.2.3 takes it as unknown.
"""

import io
import json
import os
import random
import sys

import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as proto


def main(dataset, folder):
    with open(dataset, encoding="utf-8") as file:
        turns = [turn["value"] for record in json.load(file)[:600] for turn in record["conversations"]]
    for name, options in [
        ("sp-small-unk", dict(byte_fallback=False, control_symbols=["[CTL]"],
                              user_defined_symbols=["<eoh>", "<eoh>>", "the", "he c", "\u2581an", "#"])),
        ("sp-small-bytes", dict(byte_fallback=True, add_dummy_prefix=False, user_defined_symbols=["<eoh>"])),
    ]:
        made = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(turns), model_writer=made, model_type="bpe", vocab_size=900,
            character_coverage=0.98, normalization_rule_name="identity", remove_extra_whitespaces=False,
            num_threads=1, **options)
        model = proto.ModelProto.FromString(made.getvalue())
        rng = random.Random(name)
        normal = proto.ModelProto.SentencePiece.NORMAL
        for piece in model.pieces:
            if piece.type == normal and len(piece.piece) > 1 and rng.random() < 0.2:
                piece.type = proto.ModelProto.SentencePiece.UNUSED
        if name == "sp-small-bytes":
            model.normalizer_spec.escape_whitespaces = False
            for piece in model.pieces:
                piece.piece = piece.piece.replace("\u2581", " ")
        model.trainer_spec.ClearField("input")
        os.makedirs(os.path.join(folder, name), exist_ok=True)
        with open(os.path.join(folder, name, "tokenizer.model"), "wb") as file:
            file.write(model.SerializeToString())


main(*sys.argv[1:])
