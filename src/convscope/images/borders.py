"""Border modes: the pixels outside an image in padding, filtering and shifting."""

from enum import StrEnum
from typing import Literal

from convscope.base.errors import ConvscopeError


class Border(StrEnum):
    """How pixels beyond the border are filled. The names are those of `numpy.pad`, and "zero".

    `Border("circular")`, PyTorch's name, is the old spelling of "wrap".
    """

    ZERO = "zero"
    EDGE = "edge"
    REFLECT = "reflect"
    WRAP = "wrap"

    @classmethod
    def _missing_(cls, value: object) -> "Border | None":
        return cls.WRAP if value == "circular" else None

    @classmethod
    def of(cls, name: str) -> "Border":
        """The border mode with that name.

        Raises:
            ConvscopeError: the name is unknown. The message lists the known ones.
        """
        try:
            return cls(name)
        except ValueError:
            raise ConvscopeError(f"border={name!r}: give one of {', '.join(cls)}") from None

    @property
    def description(self) -> str:
        """What fills the pixels, in a few words."""
        return _DESCRIPTIONS[self]

    @property
    def numpy_mode(self) -> Literal["constant", "edge", "reflect", "wrap"]:
        """The mode of `numpy.pad`."""
        return "constant" if self is Border.ZERO else self.value


_DESCRIPTIONS = {
    Border.ZERO: "black pixels",
    Border.EDGE: "the nearest pixel of the image",
    Border.REFLECT: "the image, mirrored at its outermost pixels",
    Border.WRAP: "the opposite side of the image",
}
