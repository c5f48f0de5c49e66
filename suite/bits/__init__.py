"""Ground floor, bits: what a bit and a byte of a quantized model count, for both wings. No torch.

    account = BitAccount(layers, feature_maps, …)
    account.average_weight_bits(); account.average_weight_bits(Convention.IMPLICIT_SIGN)
    account.model_bytes(scales=False); account.layers[0].histogram
    read_account(account.to_dict()) == account

`docs/bits.md` says for people what is counted and what is not.
"""

from suite.bits.account import BitAccount, FeatureMap, LayerBits
from suite.bits.counting import FLOAT_BITS, NUMBER_BYTES, Convention, Widths, average, bits_for, packed_bytes
from suite.bits.reading import read_account

__all__ = [
    "FLOAT_BITS",
    "NUMBER_BYTES",
    "BitAccount",
    "Convention",
    "FeatureMap",
    "LayerBits",
    "Widths",
    "average",
    "bits_for",
    "packed_bytes",
    "read_account",
]
