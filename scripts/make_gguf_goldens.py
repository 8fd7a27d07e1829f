#!/usr/bin/env python3
"""make_gguf_goldens.py OUT.gguf: blocks of every type that src/convert/gguf_blocks.cpp decodes, beside their values as the Python
package `gguf` (0.19.0, numpy) decodes them: tensors NAME (the blocks) and NAME.values (F32). Also a key of each kind. Blocks are random
bytes whose scales are set to what formats care about; types that the package can quantise have seeded noise too.
tests/data/blocks.gguf was made by: scripts/make_gguf_goldens.py tests/data/blocks.gguf"""
import sys

import numpy as np
from gguf import GGUFWriter, GGMLQuantizationType as T, quants

# type: (places of f16 fields in a block, number of random blocks)
FIELDS = {T.F16: ([0], 64), T.BF16: ([0], 64), T.Q4_0: ([0], 12), T.Q4_1: ([0, 2], 12), T.Q5_0: ([0], 12), T.Q5_1: ([0, 2], 12),
          T.Q8_0: ([0], 12), T.Q2_K: ([80, 82], 4), T.Q3_K: ([108], 4), T.Q4_K: ([0, 2], 4), T.Q5_K: ([0, 2], 4), T.Q6_K: ([208], 4),
          T.IQ4_NL: ([0], 12), T.IQ4_XS: ([0], 4)}
# Zero of both signs, a subnormal, the smallest and largest numbers, usual ones of both signs.
SCALES = np.array([0.0, -0.0, 6e-8, 6.1e-5, -6e-5, 65504.0, -65504.0, 0.0123, -0.0371, 1.0, -1.0, 0.5], np.float16)


def main(path):
    rng = np.random.default_rng(20261125)
    writer = GGUFWriter(path, "test")
    for kind, value in [("uint8", 200), ("int8", -100), ("uint16", 60000), ("int16", -30000), ("uint32", 4000000000), ("int32", -2000000000),
                        ("float32", 1.5), ("uint64", 2**63), ("int64", -2**62), ("float64", 0.1), ("bool", True), ("string", "a b\n\u00e9")]:
        getattr(writer, "add_" + kind)("test." + kind, value)
    writer.add_array("test.strings", ["", "one", "\u0120two"])
    writer.add_array("test.integers", [1, -2, 3])
    writer.add_array("test.floats", [0.5, -2.0])
    for kind, (fields, count) in FIELDS.items():
        size = {T.F16: 2, T.BF16: 2}.get(kind) or quants.GGML_QUANT_SIZES[kind][1]
        blocks = rng.integers(0, 256, (count, size), np.uint8)
        for number, at in enumerate(fields):
            for row in range(count):
                scale = SCALES[(row + 5 * number) % len(SCALES)]
                if kind is T.BF16:
                    scale = (np.float32(scale).view(np.uint32) >> 16).astype(np.uint16)
                blocks[row, at:at + 2] = np.frombuffer(scale.tobytes(), np.uint8)
        data = [blocks]
        try:
            noise = (rng.standard_normal((2, quants.GGML_QUANT_SIZES[kind][0] * 2)) * 0.04).astype(np.float32)
            data.append(quants.quantize(noise, kind).view(np.uint8).reshape(-1, size))
        except NotImplementedError:
            pass
        blocks = np.concatenate(data)
        values = quants.dequantize(blocks.reshape(1, -1), kind).reshape(1, -1)
        writer.add_tensor(kind.name, blocks.reshape(1, -1), raw_dtype=kind)
        writer.add_tensor(kind.name + ".values", values.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


main(sys.argv[1])
