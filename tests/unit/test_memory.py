"""Memory that is freed goes back to the system."""

import subprocess
import sys

PROGRAM = """
import ctypes
from shared.memory import return_freed_memory

class Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in
                ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")]

libc = ctypes.CDLL("libc.so.6")
libc.mallinfo2.restype = Mallinfo
{call}
del (block := [bytearray(8_000_000)])[:]  # malloc raises its threshold to the size of a block that is freed
before = libc.mallinfo2().hblks
block = bytearray(500_000)
print(libc.mallinfo2().hblks - before)
"""


def mappings_of_a_large_block(call: str) -> int:
    program = [sys.executable, "-c", PROGRAM.format(call=call)]
    return int(subprocess.run(program, capture_output=True, check=True, text=True, timeout=60).stdout)


def test_a_large_block_has_a_mapping_of_its_own_also_after_a_larger_one_was_freed() -> None:
    assert mappings_of_a_large_block("return_freed_memory()") == 1
    assert mappings_of_a_large_block("") == 0
