"""Reads protocol buffers (protobuf.dev/programming-guides/encoding): their numbered fields, not what these mean."""

from __future__ import annotations

_MOST_FIELDS = 1_000_000  # of a message: more, in Python, would take a hundred times the file's memory
_LONGEST_VARINT = 10  # bytes: protobuf's own limit
_NUMBERS = 1 << 29  # of fields
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5


class DamagedError(ValueError):
    """These bytes are no protocol buffer; the text says why."""


class UnsupportedError(ValueError):
    """The engine does not run this file, which may be whole; the text says what it met."""


def varint(message: memoryview, at: int) -> tuple[int, int]:
    """The number that starts at `at`, and where the next thing starts. Raises DamagedError where there is none."""
    if at < len(message) and message[at] < 128:  # nearly all of them
        return message[at], at + 1
    value = 0
    for index, byte in enumerate(message[at : at + _LONGEST_VARINT]):
        value |= (byte & 127) << 7 * index
        if byte < 128:
            if value >> 64:
                break
            return value, at + index + 1
    raise DamagedError("a number that does not end" if at + _LONGEST_VARINT <= len(message) else "cut off")


class Message:
    """A message of known fields: each is there in the way that it was asked for, or the file is refused.

    Protobuf itself would skip what it does not know, and take the last of two where there can be one.
    """

    def __init__(self, message: memoryview, what: str, skipped: tuple[int, ...] = ()) -> None:
        """Reads `message`; `what` names it in errors, fields numbered in `skipped` say nothing that matters.

        Raises:
            DamagedError: this is no message.
            UnsupportedError: more fields than a network has.
        """
        self._what = what
        # By number: how each is written (0 = a number, 2 = a length and so many bytes, 1 and 5 = eight and four bytes),
        # and an int of 0 to 2**64 - 1 or the bytes, of which no copy is made.
        self._left: dict[int, list[tuple[int, int | memoryview]]] = {}
        at = count = 0
        while at < len(message):
            key, at = varint(message, at)
            number, kind = key >> 3, key & 7
            if not 0 < number < _NUMBERS:
                raise DamagedError(f"a field of number {number}")
            value: int | memoryview
            if kind == _VARINT:
                value, at = varint(message, at)
            else:
                if kind == _LENGTH:
                    size, at = varint(message, at)
                elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
                    size = 8 if kind == _EIGHT_BYTES else 4
                else:
                    raise DamagedError(f"a field of kind {kind}")
                if size > len(message) - at:
                    raise DamagedError("cut off")
                value, at = message[at : at + size], at + size
            count += 1
            if count > _MOST_FIELDS:
                raise UnsupportedError(f"{what} with more than {_MOST_FIELDS} fields")
            if number not in skipped:
                self._left.setdefault(number, []).append((kind, value))

    def done(self) -> None:
        """Raises UnsupportedError where there is a field that nobody asked for."""
        if self._left:
            raise UnsupportedError(f"{self._what} with a field {min(self._left)}, which the engine does not know")

    def messages(self, number: int) -> list[memoryview]:
        """All of a field of messages or texts."""
        found = []
        for kind, value in self._left.pop(number, ()):
            if isinstance(value, int) or kind != _LENGTH:
                raise self._otherwise(number)
            found.append(value)
        return found

    def message(self, number: int) -> memoryview | None:
        """The one of a field of messages; None where it is left out."""
        found = self.messages(number)
        if len(found) > 1:
            raise self._otherwise(number)
        return found[0] if found else None

    def texts(self, number: int) -> tuple[str, ...]:
        """All of a field of texts."""
        try:
            return tuple(str(text, "utf-8") for text in self.messages(number))
        except UnicodeDecodeError as error:
            raise UnsupportedError(f"a text in {self._what} that is no UTF-8") from error

    def text(self, number: int) -> str:
        """The one of a field of texts; "" where it is left out."""
        found = self.texts(number)
        if len(found) > 1:
            raise self._otherwise(number)
        return found[0] if found else ""

    def integers(self, number: int) -> list[int]:
        """All of a field of signed numbers, one each or packed."""
        numbers = []
        for kind, value in self._left.pop(number, ()):
            if isinstance(value, int):
                numbers.append(value)
                continue
            if kind != _LENGTH:
                raise self._otherwise(number)
            at = 0
            while at < len(value):
                one, at = varint(value, at)
                numbers.append(one)
        return [one - (1 << 64) if one >> 63 else one for one in numbers]

    def integer(self, number: int) -> int | None:
        """The one of a field of numbers; None where it is left out."""
        found = self.integers(number)
        if len(found) > 1:
            raise self._otherwise(number)
        return found[0] if found else None

    def float_bytes(self, number: int) -> bytes:
        """All of a field of float32, one each or packed: their bytes, one after the other."""
        found = []
        for kind, value in self._left.pop(number, ()):
            if isinstance(value, int) or kind not in (_LENGTH, _FOUR_BYTES) or len(value) % 4:
                raise self._otherwise(number)
            found.append(value)
        return b"".join(found)

    def _otherwise(self, number: int) -> UnsupportedError:
        return UnsupportedError(f"{self._what} whose field {number} is written in a way that the engine does not know")
