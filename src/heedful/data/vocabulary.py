"""The ids that every vocabulary shares, whatever the tokeniser."""

PAD = 0
UNK = 1
BOS = 2
EOS = 3
SPECIAL_TOKENS = ("<pad>", "<unk>", "<s>", "</s>")
