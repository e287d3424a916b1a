"""Effects: what a step of the control machine means for TLS."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from lockgate.protocol.effects import CloseControl, StartTls, StopTls, tls_edge
from lockgate.protocol.states import Control, SessionState

EDGES = {
    (Control.CLEAR, Control.NEGOTIATING): StartTls(),
    (Control.PROTECTED, Control.CLEAR): StopTls(),
    (Control.PROTECTED, Control.CLEARED): StopTls(),
}


@pytest.mark.parametrize("before", Control)
@pytest.mark.parametrize("after", Control)
def test_tls_starts_with_negotiation_and_stops_when_protection_ends(before, after):
    assert tls_edge(SessionState(before), SessionState(after)) == EDGES.get((before, after))


def test_an_effect_is_a_value():
    effect = CloseControl("QUIT")
    assert effect == CloseControl("QUIT")
    with pytest.raises(FrozenInstanceError):
        effect.reason = "other"  # type: ignore[misc]
