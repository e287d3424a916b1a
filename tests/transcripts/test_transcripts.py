"""The transcripts on the cores; and the reader and player of transcripts themselves."""

from __future__ import annotations

import pytest
from core_stages import ClientStage, JoinedStage, ServerStage
from transcript_play import (
    FILES,
    CommandStep,
    Event,
    EventStep,
    ReplyStep,
    StateStep,
    TranscriptError,
    parse,
    play,
    read,
)

TRANSCRIPTS = [read(path) for path in FILES]
each = pytest.mark.parametrize("transcript", TRANSCRIPTS, ids=lambda transcript: transcript.name)


def test_every_scenario_of_section_12_is_there():
    names = [transcript.name for transcript in TRANSCRIPTS]
    assert [sum(f"rfc4217-12.{n}-" in name for name in names) for n in range(1, 8)] == [1] * 7


@each
@pytest.mark.parametrize("piecewise", [False, True], ids=["whole", "byte by byte"])
def test_a_transcript_plays_between_the_joined_cores(transcript, piecewise):
    play(transcript, JoinedStage(transcript, piecewise=piecewise))


@each
def test_a_transcript_plays_on_the_server_core(transcript):
    play(transcript, ServerStage(transcript))


@each
def test_a_transcript_plays_on_the_client_core(transcript):
    play(transcript, ClientStage(transcript))


# --- the reader ---


def test_a_transcript_is_read():
    transcript = parse("# x\n\n@ data: optional\nC: PASV\nS: 227 {server}\n-- data tls\n== data=CLEAR\n", "t")
    assert transcript.settings == {"data": "optional"}
    command, reply, event, state = transcript.steps
    assert command == CommandStep("PASV")
    assert reply == ReplyStep(227, "{server}")
    assert event == EventStep(Event.DATA_TLS)
    assert isinstance(state, StateStep)
    assert state.machines == {"data": "CLEAR"}


@pytest.mark.parametrize(
    "line",
    ["X: y", "C:", "S: 99", "S: abc", "-- data dance", "==", "== data", "@ colour: red", "@ data"],
)
def test_a_line_that_is_no_step_is_refused_with_its_number(line):
    with pytest.raises(TranscriptError, match="t:2: "):
        parse(f"\n{line}\n", "t")


def test_a_setting_behind_a_step_is_refused():
    with pytest.raises(TranscriptError, match="t:2: settings stand before"):
        parse("S: 220\n@ data: optional\n", "t")


# --- the player ---


@pytest.mark.parametrize("stage", [JoinedStage, ServerStage])
@pytest.mark.parametrize(
    ("text", "difference"),
    [
        ("S: 230\n", "- S: 230"),
        ("S: 220\nC: AUTH TLS\nS: 334\n", r"\+ S: 234"),
        ("S: 220\nC: NOOP\nS: 200\nS: 200\n", r"\+ S: nothing"),
        ("S: 220\nC: NOOP\n", r"\+ "),
        ("S: 220\nC: NOOP\nS: 200\n-- control tls\n", r"\+ -- (nothing|control clear)"),
        ("S: 220\n== control=PROTECTED\n", r"\+ == control=CLEAR"),
        ("S: 220\nC: AUTH TLS\nS: 234\n-- control clear\n", r"\+ -- control tls"),
        ("S: 220\n-- data connect\n-- data tls\n", "does not fit"),
        ("S: 220\n-- data accept\n", "does not fit"),
        ("S: 220\n-- data send\n", "does not fit"),
        ("S: 220\n-- data clear\n", "does not fit"),
        ("S: 220\n-- data close\n", "does not fit"),
    ],
)
def test_a_transcript_that_is_not_so_fails_with_both_scripts(stage, text, difference):
    transcript = parse(text, "wrong")
    with pytest.raises(AssertionError, match=difference):
        play(transcript, stage(transcript))
