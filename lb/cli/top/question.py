"""A question over the screen, answered by y or n; or a note, closed by any of these."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import Static

from lb.cli.printing import plain

if TYPE_CHECKING:
    from textual.app import ComposeResult


class Question(ModalScreen[bool]):
    """Enter alone is no answer to a question: it may have been meant for a row."""

    CSS = """
    Question { align: center middle; }
    Question Static {
        width: auto; max-width: 76; height: auto; max-height: 90%;
        text-wrap: wrap; padding: 1 2; border: round ansi_yellow;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", show=False),
        Binding("n,q,escape", "answer(False)", show=False),
        Binding("enter,question_mark,h", "close_note", show=False),
    ]

    def __init__(self, text: str, *, is_note: bool = False) -> None:
        super().__init__()
        self._text = "\n".join(plain(line) for line in text.splitlines())
        self._is_note = is_note

    def compose(self) -> ComposeResult:
        """See Textual."""
        yield Static(self._text, markup=False)

    def action_answer(self, is_yes: bool) -> None:
        """Close it with an answer."""
        self.dismiss(is_yes)

    def action_close_note(self) -> None:
        """Close it if it asks for nothing."""
        if self._is_note:
            self.dismiss(False)
