import struct
import threading

import numpy as np
import pytest

from planning.control.worker.mailbox import HEAD, Mailbox, mapped, shared_file


def pair(size):
    buffer = bytearray(Mailbox.room(size))
    return buffer, Mailbox(buffer, size), Mailbox(buffer, size)


def test_the_newest_message_is_read_once():
    _, writer, reader = pair(4)
    assert reader.read() is None
    writer.write(b"one.")
    writer.write(b"two.")
    assert reader.read() == b"two." and reader.read() is None
    writer.write(b"two.")
    assert reader.read() == b"two."
    with pytest.raises(ValueError, match="must have 4 bytes"):
        writer.write(b"three")


def test_a_writer_that_dies_in_the_middle_leaves_nothing_to_read_and_the_next_one_goes_on():
    buffer, writer, reader = pair(4)
    writer.write(b"one.")
    assert reader.read() == b"one."
    struct.pack_into("<Q", buffer, 0, struct.unpack_from("<Q", buffer, 0)[0] + 1)
    buffer[HEAD.size : HEAD.size + 2] = b"tw"
    assert reader.read() is None
    Mailbox(buffer, 4).write(b"new.")
    assert reader.read() == b"new."


def test_a_message_that_is_not_what_was_written_is_not_read():
    buffer, writer, reader = pair(4)
    writer.write(b"one.")
    buffer[HEAD.size] ^= 1
    assert reader.read() is None


def test_no_reader_ever_sees_half_a_message():
    file = shared_file(Mailbox.room(8000))
    writer, reader = (Mailbox(mapped(file, Mailbox.room(8000)), 8000) for _ in range(2))
    stop = threading.Event()

    def write():
        number = 0
        while not stop.is_set():
            number += 1
            writer.write(np.full(1000, number, np.int64).tobytes())

    thread = threading.Thread(target=write)
    thread.start()
    seen = []
    try:
        while len(seen) < 20:
            message = reader.read()
            if message is not None:
                values = np.frombuffer(message, np.int64)
                assert (values == values[0]).all()
                seen.append(values[0])
    finally:
        stop.set()
        thread.join()
    assert seen == sorted(seen)
