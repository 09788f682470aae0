"""BPE-dropout over many words at once; `heedful.data.subwords` says what it is and prepares the tables."""

from functools import cache

import numpy as np

# the increment and the two multipliers of splitmix64 (Steele, Lea and Flood, 2014)
_STEP, _FIRST, _SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_SHIFTS = np.array([30, 27, 31, 11], dtype=np.uint64)


@cache
def kernel():
    """The compiled function; compiling it takes a second, once a process."""
    import numba

    return numba.njit(nogil=True, error_model="numpy")(merge_words)


def merge_words(flat, ends, keys, ranks, merged, rate, state):
    """Merge the characters of every word.

    - `flat`, `ends`: ids of the characters of all words, and where each word ends (int32, int64).
    - `keys`, `ranks`, `merged`: of each merge, ascending by key: left id times 2^32 plus right id, its place in the
      order of learning, and the id it makes (int64, int64, int32).
    - `rate`: probability that a merge is left out, tried anew at every step.
    - `state`: a number that all chance comes from (uint64).

    Returns the ids of all words and where each word ends in them.
    """
    out, out_ends = np.empty(len(flat), np.int32), np.empty(len(ends), np.int64)
    first, used = 0, 0
    for word, last in enumerate(ends):
        length = last - first
        # the word is merged where it will stand
        out[used : used + length] = flat[first:last]
        while length > 1:
            best, best_rank, best_id = -1, np.int64(2**62), np.int32(0)
            for place in range(used, used + length - 1):
                key = (np.int64(out[place]) << 32) | np.int64(out[place + 1])
                found, above = 0, len(keys)
                while found < above:
                    middle = (found + above) // 2
                    if keys[middle] < key:
                        found = middle + 1
                    else:
                        above = middle
                if found < len(keys) and keys[found] == key and ranks[found] < best_rank:
                    state += _STEP
                    chance = state
                    chance = (chance ^ (chance >> _SHIFTS[0])) * _FIRST
                    chance = (chance ^ (chance >> _SHIFTS[1])) * _SECOND
                    chance = (chance ^ (chance >> _SHIFTS[2])) >> _SHIFTS[3]
                    if np.float64(chance) * 2.0**-53 >= rate:
                        best, best_rank, best_id = place, ranks[found], merged[found]
            if best < 0:
                break
            out[best] = best_id
            for place in range(best + 1, used + length - 1):
                out[place] = out[place + 1]
            length -= 1
        first, used = last, used + length
        out_ends[word] = used
    return out[:used].copy(), out_ends
